package wrapper

import (
	"context"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
)

// Adapter is what the adapter of a protocol needs of a Wrapper beside Begin and
// End. wrapper/grpc and wrapper/event are made of it.
//
// A Call whose Message is set is no question that somebody waits for. Its
// client side has no attempts: Begin writes the span's context into its Header.
// Its server side is not asked for a token, since a stream may keep for years
// what is published, and waits where another call would be refused as one too
// many.
type Adapter struct{ w *Wrapper }

// Adapter returns w's side for adapters.
func (w *Wrapper) Adapter() Adapter { return Adapter{w} }

// Name is the name of the service that is wrapped.
func (a Adapter) Name() string { return a.w.o.name }

// Router returns the router, or nil.
func (a Adapter) Router() router.Router { return a.w.o.router }

// SelectOptions appends to opts what the choice of an instance for the call
// depends on. tried are the ids of those that had it already.
func (a Adapter) SelectOptions(ctx context.Context, method string, tried []string, opts []router.SelectOption) []router.SelectOption {
	opts = append(opts, router.Method(method))
	if a.w.o.key != nil {
		if key := a.w.o.key(ctx); key != "" {
			opts = append(opts, router.Key(key))
		}
	}
	if labels := LabelsFromContext(ctx); len(labels) > 0 {
		opts = append(opts, router.Labels(labels))
	}
	if len(tried) > 0 {
		opts = append(opts, router.Exclude(tried...))
	}
	return opts
}

// RequestID returns the id that came with a call if it is a sane one, else a
// new one.
func (a Adapter) RequestID(given string) string { return requestID(given) }

// Labels returns the labels that the caller wants to be carried on, nil for
// none, from a header whose names may have several values. There are 16 at most.
func (a Adapter) Labels(header map[string][]string) map[string]string { return labelsOf(header) }

// MessageLabels is Labels for a header with one value for each name.
func (a Adapter) MessageLabels(header map[string]string) (out map[string]string) {
	for k, v := range header {
		out = addLabel(out, k, v)
	}
	return out
}

// Remaining reads HeaderDeadline: how long the caller waits. Nonsense is no
// deadline.
func (a Adapter) Remaining(v string) (time.Duration, bool) { return remaining(v) }

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

// Bound gives a call's context the bound of WithServerTimeout, or of
// WithClientTimeout if it has no deadline. An adapter leaves it out for what
// streams.
func (a Adapter) Bound(ctx context.Context, side Side) (context.Context, context.CancelFunc) {
	d := a.w.o.serverTimeout
	if side == Client {
		d = a.w.o.clientTimeout
		if _, has := ctx.Deadline(); has {
			d = 0
		}
	}
	if d <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// BoundAttempt gives an attempt's context the bound of WithAttemptTimeout.
func (a Adapter) BoundAttempt(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := a.w.o.attempt; d > 0 {
		return context.WithTimeout(ctx, d)
	}
	return ctx, func() {}
}

// OnStop makes Close call stop before it waits for calls in progress: for what
// brings calls by itself, such as a subscription. remove takes that back.
func (a Adapter) OnStop(stop func(ctx context.Context) error) (remove func()) {
	return a.w.sources.add(stop)
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
