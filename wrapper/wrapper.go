package wrapper

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace/baggage"
)

// Wrapper is what New puts together. It is immutable and safe for concurrent
// use.
type Wrapper struct {
	o         *options
	observers []Observer
	attempts  []AttemptObserver
	gates     []Gate
	life      *life.Life
	sources   sources

	registrations registrations
	processor     processor
	took          durations // by calls that came in
	inFlight      atomic.Int64
	draining      atomic.Bool
	idle          chan struct{} // a token whenever inFlight may have come to 0
	plain         [2]*plan      // by side: how calls are made that no policy matches
	policies      atomic.Pointer[policies]
	counts        *metricsObserver // nil without metrics
	measured      sources          // what is read for metrics
	limitPolicy   policyField
	client        *http.Client
	presenter     *auth.Presenter // nil without auth
}

// New puts middleware together. WithName is required.
func New(opts ...Option) (*Wrapper, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	w := &Wrapper{o: o, life: life.New(), idle: make(chan struct{}, 1)}
	w.plain = [2]*plan{Server: o.plain(Server), Client: o.plain(Client)}
	// The log comes after the trace, so that its records carry the span.
	if o.trace != nil {
		w.observers = append(w.observers, traceObserver{o.trace})
	}
	if o.metrics != nil {
		w.counts = newMetricsObserver(o.metrics)
		w.observers = append(w.observers, w.counts)
	}
	if o.monitor != nil {
		w.observers = append(w.observers, monitorObserver{o.monitor})
	}
	if o.log != nil {
		w.observers = append(w.observers, newLogObserver(o))
	}
	for _, ob := range o.observers {
		w.observers = append(w.observers, w.o.faults.guard(ob))
	}
	for _, ob := range w.observers {
		if a, ok := ob.(AttemptObserver); ok {
			w.attempts = append(w.attempts, a)
		}
	}
	w.gates = append(w.gates, o.gates...)
	if o.auth != nil {
		w.presenter = auth.NewPresenter(o.auth)
		w.gates = append(w.gates, &authGate{auth: o.auth, service: o.name, public: o.public, paths: o.publicPaths})
	}
	if len(w.gates) > 0 {
		w.gates = slices.Insert(w.gates, 0, Gate(pathGate{}))
	}
	first, err := w.compile(o.policies, nil)
	if err != nil {
		return nil, fault.Wrap("wrapper", "new", "", fault.Mark(ErrInvalid, err))
	}
	w.policies.Store(first)
	w.client = &http.Client{Transport: w.Transport(nil)}
	for _, r := range o.registrations {
		w.AddRegistration(r)
	}
	if o.metrics != nil {
		w.measure()
	}
	return w, nil
}

// Client returns an HTTP client that finds, balances, retries, traces and
// authenticates, on connections of its own. It is always the same one.
func (w *Wrapper) Client() *http.Client { return w.client }

// Middleware is Handler in the form that routers take.
func (w *Wrapper) Middleware() func(http.Handler) http.Handler { return w.Handler }

// Begin starts a call: baggage is read from the header of one that comes in,
// observers begin, then limits and gates are asked. It is how adapters of other
// protocols stand on a Wrapper. If it returns an error the call is refused, and
// End has still to be called, with c.Class and c.Err set. A call that goes out
// is refused by the limit of a policy only.
func (w *Wrapper) Begin(ctx context.Context, c *Call) (context.Context, error) {
	if c.Side == Server && c.Header != nil {
		ctx = baggage.Extract(ctx, c.Header)
	}
	ctx = w.Adapter().Observe(ctx, c)
	if c.Side == Client {
		return ctx, w.enter(ctx, c, 0)
	}
	w.inFlight.Add(1)
	return w.pass(ctx, c)
}

// pass asks the gates. Those that let the call through before another refused
// it are left at once.
func (w *Wrapper) pass(ctx context.Context, c *Call) (context.Context, error) {
	if !c.Message && overdue(ctx) { // nobody waits any more
		c.refused = true
		return ctx, errOverdue
	}
	if err := w.enter(ctx, c, len(w.gates)); err != nil {
		c.refused = true
		return ctx, err
	}
	for i, g := range w.gates {
		next, err := ask(ctx, c, g)
		if err != nil && c.Message {
			next, err = w.patience(ctx, c, g, err)
		}
		if err != nil {
			c.refused = true
			for _, entered := range w.gates[:i] {
				w.leave(ctx, c, entered)
			}
			c.release(len(w.gates), router.Cancelled)
			return ctx, err
		}
		ctx = next
	}
	return ctx, nil
}

var errGate = errors.New("a gate panicked")

// ask asks a gate, which may be the user's. One that panics refuses the call: it
// must not keep what others have given, nor the count of calls in progress. A
// nil context changes nothing.
func ask(ctx context.Context, c *Call, g Gate) (next context.Context, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.Panic, c.Stack = v, debug.Stack()
			next, err = ctx, errGate
		} else if next == nil {
			next = ctx
		}
	}()
	return g.Enter(ctx, c)
}

// enter acquires from the limit of the call's policy, whose permit has its
// place behind those of the gates.
func (w *Wrapper) enter(ctx context.Context, c *Call, at int) error {
	p := w.planOf(c)
	if p.limit == nil || c.Side == Server && isProbe(c) {
		return nil
	}
	permit, err := p.acquire(ctx, c)
	if err == nil {
		c.keep(at, permit)
		c.passed(ctx, p.limit, w.o.faults)
	}
	return err
}

// errOverdue is the refusal of a call whose deadline was over when it came.
var errOverdue = fmt.Errorf("the call's deadline was over before it began: %w", context.DeadlineExceeded)

// patience asks a gate again about a message that it refused as one too many:
// nobody would send it again in time, and it must not become a dead letter for
// that. It waits as long as the gate says, until ctx or the Wrapper ends.
func (w *Wrapper) patience(ctx context.Context, c *Call, g Gate, err error) (context.Context, error) {
	open, release := w.life.Join(ctx)
	defer release()
	next := ctx
	for n := 0; err != nil && errors.Is(err, router.ErrLimited); n++ {
		wait := backoff.Policy{Min: time.Millisecond, Max: 100 * time.Millisecond}.Wait(n)
		var later interface{ RetryAfter() time.Duration }
		if errors.As(err, &later) {
			wait = max(wait, later.RetryAfter())
		}
		if backoff.Sleep(open, wait) != nil {
			return ctx, err
		}
		next, err = ask(ctx, c, g)
	}
	return next, err
}

// End ends what Begin began.
func (w *Wrapper) End(ctx context.Context, c *Call) {
	if c.Side == Server {
		if !c.refused {
			for i := len(w.gates) - 1; i >= 0; i-- {
				w.leave(ctx, c, w.gates[i])
			}
			c.release(len(w.gates), c.taught())
		}
		if w.o.load && !c.Hijacked && c.Class != router.Cancelled && !c.refused {
			w.took.add(c.Duration)
		}
		if w.inFlight.Add(-1) == 0 {
			select {
			case w.idle <- struct{}{}:
			default:
			}
		}
	}
	if c.Side == Client && c.permits != nil {
		c.release(0, w.blame(ctx, c, c.Class, c.Duration))
	}
	w.Adapter().Observed(ctx, c)
}
