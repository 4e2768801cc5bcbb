package wrapper

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
)

// Adapter is what the adapter of a protocol needs of a Wrapper beside Begin and
// End. wrapper/grpc and wrapper/event are made of it.
//
// A Call whose Message is set has no caller that waits for an answer. Its
// client side has no attempts: Begin writes the span's context into its Header.
// Its server side is not asked for a token, since a stream may keep for years
// what is published, and waits where another call would be refused as one too
// many.
type Adapter struct{ w *Wrapper }

// Adapter returns w's side for adapters.
func (w *Wrapper) Adapter() Adapter { return Adapter{w} }

// Name is the name of the service that is wrapped.
func (a Adapter) Name() string { return a.w.o.name }

// Metrics returns the metrics of WithMetrics, or nil.
func (a Adapter) Metrics() metrics.Metrics { return a.w.o.metrics }

// OnCollect calls f before each scrape and push of the metrics, as
// metrics.OnCollect does, until unregister is called or the Wrapper is closed.
func (a Adapter) OnCollect(f func()) (unregister func()) {
	if a.w.o.metrics == nil {
		return func() {}
	}
	stop := a.w.o.metrics.OnCollect(f)
	remove := a.w.measured.add(func(context.Context) error { stop(); return nil })
	return func() {
		stop()
		remove()
	}
}

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

// Token returns the token that a call to a service shows, nil for none. See
// WithTokens. Presenter makes what a request shows of it.
func (a Adapter) Token(ctx context.Context, service string) (*auth.Token, error) {
	o := a.w.o
	if o.auth == nil {
		return nil, nil
	}
	mode := Own
	if o.tokens != nil {
		mode = o.tokens(service)
	}
	caller, _ := auth.FromContext(ctx)
	switch {
	case mode == None:
		return nil, nil
	case mode == PassOn && caller.Bound():
		return nil, fmt.Errorf("%w: the caller's token is bound to its key and can't be passed on; see Exchange", auth.ErrUnsupported)
	case mode == PassOn && caller != nil:
		return caller, nil
	case mode == Exchange && caller != nil:
		return o.auth.Token(ctx, auth.Audience(service), auth.OnBehalfOf(caller))
	}
	return o.auth.Token(ctx, a.w.plain[Client].target(service).audience...)
}

// Auth returns the auth of WithAuth, or nil.
func (a Adapter) Auth() auth.Auth { return a.w.o.auth }

// Presenter makes what a request shows of a token that Token returned. Each
// attempt needs it again: a proof of possession is good once.
func (a Adapter) Presenter() *auth.Presenter { return a.w.presenter }

// Shown sets what the caller of c has shown, for an adapter whose protocol has
// more than a header for it: proofs of possession, certificates. err says that
// it can't be a credential; ok is false if there is none.
func (a Adapter) Shown(c *Call, shown auth.Credential, ok bool, err error) {
	if err != nil {
		shown = auth.Credential{Err: err}
	}
	if ok || err != nil {
		c.shown = &shown
	}
}

// Bound gives a call's context its bound: one that comes in that of
// WithServerTimeout, one that goes out that of WithClientTimeout if it has no
// deadline, by default 30 s. A policy that matches the call says otherwise. The
// deadline that a call came in with is noted as the caller's: it will not speak
// against anybody. An adapter leaves Bound out for what streams.
func (a Adapter) Bound(ctx context.Context, c *Call) (context.Context, context.CancelFunc) {
	d := a.w.planOf(c).timeout
	end, has := ctx.Deadline()
	if c.Side == Client {
		switch {
		case has, d == NoTimeout:
			d = 0
		case d == 0:
			d = defaultSilence
		}
	} else if has && (d <= 0 || time.Until(end) < d) {
		c.brought = end
		return ctx, func() {}
	}
	if d <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// Brought notes the deadline that a call came in with, if nothing shorter bounds
// it: for an adapter that doesn't call Bound.
func (a Adapter) Brought(c *Call, end time.Time) { c.brought = end }

// Stranger reports whether Border found that the caller is not believed.
func (a Adapter) Stranger(c *Call) bool { return c.stranger }

// BoundAttempt gives an attempt's context the bound of WithAttemptTimeout, or
// of the policy that matches the call.
func (a Adapter) BoundAttempt(ctx context.Context, c *Call) (context.Context, context.CancelFunc) {
	if d := a.w.planOf(c).attempt; d > 0 {
		return context.WithTimeout(ctx, d)
	}
	return ctx, func() {}
}

// Blame returns the class of an attempt as a router is to learn it: Cancelled
// instead of Timeout if the call ended at a deadline that was too short for what
// is usual. ctx is the call's, and took how long the attempt did.
func (a Adapter) Blame(ctx context.Context, c *Call, class router.Class, took time.Duration) router.Class {
	return a.w.blame(ctx, c, class, took)
}

// Took notes how long a good answer took, from which what is usual is learnt.
func (a Adapter) Took(c *Call, d time.Duration) { a.w.planOf(c).target(c.Service).took.add(d) }

func (w *Wrapper) blame(ctx context.Context, c *Call, class router.Class, took time.Duration) router.Class {
	end, bounded := ctx.Deadline()
	return w.planOf(c).target(c.Service).blame(class, took, bounded, bounded && borrowed(ctx, end))
}

// OnStop makes Close call stop before it waits for calls in progress: for what
// brings calls by itself, such as a subscription. remove takes that back.
func (a Adapter) OnStop(stop func(ctx context.Context) error) (remove func()) {
	return a.w.sources.add(stop)
}

// Called notes a call, which pays for retries of others to the same service.
func (a Adapter) Called(c *Call) { a.w.planOf(c).target(c.Service).deposit() }

// Again reports whether a call that ended with o, after n attempts, is to be
// sent once more, and after how long. It takes from the budget of retries.
func (a Adapter) Again(ctx context.Context, c *Call, o router.Class, n int, idempotent bool, pushback time.Duration) (time.Duration, bool) {
	plan := a.w.planOf(c)
	p, t := plan.retry, plan.target(c.Service)
	ok := o == router.Unsent || idempotent && (o == router.Connect || o == router.Overload || o == router.Timeout)
	if !ok || n >= p.Attempts || pushback < 0 || ctx.Err() != nil || !a.w.pay(t.budget, c, retryAttempt) {
		return 0, false
	}
	wait := max(p.wait(n-1), pushback)
	if end, bounded := ctx.Deadline(); wait > p.Max || bounded && time.Until(end) <= wait {
		t.giveBack()
		return 0, false
	}
	return wait, true
}

// Observe begins a call that goes out for the observers alone: no policy limits
// it, and there are no attempts. The call goes on with the context returned.
func (a Adapter) Observe(ctx context.Context, c *Call) context.Context {
	for _, ob := range a.w.observers {
		ctx = ob.Begin(ctx, c)
	}
	return ctx
}

// Observed ends what Observe began. Class, Err and Duration are set by then.
func (a Adapter) Observed(ctx context.Context, c *Call) {
	for i := len(a.w.observers) - 1; i >= 0; i-- {
		a.w.observers[i].End(ctx, c)
	}
	if c.Panic != nil && c.Side == Server && a.w.o.log == nil { // else the log has it
		a.w.o.faults.report(ctx, "a call of "+c.Method, c.Panic, c.Stack)
	}
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
	return &callContext{Context: ctx, call: c}
}
