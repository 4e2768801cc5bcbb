package otlp

import (
	stdbytes "bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Client sends the requests of one signal to one server.
type Client struct {
	Options
	url            string
	signal         Signal
	client         *http.Client
	transport      *http.Transport // ours, or nil
	user, password string
}

// New returns a client for addr, a "host:port" or a URL. Requests go to the
// signal's path below it, or to the address's own path if that ends in it.
func New(addr string, s Signal, opts []Option) (*Client, error) {
	o, err := Apply(opts)
	if err != nil {
		return nil, err
	}
	a, err := conn.Parse(addr, conn.Scheme{Name: "http", Port: 4318}, conn.Scheme{Name: "https", Port: 443})
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	scheme, err := conn.Secure(a, o.TLS, "http", "https")
	if err != nil {
		return nil, err
	}
	c := &Client{Options: o, signal: s, client: o.Client, user: a.User, password: a.Password}
	c.url = scheme + "://" + a.HostPort() + s.path
	if own := strings.Trim(a.Path, "/"); own != "" { // it names where the signal goes
		c.url = scheme + "://" + a.HostPort() + "/" + own
	}
	if c.client == nil {
		c.transport = http.DefaultTransport.(*http.Transport).Clone()
		c.transport.TLSClientConfig = o.TLS
		c.client = &http.Client{Transport: c.transport, CheckRedirect: conn.SameOrigin}
	}
	return c, nil
}

// Close closes the connections of a client that is ours.
func (c *Client) Close() error {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	return nil
}

// Ping sends a request of nothing, which every receiver takes.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Send(ctx, nil)
	return err
}

// Refused is what a server took a request without.
type Refused struct {
	Items  int
	Reason string
}

// compressFrom is the size from which compressing is worth its time.
const compressFrom = 1 << 10

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// Send sends an export request in protobuf. What may be sent again is
// ErrUnavailable, and Pause says when; other errors are final.
func (c *Client) Send(ctx context.Context, body []byte) (Refused, error) {
	kind := "application/x-protobuf"
	if c.JSON {
		kind = "application/json"
		body = c.signal.JSON(nil, body)
	}
	packed := !c.Plain && len(body) >= compressFrom
	if packed {
		var b stdbytes.Buffer
		z := zippers.Get().(*gzip.Writer)
		z.Reset(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		zippers.Put(z)
		body = b.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, stdbytes.NewReader(body))
	if err != nil {
		return Refused{}, fault.Mark(fault.Invalid, err)
	}
	for k, v := range c.Header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", kind)
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	req.Header.Set("B3", "0") // reporting is no part of a trace
	resp, err := c.client.Do(req)
	if err != nil {
		return Refused{}, fault.Mark(fault.Unavailable, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 == 2 {
		if err != nil {
			return Refused{}, fault.Mark(fault.Unavailable, err)
		}
		return partial(answer, c.JSON), nil
	}
	err = fmt.Errorf("POST %s: %s: %s", conn.Redact(c.url), resp.Status, reason(answer, resp.Header.Get("Content-Type")))
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Refused{}, &Again{fault.Mark(fault.Unavailable, err), retryAfter(resp.Header.Get("Retry-After"))}
	case http.StatusNotFound:
		return Refused{}, fault.Mark(fault.NotFound, err)
	}
	return Refused{}, fault.Mark(fault.Invalid, err)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Again is an error after which the request may be sent again, after a pause
// of at least After.
type Again struct {
	error
	After time.Duration
}

func (e *Again) Unwrap() error { return e.error }

// Pause returns how long the server asked to wait, or 0.
func Pause(err error) time.Duration {
	var a *Again
	if errors.As(err, &a) {
		return a.After
	}
	return 0
}

// retryAfter reads seconds or a date.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// partial reads the partial success of an Export…ServiceResponse: in all three
// signals field 1 is the number of what was rejected, field 2 the reason.
func partial(answer []byte, inJSON bool) (r Refused) {
	if inJSON {
		var a struct {
			PartialSuccess map[string]json.RawMessage `json:"partialSuccess"`
		}
		_ = json.Unmarshal(answer, &a) // an empty answer is a success
		for k, v := range a.PartialSuccess {
			switch k {
			case "rejectedSpans", "rejectedDataPoints", "rejectedLogRecords":
				r.Items, _ = strconv.Atoi(strings.Trim(string(v), `"`)) // a number or a string
			case "errorMessage":
				_ = json.Unmarshal(v, &r.Reason)
			}
		}
		r.Items = max(0, r.Items)
		return r
	}
	for f, b, ok := Next(answer); ok; f, b, ok = Next(b) {
		if f.Number != 1 {
			continue
		}
		for g, c, ok := Next(f.Bytes); ok; g, c, ok = Next(c) {
			switch g.Number {
			case 1:
				r.Items = int(max(0, int64(g.Int)))
			case 2:
				r.Reason = string(g.Bytes)
			}
		}
	}
	return r
}

// reason is what an answer says in a google.rpc.Status, or as it is.
func reason(answer []byte, kind string) string {
	if strings.HasPrefix(kind, "application/x-protobuf") {
		for f, b, ok := Next(answer); ok; f, b, ok = Next(b) {
			if f.Number == 2 {
				return string(f.Bytes[:min(len(f.Bytes), 512)])
			}
		}
		return ""
	}
	return string(stdbytes.TrimSpace(answer[:min(len(answer), 512)]))
}
