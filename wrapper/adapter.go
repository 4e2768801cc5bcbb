package wrapper

import (
	"context"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
)

// Adapter is what the adapter of a protocol needs of a Wrapper beside Begin and
// End. wrapper/grpc is made of it.
type Adapter struct{ w *Wrapper }

// Adapter returns w's side for adapters.
func (w *Wrapper) Adapter() Adapter { return Adapter{w} }

// Name is the name of the service that is wrapped.
func (a Adapter) Name() string { return a.w.o.name }

// Router returns the router, or nil.
func (a Adapter) Router() router.Router { return a.w.o.router }

// RequestID returns the id that came with a call if it is a sane one, else a
// new one.
func (a Adapter) RequestID(given string) string { return requestID(given) }

// Token returns the token that a call to a service shows, "" for none. See
// WithTokens.
func (a Adapter) Token(ctx context.Context, service string) (string, error) {
	o := a.w.o
	if o.auth == nil {
		return "", nil
	}
	mode := Own
	if o.tokens != nil {
		mode = o.tokens(service)
	}
	caller, _ := auth.FromContext(ctx)
	var (
		t   *auth.Token
		err error
	)
	switch {
	case mode == None:
		return "", nil
	case mode == PassOn && caller != nil:
		t = caller
	case mode == Exchange && caller != nil:
		t, err = o.auth.Token(ctx, auth.Audience(service), auth.OnBehalfOf(caller))
	default:
		t, err = o.auth.Token(ctx, a.w.audience(service)...)
	}
	if err != nil {
		return "", err
	}
	return string(t.AccessToken), nil
}

// Called notes a call to a service, which pays for retries.
func (a Adapter) Called(service string) { a.w.budget(service).deposit() }

// Again reports whether a call that ended with o, after n attempts, is to be
// sent once more, and after how long. It takes from the budget of retries.
func (a Adapter) Again(ctx context.Context, c *Call, o router.Class, n int, idempotent bool, pushback time.Duration) (time.Duration, bool) {
	p := a.w.o.retry
	ok := o == router.Unsent || idempotent && (o == router.Connect || o == router.Overload || o == router.Timeout)
	if !ok || n >= p.Attempts || pushback < 0 || ctx.Err() != nil || !a.w.budget(c.Service).take() {
		return 0, false
	}
	wait := max(p.wait(n-1), pushback)
	if end, bounded := ctx.Deadline(); wait > p.Max || bounded && time.Until(end) <= wait {
		a.w.budget(c.Service).giveBack()
		return 0, false
	}
	return wait, true
}

// BeginAttempt tells the observers that the call is being sent. The context is
// the one to send with; it may have added to t.Header.
func (a Adapter) BeginAttempt(ctx context.Context, t *Attempt) context.Context {
	for _, ob := range a.w.attempts {
		ctx = ob.BeginAttempt(ctx, t)
	}
	return ctx
}

// EndAttempt ends what BeginAttempt began.
func (a Adapter) EndAttempt(ctx context.Context, t *Attempt) {
	for i := len(a.w.attempts) - 1; i >= 0; i-- {
		a.w.attempts[i].EndAttempt(ctx, t)
	}
}

// Context returns ctx with c in it, for FromContext.
func (a Adapter) Context(ctx context.Context, c *Call) context.Context {
	return &callContext{ctx, c}
}
