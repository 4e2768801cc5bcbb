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
	t := &transport{w: w, base: base}
	t.secure.dropped = (*http.Transport).CloseIdleConnections
	return t
}

type transport struct {
	w      *Wrapper
	base   http.RoundTripper
	secure recent[*http.Transport] // by service, for TLS
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
	s := newSent(t, r)
	ctx, err := t.w.Begin(s.ctx, &s.call)
	s.ctx = ctx
	if err != nil { // by the limit of a policy
		err = s.unsent(err)
		s.finish(err)
		return nil, err
	}
	resp, err := s.send()
	if err != nil {
		s.finish(err)
		return nil, err
	}
	return resp, nil
}

// sent is all that one call needs, its first attempt included, in one
// allocation.
type sent struct {
	t        *transport
	call     Call
	ctx      context.Context // the caller's, with span and deadline
	cancel   context.CancelFunc
	request  *http.Request // the caller's: never changed
	header   http.Header   // a copy, with what the call adds
	body     *body         // nil if there is none, or GetBody makes new ones
	began    bool          // the request's body was given to the transport
	internal bool          // it goes to a service of ours
	routed   bool          // which the router finds
	plan     *plan
	target   *target     // what is remembered of the service
	borrowed bool        // its deadline is the one that the caller of this service brought
	token    *auth.Token // to show; nil for none
	tried    []string
	narrowed [2]router.SelectOption // room for what most picks depend on
	first    sending
	two      second // beside the first
	last     result
}

func newSent(t *transport, r *http.Request) *sent {
	s := &sent{t: t, request: r}
	o, ctx := t.w.o, r.Context()
	service, internal := o.services(r)
	if !internal {
		service = r.URL.Host
	}
	s.internal, s.routed = internal, internal && o.router != nil
	s.header = make(http.Header, len(r.Header)+8)
	for k, v := range r.Header {
		s.header[k] = v // the values are shared: they are replaced, never changed
	}
	id := r.Header.Get(HeaderRequestID)
	if parent, ok := FromContext(ctx); ok && id == "" {
		id = parent.RequestID
	}
	method := action(r.Method)
	s.call = Call{
		Side: Client, Protocol: "http", Service: service, Method: method, Action: method, Resource: r.URL.Path,
		RequestID: requestID(id), Header: trace.Header(s.header), Start: time.Now(),
	}
	s.header[HeaderRequestID] = []string{s.call.RequestID}
	if internal {
		for k, v := range LabelsFromContext(ctx) {
			s.header.Set(LabelPrefix+k, v)
		}
	}
	s.plan = t.w.planOf(&s.call)
	s.target = s.plan.target(service)
	if end, has := ctx.Deadline(); has {
		s.borrowed = borrowed(ctx, end)
	} else if d := s.plan.timeout; d > 0 && d != NoTimeout {
		ctx, s.cancel = context.WithTimeout(ctx, d)
	}
	s.ctx = ctx
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		s.body = newBody(r.Body, s.plan.retry.Buffer)
	}
	return s
}

// send makes attempts until one is final.
func (s *sent) send() (*http.Response, error) {
	policy := s.plan.retry
	s.target.deposit()
	if err := s.findToken(); err != nil {
		return nil, s.unsent(err)
	}
	for n := 1; ; n++ {
		a, err := s.attempt()
		if err != nil {
			return nil, s.unsent(err)
		}
		r := s.try(a)
		a, resp, err := r.a, r.resp, r.err
		s.last = a.result
		wait, again := s.next(policy, n)
		if !again {
			s.dropBody()
			if err != nil {
				a.done(nil)
				return nil, err
			}
			return a.hand(resp), nil
		}
		discard(resp)
		a.done(nil)
		if err := backoff.Sleep(s.ctx, wait); err != nil {
			s.target.giveBack()
			return nil, s.unsent(err)
		}
	}
}

// unsent ends a call whose next attempt was not to be.
func (s *sent) unsent(err error) error {
	if s.last.class == router.OK || s.ctx.Err() != nil { // else the attempt before says more
		s.last = result{class: classOfOwn(s.ctx, err), err: err}
	}
	s.dropBody()
	return err
}

// next decides whether attempt n+1 follows, and after how long.
func (s *sent) next(p RetryPolicy, n int) (wait time.Duration, again bool) {
	r := s.last
	if !r.class.Failed() {
		return 0, false
	}
	if n < p.Attempts && s.ctx.Err() == nil && r.again(s.idempotent(), p) && s.target.take() {
		wait = max(p.wait(n-1), r.pushback)
		end, bounded := s.ctx.Deadline()
		inTime := wait <= p.Max && (!bounded || wait < time.Until(end))
		if inTime && (s.body == nil || s.body.rewind()) {
			return wait, true
		}
		s.target.giveBack()
	}
	// The caller of the call that this one is made for must not multiply what
	// was spent here.
	if parent, ok := FromContext(s.request.Context()); ok && parent.Side == Server && (n > 1 || r.noRetry) {
		parent.spendRetries()
	}
	return 0, false
}

// idempotent calls may be processed twice (RFC 9110 section 9.2.2), as may
// those that carry a key by which the server knows them again.
func (s *sent) idempotent() bool {
	switch s.request.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	_, key := s.request.Header["Idempotency-Key"]
	return key
}

// findToken finds the token that the service called is to see, unless the
// caller brought one. Tokens are shown to services of ours only.
func (s *sent) findToken() (err error) {
	if s.internal && s.header["Authorization"] == nil {
		s.token, err = s.t.w.Adapter().Token(s.ctx, s.call.Service)
	}
	return err
}

// attempt prepares the next sending: it picks an instance.
func (s *sent) attempt() (*sending, error) {
	a := &s.first
	if s.call.Attempts > 0 {
		a = &sending{}
	}
	s.call.Attempts++
	a.sent = s
	a.Attempt = Attempt{Call: &s.call, Number: s.call.Attempts}
	a.url = *s.request.URL
	if !s.routed {
		return a, nil
	}
	pick, err := s.t.w.o.router.Pick(s.ctx, s.call.Service, s.narrow()...)
	if err != nil {
		return nil, err
	}
	a.pick, a.Instance, a.url.Host = pick, pick.Instance, pick.Instance.Address
	s.call.Instance, s.call.Variant = pick.Instance, pick.Variant
	return a, nil
}

// narrow says what the pick depends on.
func (s *sent) narrow() []router.SelectOption {
	if s.call.Instance != nil { // of the attempt before
		s.tried = append(s.tried, s.call.Instance.ID)
	}
	return s.t.w.Adapter().SelectOptions(s.ctx, s.call.Method, s.tried, s.narrowed[:0])
}

// dropBody closes the caller's body once nothing will read it any more.
func (s *sent) dropBody() {
	switch {
	case s.body != nil:
		s.body.release()
	case !s.began && s.request.Body != nil:
		s.request.Body.Close()
	}
}

// finish records the call.
func (s *sent) finish(err error) {
	c := &s.call
	c.Duration = time.Since(c.Start)
	c.Class, c.Status, c.Err = s.last.class, s.last.status, err
	if err != nil && c.Class == router.OK {
		c.Class = classOfBroken(s.request.Context(), err)
	}
	s.t.w.End(s.ctx, c)
	if s.cancel != nil {
		s.cancel()
	}
}
