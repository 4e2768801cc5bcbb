package wrapper

import (
	"context"
	"net/http"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// Transport wraps the client side of HTTP around base; nil stands for a
// transport like http.DefaultTransport with connections of its own.
func (w *Wrapper) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 256
		t.MaxIdleConns = 1024
		base = t
	}
	t := &transport{w: w, base: base, traceKey: traceKey()}
	t.secure.dropped = (*http.Transport).CloseIdleConnections
	return t
}

type transport struct {
	w        *Wrapper
	base     http.RoundTripper
	traceKey any                     // see wire.context
	secure   recent[*http.Transport] // by service, for TLS
}

// Unwrap returns the transport that is wrapped.
func (t *transport) Unwrap() http.RoundTripper { return t.base }

// CloseIdleConnections passes on what http.Client asks for.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	t.secure.each((*http.Transport).CloseIdleConnections)
}

// RoundTrip sends a request, again if need be, and returns the last answer.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := newClientCall(t, r)
	ctx, err := t.w.Begin(c.ctx, &c.record)
	c.ctx = ctx
	defer c.panicked()
	if err != nil { // by the limit of a policy
		err = c.unsent(err)
		c.finish(err)
		return nil, err
	}
	resp, err := c.send()
	if err != nil {
		c.finish(err)
		return nil, err
	}
	return resp, nil
}

// clientCall is all that one call needs, its first attempt included, in one
// allocation.
type clientCall struct {
	t        *transport
	record   Call
	ctx      context.Context // the caller's, with span and deadline
	bound    bounded         // the deadline of WithClientTimeout; without a parent if there is none
	id       [1]string       // the value of X-Request-Id
	request  *http.Request   // the caller's: never changed
	header   http.Header     // a copy, with what the call adds
	body     *body           // nil if there is none, or GetBody makes new ones
	began    bool            // the request's body was given to the transport
	internal bool            // it goes to a service of ours
	routed   bool            // which the router finds
	plan     *plan
	target   *target     // what is remembered of the service
	borrowed bool        // its deadline is the one that the caller of this service brought
	token    *auth.Token // to show; nil for none
	tried    []string
	narrowed [2]router.SelectOption // room for what most picks depend on
	current  *clientAttempt         // the newest, but not a backup
	first    clientAttempt
	backup   backup // of the first attempt
	last     result
}

func newClientCall(t *transport, r *http.Request) *clientCall {
	c := &clientCall{t: t, request: r}
	o, ctx := t.w.o, r.Context()
	service, internal := o.services(r)
	if !internal {
		service = r.URL.Host
	}
	c.internal, c.routed = internal, internal && o.router != nil
	c.header = make(http.Header, len(r.Header)+8)
	for k, v := range r.Header {
		c.header[k] = v // the values are shared: they are replaced, never changed
	}
	id := r.Header.Get(HeaderRequestID)
	if parent, ok := FromContext(ctx); ok && id == "" {
		id = parent.RequestID
	}
	method := action(r.Method)
	record := &c.record // field by field: a literal would be copied
	record.Side, record.Protocol, record.Service = Client, "http", service
	record.Method, record.Action, record.Resource = method, method, r.URL.Path
	record.RequestID, record.Header = requestID(id), trace.Header(c.header)
	record.Start, record.outgoing = time.Now(), r
	c.id[0] = record.RequestID
	c.header[HeaderRequestID] = c.id[:]
	if internal {
		t.w.Adapter().Carry(ctx, c.record.Header)
	}
	c.plan = t.w.planOf(&c.record)
	c.target = c.plan.target(service)
	if end, has := ctx.Deadline(); has {
		c.borrowed = borrowed(ctx, end)
	} else if d := c.plan.timeout; d > 0 && d != NoTimeout {
		c.bound.Context, c.bound.end = ctx, record.Start.Add(d)
		ctx = &c.bound
	}
	c.ctx = ctx
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		c.body = newBody(r.Body, c.plan.retry.Buffer)
	}
	return c
}

// send makes attempts until one is final.
func (c *clientCall) send() (*http.Response, error) {
	policy := c.plan.retry
	c.target.deposit()
	if err := c.findToken(); err != nil {
		return nil, c.unsent(err)
	}
	for n := 1; ; n++ {
		a, err := c.attempt()
		if err != nil {
			return nil, c.unsent(err)
		}
		c.current = a
		r := c.try(a)
		a, resp, err := r.a, r.resp, r.err
		c.last = a.result
		wait, again := c.next(policy, n)
		if !again {
			c.counts(a)
			c.dropBody()
			if err != nil {
				a.done(nil)
				return nil, err
			}
			return a.hand(resp), nil
		}
		discard(resp)
		a.done(nil)
		if err := backoff.Sleep(c.ctx, wait); err != nil {
			c.target.giveBack()
			return nil, c.unsent(err)
		}
	}
}

// counts notes that the call ends as the attempt does, beside which a newer one may
// have been sent.
func (c *clientCall) counts(a *clientAttempt) {
	c.record.Instance, c.record.Variant = a.Instance, a.pick.Variant
}

// unsent ends a call whose next attempt was not to be.
func (c *clientCall) unsent(err error) error {
	if c.last.class == router.OK || c.ctx.Err() != nil { // else the attempt before says more
		c.last = result{class: classOfOwn(c.ctx, err), err: err}
	}
	c.dropBody()
	return err
}

// next decides whether attempt n+1 follows, and after how long.
func (c *clientCall) next(p RetryPolicy, n int) (wait time.Duration, again bool) {
	r := c.last
	if !r.class.Failed() {
		return 0, false
	}
	if n < p.Attempts && c.ctx.Err() == nil && r.again(c.idempotent(), p) && c.t.w.pay(c.target.budget, &c.record, retryAttempt) {
		wait = max(p.wait(n-1), r.pushback)
		end, bounded := c.ctx.Deadline()
		inTime := wait <= p.Max && (!bounded || wait < time.Until(end))
		if inTime && (c.body == nil || c.body.rewind()) {
			return wait, true
		}
		c.target.giveBack()
	}
	// The caller of the call that this one is made for must not multiply what
	// was spent here.
	if parent, ok := FromContext(c.request.Context()); ok && parent.Side == Server && (n > 1 || r.noRetry) {
		parent.spendRetries()
	}
	return 0, false
}

// idempotent calls may be processed twice (RFC 9110 section 9.2.2), as may
// those that carry a key by which the server knows them again.
func (c *clientCall) idempotent() bool {
	switch c.request.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	_, key := c.request.Header["Idempotency-Key"]
	return key
}

// findToken finds the token that the service called is to see, unless the
// caller brought one. Tokens are shown to services of ours only.
func (c *clientCall) findToken() (err error) {
	if c.internal && c.header["Authorization"] == nil {
		c.token, err = c.t.w.Adapter().Token(c.ctx, c.record.Service)
	}
	return err
}

// attempt prepares the next attempt: it picks an instance.
func (c *clientCall) attempt() (*clientAttempt, error) {
	a := &c.first
	if c.record.Attempts > 0 {
		a = &clientAttempt{}
	}
	a.call, a.Call, a.Number = c, &c.record, c.record.Attempts+1
	a.url = *c.request.URL
	if c.routed {
		pick, err := c.t.w.o.router.Pick(c.ctx, c.record.Service, c.narrow()...)
		if err != nil {
			return nil, err
		}
		a.pick, a.Instance, a.url.Host = pick, pick.Instance, pick.Instance.Address
		c.record.Instance, c.record.Variant = pick.Instance, pick.Variant
	}
	c.record.Attempts = a.Number // from here on it counts as sent
	return a, nil
}

// narrow says what the pick depends on.
func (c *clientCall) narrow() []router.SelectOption {
	if c.record.Instance != nil { // of the attempt before
		c.tried = append(c.tried, c.record.Instance.ID)
	}
	return c.t.w.Adapter().SelectOptions(c.ctx, c.record.Method, c.tried, c.narrowed[:0])
}

// dropBody closes the caller's body once nothing will read it any more.
func (c *clientCall) dropBody() {
	switch {
	case c.body != nil:
		c.body.release()
	case !c.began && c.request.Body != nil:
		c.request.Body.Close()
	}
}

// finish records the call.
func (c *clientCall) finish(err error) {
	r := &c.record
	r.Duration = time.Since(r.Start)
	r.Class, r.Status, r.Err, r.proto = c.last.class, c.last.status, err, c.last.proto
	if err != nil && r.Class == router.OK {
		r.Class = classOfBroken(c.request.Context(), err)
	}
	c.t.w.End(c.ctx, r)
	if c.bound.Context != nil {
		c.bound.cancel(nil)
	}
}
