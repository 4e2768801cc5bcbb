package kubernetes

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// request is one call of the API.
type request struct {
	method string
	path   string
	query  url.Values
	kind   string // of the body; "" is JSON
	accept string // "" is JSON
	body   any
	into   any // nil: the answer is not read
}

// What an answer may have. A page of a list is asked for smaller when it has
// more.
const (
	maxAnswer  = 64 << 20
	maxRefusal = 64 << 10
)

// errLong is an answer of more than maxAnswer.
var errLong = fault.Markf(fault.TooLarge, "an answer of more than %d MiB", maxAnswer>>20)

// tries is how often a request is sent that the server puts off by Retry-After.
const (
	tries       = 4
	longestWait = 30 * time.Second
)

func (r request) writes() bool { return r.method != http.MethodGet }

// call sends a request and reads the answer. What the server puts off (429, and
// for reads 503, both with Retry-After) is sent again after that time, if the
// context lasts.
func (c *Conn) call(parent context.Context, r request) error {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	if _, ok := parent.Deadline(); ok {
		cancel()
		ctx, cancel = context.WithCancel(parent)
	}
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	for try := 1; ; try++ {
		wait, err := c.once(ctx, r)
		switch {
		case err == nil:
			return nil
		case c.isClosed() && isContext(err) && !errors.Is(err, fault.UnknownOutcome):
			return errClosed
		case parent.Err() == nil && err == context.DeadlineExceeded:
			return fault.Markf(fault.Unavailable, "no answer within %v", c.timeout)
		case wait <= 0 || try == tries || !lasts(ctx, wait):
			return err
		}
		if backoff.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// lasts reports whether ctx has more time than a wait.
func lasts(ctx context.Context, wait time.Duration) bool {
	d, ok := ctx.Deadline()
	return wait <= longestWait && (!ok || time.Until(d) > wait)
}

// once sends a request once, or twice if the first one's token was refused. It
// returns after how long the server wants to be asked again; 0 for never.
func (c *Conn) once(ctx context.Context, r request) (wait time.Duration, err error) {
	resp, err := c.ask(ctx, r)
	if err != nil {
		return 0, err
	}
	defer drop(resp.Body)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refused(resp, r.writes())
	}
	if r.into == nil {
		return 0, nil
	}
	// An answer that ends early is one that did not come.
	limited := &io.LimitedReader{R: resp.Body, N: maxAnswer + 1}
	err = json.NewDecoder(limited).Decode(r.into)
	switch {
	case err == nil:
		return 0, nil
	case limited.N <= 0:
		return 0, errLong
	case r.writes():
		return 0, fault.Mark(fault.UnknownOutcome, err)
	}
	return 0, unanswered(ctx, err, false, true)
}

// ask sends a request and returns the answer, whatever it says. A token that is
// refused may have been renewed a moment ago: nothing was applied, and it is
// sent again with what is then there.
func (c *Conn) ask(ctx context.Context, r request) (*http.Response, error) {
	if c.isClosed() {
		return nil, errClosed
	}
	resp, sent, err := c.send(ctx, r, false)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		drop(resp.Body)
		resp, sent, err = c.send(ctx, r, true)
	}
	if err != nil {
		return nil, unanswered(ctx, err, r.writes(), sent)
	}
	if resp.ProtoMajor < 2 { // as behind some proxies: nothing asks such a connection for a sign of life
		c.blind.Store(true)
	}
	return resp, nil
}

// refused reads an answer that is no success.
func refused(resp *http.Response, write bool) (wait time.Duration, err error) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	err = refusal(resp.StatusCode, body, write)
	putOff := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable && !write
	seconds, bad := strconv.Atoi(resp.Header.Get("Retry-After"))
	if !putOff || bad != nil || seconds < 0 {
		return 0, err
	}
	return time.Duration(min(max(seconds, 1), 3600)) * time.Second, err
}

// drop reads a little more, so that the connection can be used again.
func drop(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	body.Close()
}

// send sends a request. The caller closes the body of the answer. Without one,
// sent says whether it may have reached the server.
func (c *Conn) send(ctx context.Context, r request, fresh bool) (resp *http.Response, sent bool, err error) {
	token, err := c.creds.token(ctx, fresh)
	if err != nil {
		return nil, false, err
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := c.prepare(ctx, r, token)
	if err != nil {
		return nil, false, err
	}
	err = c.limit.take(ctx)
	if err != nil {
		return nil, false, err
	}
	resp, err = c.client.Do(req)
	// A transport of the user's need not tell when it is connected.
	return resp, connected.Load() || c.transport == nil, err
}

func (c *Conn) prepare(ctx context.Context, r request, token string) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fault.Mark(fault.Invalid, err)
		}
		body = bytes.NewReader(text)
	}
	u := c.base
	u.Path += r.path
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	for name, values := range c.headers {
		req.Header[name] = values
	}
	req.Header.Set("Accept", cmp.Or(r.accept, "application/json"))
	req.Header.Set("User-Agent", "go-platform")
	if body != nil {
		req.Header.Set("Content-Type", cmp.Or(r.kind, "application/json"))
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}
