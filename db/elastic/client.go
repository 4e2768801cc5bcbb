package elastic

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// client sends requests to whichever of several servers answers.
type client struct {
	http  *http.Client
	own   *http.Transport // nil: the caller's
	nodes []*node
	next  atomic.Uint32
	limit int64 // bytes of an answer
}

var schemes = []conn.Scheme{{Name: "http", Port: 9200}, {Name: "https", Port: 443}}

func newClient(addr string, c config) (*client, error) {
	cl := &client{limit: c.response}
	if c.user != "" && c.key != "" {
		return nil, fault.Markf(fault.Invalid, "both WithAuth and WithAPIKey")
	}
	auth := ""
	switch {
	case c.user != "":
		auth = basic(c.user, c.password)
	case c.key != "":
		auth = "ApiKey " + c.key
	}
	for one := range strings.SplitSeq(addr, ",") {
		a, err := conn.Parse(one, schemes...)
		if err != nil {
			return nil, fault.Mark(fault.Invalid, err)
		}
		if len(a.Query) > 0 {
			return nil, fault.Markf(fault.Invalid, "address %q has a query", conn.Redact(one))
		}
		err = a.CheckAuth()
		if err != nil {
			return nil, fault.Markf(fault.Invalid, "address %q: %w", conn.Redact(one), err)
		}
		a.Scheme, err = conn.Secure(a, c.tls, "http", "https")
		if err != nil {
			return nil, err
		}
		u := url.URL{Scheme: a.Scheme, Host: a.HostPort(), Path: strings.TrimSuffix("/"+a.Path, "/")}
		n := &node{base: u.String(), auth: auth}
		if a.User != "" {
			n.auth = basic(a.User, a.Password)
		}
		cl.nodes = append(cl.nodes, n)
	}
	var hc http.Client
	if c.client != nil {
		if c.tls != nil {
			return nil, fault.Markf(fault.Invalid, "both WithClient and WithTLS")
		}
		hc = *c.client
	} else {
		cl.own = &http.Transport{
			DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, TLSClientConfig: c.tls,
			TLSHandshakeTimeout: 5 * time.Second, MaxConnsPerHost: c.conns, MaxIdleConnsPerHost: c.conns,
			IdleConnTimeout: 45 * time.Second, // less than balancers have
		}
		hc.Transport = cl.own
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cl.http = &hc
	return cl, nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func (c *client) close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// request is one request. Nothing that a user chose is in its path but the
// checked name of a table.
type request struct {
	method, path string
	query        string
	body         []byte
	lines        bool // body is lines of JSON
	write        bool // without an answer it may have been done
}

// maxBusy is how often a server that is busy is asked again.
const maxBusy = 5

// whileBusy spaces that.
var whileBusy = backoff.Policy{Min: 50 * time.Millisecond, Max: time.Second}

// do sends a request and returns the answer's body.
func (c *client) do(ctx context.Context, r request) ([]byte, error) {
	for n := 0; ; n++ {
		b, err := c.anywhere(ctx, r)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || n == maxBusy {
			return b, err
		}
		if end := backoff.Sleep(ctx, whileBusy.Wait(n)); end != nil {
			return nil, fmt.Errorf("%w; %w", err, end)
		}
	}
}

// ask sends a body as JSON and reads the answer into v.
func (c *client) ask(ctx context.Context, r request, body, v any) error {
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fault.Mark(fault.Invalid, err)
		}
		r.body = b
	}
	b, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	return decode(b, v)
}

func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fault.Markf(fault.Unavailable, "an answer that is none of Elasticsearch or OpenSearch: %w", err)
	}
	return nil
}

// anywhere asks a node, and the next one as long as certainly nothing was done.
func (c *client) anywhere(ctx context.Context, r request) ([]byte, error) {
	var failures []error
	nodes := c.candidates()
	for i, n := range nodes {
		one, cancel := ctx, context.CancelFunc(func() {})
		if end, ok := ctx.Deadline(); ok && !r.write && i < len(nodes)-1 {
			one, cancel = context.WithTimeout(ctx, time.Until(end)/2) // a node that hangs leaves time for the next
		}
		b, err := c.once(one, n, r)
		late := one.Err() != nil
		cancel()
		var e *Error
		switch {
		case err == nil, ctx.Err() != nil, errors.As(err, &e) && e.Status < 500:
			return b, err
		case !errors.Is(err, fault.Unavailable) && !(late && !r.write):
			return nil, err
		}
		n.failed()
		failures = append(failures, err)
	}
	if len(failures) == 1 {
		return nil, failures[0]
	}
	return nil, fault.Mark(fault.Unavailable, errors.Join(failures...))
}

// once sends a request to a node; again only if a kept connection turned out
// to be closed under a request that changes nothing.
func (c *client) once(ctx context.Context, n *node, r request) ([]byte, error) {
	for again := false; ; again = true {
		var t trace
		b, err := c.send(ctx, n, r, &t)
		if err == nil || again || r.write || ctx.Err() != nil || !t.reused.Load() {
			return b, err
		}
		var e *Error
		if errors.As(err, &e) || errors.Is(err, fault.TooLarge) {
			return b, err
		}
	}
}

func (c *client) send(ctx context.Context, n *node, r request, t *trace) ([]byte, error) {
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { t.asked.Store(true) },
		GotConn:      func(i httptrace.GotConnInfo) { t.reused.Store(i.Reused) },
		WroteHeaders: func() { t.sent.Store(true) },
	})
	target := n.base + r.path
	if r.query != "" {
		target += "?" + r.query
	}
	req, err := http.NewRequestWithContext(traced, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	if n.auth != "" {
		req.Header.Set("Authorization", n.auth)
	}
	req.Header.Set("Accept", "application/json")
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.lines {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, n.lost(ctx, err, r.write, t)
	}
	defer resp.Body.Close()
	t.sent.Store(true)
	body, err := c.read(resp)
	switch {
	case resp.StatusCode/100 != 2:
		e := refused(resp.StatusCode, body) // also if its body was lost
		if e.Type == "" {
			e.Reason = conn.WantsTLS(resp.StatusCode, body)
		}
		return nil, fmtNode(n, e.marked(r.write))
	case errors.Is(err, fault.TooLarge):
		return nil, err
	case err != nil:
		return nil, n.lost(ctx, err, r.write, t)
	}
	return body, nil
}

// read reads a body that is not longer than the limit.
func (c *client) read(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= c.limit {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, c.limit+1))
	if err == nil && n > c.limit {
		err = fault.Markf(fault.TooLarge, "an answer of more than %d bytes; see WithMaxResponse", c.limit)
	}
	return b.Bytes(), err
}
