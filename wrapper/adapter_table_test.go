package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace/baggage"
	"github.com/micro/go-platform/wrapper"
)

// Which calls of an adapter's are sent again: by what came of them, how often they
// were sent, and whether there is time and budget.
func TestWhichCallsAreSentAgain(t *testing.T) {
	const s = time.Second
	type call struct {
		class      router.Class
		idempotent bool
		n          int
		pushback   time.Duration
		left       time.Duration // until the deadline; 0: none
		policy     wrapper.RetryPolicy
	}
	few := wrapper.RetryPolicy{Min: time.Millisecond, Max: s}
	for _, c := range []struct {
		name string
		call call
		want bool
		wait time.Duration // at the least
	}{
		{"unsent", call{router.Unsent, false, 1, 0, 0, few}, true, 0}, {"unsent, three times", call{router.Unsent, false, 3, 0, 0, few}, false, 0}, {"unsent, twice", call{router.Unsent, false, 2, 0, 0, few}, true, 0},
		{"no connection", call{router.Connect, true, 1, 0, 0, few}, true, 0}, {"no connection, but not idempotent", call{router.Connect, false, 1, 0, 0, few}, false, 0},
		{"overload", call{router.Overload, true, 1, 0, 0, few}, true, 0}, {"timeout", call{router.Timeout, true, 1, 0, 0, few}, true, 0}, {"overload, but not idempotent", call{router.Overload, false, 1, 0, 0, few}, false, 0},
		{"good", call{router.OK, true, 1, 0, 0, few}, false, 0}, {"the server's error", call{router.ServerError, true, 1, 0, 0, few}, false, 0}, {"the caller's error", call{router.ClientError, true, 1, 0, 0, few}, false, 0}, {"cancelled", call{router.Cancelled, true, 1, 0, 0, few}, false, 0},
		{"the server says when", call{router.Overload, true, 1, s / 2, 0, few}, true, s / 2}, {"as late as may be", call{router.Overload, true, 1, s, 0, few}, true, s}, {"too late", call{router.Overload, true, 1, s + 1, 0, few}, false, 0}, {"the server says never", call{router.Overload, true, 1, -1, 0, few}, false, 0},
		{"in time", call{router.Overload, true, 1, s / 2, s/2 + 1, few}, true, s / 2}, {"not in time", call{router.Overload, true, 1, s / 2, s / 2, few}, false, 0}, {"the deadline is over", call{router.Unsent, true, 1, 0, -1, few}, false, 0},
		{"never again", call{router.Unsent, true, 1, 0, 0, wrapper.RetryPolicy{Attempts: 1}}, false, 0}, {"often", call{router.Unsent, true, 9, 0, 0, wrapper.RetryPolicy{Attempts: 10, Max: s}}, true, 0},
		{"no budget", call{router.Unsent, true, 1, 0, 0, wrapper.RetryPolicy{PerSecond: .5, Ratio: .1}}, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWrapper(t, wrapper.WithRetry(c.call.policy))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.call.left != 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, c.call.left)
				defer stop()
			}
			one := &wrapper.Call{Side: wrapper.Client, Service: "greeter"}
			for range 3 {
				wait, again := w.Adapter().Again(ctx, one, c.call.class, c.call.n, c.call.idempotent, c.call.pushback)
				if again != c.want || wait < c.wait || wait > max(c.wait, s) || !again && wait != 0 {
					t.Errorf("%s: again %v after %v, want %v after %v", c.name, again, wait, c.want, c.wait)
				}
			}
			if again := c.want && c.call.left == 0; again {
				cancel()
				if _, again := w.Adapter().Again(ctx, one, c.call.class, c.call.n, c.call.idempotent, c.call.pushback); again {
					t.Errorf("%s: again though the caller has left", c.name)
				}
			}
		})
	}
}

// A retry that does not fit in gives back what it took, and calls pay for more.
func TestBudgetOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWrapper(t, wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 2, Ratio: .5, Max: time.Second}))
		one := &wrapper.Call{Side: wrapper.Client, Service: "greeter"}
		again := func(pushback time.Duration) bool {
			_, ok := w.Adapter().Again(t.Context(), one, router.Unsent, 1, true, pushback)
			return ok
		}
		count := func(most int) (n int) {
			for n < most && again(0) {
				n++
			}
			return n
		}
		for range 10 {
			if again(time.Minute) {
				t.Error("a retry that is too late was scheduled")
			}
		}
		for i, c := range []struct {
			calls int
			after time.Duration
			want  int
		}{{0, 0, 2}, {0, 499 * time.Millisecond, 0}, {0, 2 * time.Millisecond, 1}, {1, 0, 0}, {1, 0, 1}, {4, 0, 2}, {0, time.Second, 2}, {0, time.Hour, 70}, {1000, 0, 70}} {
			for range c.calls {
				w.Adapter().Called(one)
			}
			time.Sleep(c.after)
			if got := count(200); got != c.want {
				t.Errorf("step %d: after %d calls and %v there are %d retries, want %d", i, c.calls, c.after, got, c.want)
			}
		}
		other := &wrapper.Call{Side: wrapper.Client, Service: "another"}
		if _, ok := w.Adapter().Again(t.Context(), other, router.Unsent, 1, true, 0); !ok {
			t.Error("another service has no budget of its own")
		}
	})
}

// What ended at a deadline speaks against an instance if it took twice as long as is
// usual, or eight times and a second if the caller had brought the deadline.
func TestWhomADeadlineBlames(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name               string
		class              router.Class
		known              time.Duration // what is usual; 0: not known
		bounded, borrowed  bool
		took               time.Duration
		cancelled          bool
		enough             int // answers from which that is known
		longer             time.Duration
		callersOwnDeadline time.Duration
	}{
		{name: "no deadline", class: router.Timeout, took: ms}, {name: "no timeout", class: router.ServerError, bounded: true, took: ms, known: ms},
		{name: "nothing is known", class: router.Timeout, bounded: true, took: ms}, {name: "nothing is known, borrowed", class: router.Timeout, bounded: true, borrowed: true, took: time.Hour, cancelled: true},
		{name: "as usual", class: router.Timeout, bounded: true, known: 100 * ms, took: 199 * ms, cancelled: true}, {name: "twice", class: router.Timeout, bounded: true, known: 100 * ms, took: 200 * ms},
		{name: "borrowed, seven times", class: router.Timeout, bounded: true, borrowed: true, known: 500 * ms, took: 3999 * ms, cancelled: true}, {name: "borrowed, eight times", class: router.Timeout, bounded: true, borrowed: true, known: 500 * ms, took: 4000 * ms},
		{name: "borrowed, less than a second", class: router.Timeout, bounded: true, borrowed: true, known: ms, took: time.Second - 1, cancelled: true}, {name: "borrowed, a second", class: router.Timeout, bounded: true, borrowed: true, known: ms, took: time.Second},
		{name: "nineteen answers", class: router.Timeout, bounded: true, known: 100 * ms, took: ms, enough: 19}, {name: "twenty answers", class: router.Timeout, bounded: true, known: 100 * ms, took: ms, enough: 20, cancelled: true},
		{name: "the call's own deadline is sooner", class: router.Timeout, bounded: true, borrowed: true, callersOwnDeadline: time.Second, known: 100 * ms, took: 200 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWrapper(t)
			one := &wrapper.Call{Side: wrapper.Client, Service: "greeter"}
			if c.known > 0 {
				n := 20
				if c.enough > 0 {
					n = c.enough
				}
				for range n {
					w.Adapter().Took(one, c.known)
				}
			}
			ctx := t.Context()
			if c.borrowed { // on behalf of a call that came in with a deadline
				in := &wrapper.Call{Side: wrapper.Server, Start: time.Now()}
				w.Adapter().Brought(in, time.Now().Add(time.Minute))
				ctx = w.Adapter().Context(ctx, in)
			}
			if c.bounded {
				d := time.Minute
				if c.callersOwnDeadline > 0 {
					d = c.callersOwnDeadline
				}
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			want := c.class
			if c.cancelled {
				want = router.Cancelled
			}
			if got := w.Adapter().Blame(ctx, one, c.class, c.took); got != want {
				t.Errorf("%s: the router learns %v, want %v", c.name, got, want)
			}
		})
	}
}

// The bound of a call's context, by side, options, policy and the caller's deadline.
func TestBoundsOfAdaptersCalls(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name string
		side wrapper.Side
		opts []wrapper.Option
		has  time.Duration // the context's own
		want time.Duration // 0: none
	}{
		{"goes out", wrapper.Client, nil, 0, 30 * s}, {"goes out with a deadline", wrapper.Client, nil, 50 * s, 50 * s}, {"goes out, bounded", wrapper.Client, []wrapper.Option{wrapper.WithClientTimeout(5 * s)}, 0, 5 * s},
		{"goes out, bounded, with a deadline", wrapper.Client, []wrapper.Option{wrapper.WithClientTimeout(5 * s)}, 50 * s, 50 * s}, {"goes out, never bounded", wrapper.Client, []wrapper.Option{wrapper.WithClientTimeout(wrapper.NoTimeout)}, 0, 0},
		{"by a policy", wrapper.Client, []wrapper.Option{wrapper.WithPolicies(wrapper.Policy{Service: "greeter", Timeout: 7 * s})}, 0, 7 * s},
		{"by a policy that says nothing of time", wrapper.Client, []wrapper.Option{wrapper.WithClientTimeout(5 * s), wrapper.WithPolicies(wrapper.Policy{Service: "greeter", Retry: &wrapper.RetryPolicy{}})}, 0, 5 * s},
		{"comes in", wrapper.Server, nil, 0, 0}, {"comes in with a deadline", wrapper.Server, nil, 50 * s, 50 * s}, {"comes in, bounded", wrapper.Server, []wrapper.Option{wrapper.WithServerTimeout(5 * s)}, 0, 5 * s},
		{"comes in, bounded sooner", wrapper.Server, []wrapper.Option{wrapper.WithServerTimeout(5 * s)}, 50 * s, 5 * s}, {"comes in, bounded later", wrapper.Server, []wrapper.Option{wrapper.WithServerTimeout(90 * s)}, 50 * s, 50 * s},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWrapper(t, c.opts...)
			ctx := t.Context()
			if c.has > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.has)
				defer cancel()
			}
			one := &wrapper.Call{Side: c.side, Service: "greeter", Method: "m"}
			got, cancel := w.Adapter().Bound(ctx, one)
			end, bounded := got.Deadline()
			if bounded != (c.want > 0) || bounded && time.Until(end) != c.want {
				t.Errorf("%s: bounded %v by %v, want %v", c.name, bounded, time.Until(end), c.want)
			}
			cancel()
			if (got.Err() != nil) != (c.want > 0 && c.want != c.has) {
				t.Errorf("%s: after cancel: %v", c.name, got.Err())
			}
		})
	}
	for d, opts := range map[time.Duration][]wrapper.Option{0: nil, s: {wrapper.WithAttemptTimeout(s)}, 2 * s: {wrapper.WithAttemptTimeout(s), wrapper.WithPolicies(wrapper.Policy{AttemptTimeout: 2 * s})}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWrapper(t, opts...)
			ctx, cancel := w.Adapter().BoundAttempt(t.Context(), &wrapper.Call{Side: wrapper.Client, Service: "greeter"})
			defer cancel()
			if end, bounded := ctx.Deadline(); bounded != (d > 0) || bounded && time.Until(end) != d {
				t.Errorf("an attempt is bounded %v, by %v, want %v", bounded, time.Until(end), d)
			}
		})
	}
}

// What callers send beside their request is read within limits.
func TestWhatIsReadOfACallersHeader(t *testing.T) {
	a := newWrapper(t).Adapter()
	for v, want := range map[string]time.Duration{"0": 0, "1": time.Millisecond, "1500": 1500 * time.Millisecond, "999999999999": 999999999999 * time.Millisecond, "": -1, "-1": -1, "+1": -1, "1.5": -1, " 1": -1, "x": -1, "1000000000000": -1} {
		if got, ok := a.Remaining(v); ok != (want >= 0) || got != max(want, 0) {
			t.Errorf("%q ms remain: %v, %v, want %v", v, got, ok, want)
		}
	}
	for id, kept := range map[string]bool{"a": true, "!~": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "": false, " ": false, "a b": false, "a\x00": false, "a\x7f": false, "ä": false} {
		if got := a.RequestID(id); (got == id) != kept || got == "" || !kept && len(got) != 32 {
			t.Errorf("the id %q becomes %q, want it kept: %v", id, got, kept)
		}
	}
	once, again := a.RequestID(""), a.RequestID("")
	if once == again {
		t.Error("two new ids are equal")
	}
	type labels = map[string]string
	for _, c := range []struct {
		header map[string][]string
		want   labels
	}{
		{nil, nil}, {map[string][]string{"X-Micro-Label-A": {"1"}}, labels{"a": "1"}}, {map[string][]string{"x-micro-label-a": {"1", "2"}}, labels{"a": "1"}}, {map[string][]string{"X-Micro-Label-": {"1"}}, nil},
		{map[string][]string{"X-Micro-Label-A": {}}, nil}, {map[string][]string{"X-Micro-Lable-A": {"1"}}, nil}, {map[string][]string{"X-Micro-Label-A": {""}, "X-Micro-Label-B": {"2"}}, labels{"a": "", "b": "2"}},
		{map[string][]string{"X-Micro-Label-A": {"1\n"}}, nil}, {map[string][]string{"X-Micro-Label-" + strings.Repeat("a", 63): {"1"}}, labels{strings.Repeat("a", 63): "1"}}, {map[string][]string{"X-Micro-Label-" + strings.Repeat("a", 64): {"1"}}, nil},
		{map[string][]string{"X-Micro-Label-A": {strings.Repeat("v", 255)}}, labels{"a": strings.Repeat("v", 255)}}, {map[string][]string{"X-Micro-Label-A": {strings.Repeat("v", 256)}}, nil},
	} {
		flat := labels{}
		for k, v := range c.header {
			if len(v) > 0 {
				flat[k] = v[0]
			}
		}
		if got, again := a.Labels(c.header), a.MessageLabels(flat); !maps.Equal(got, c.want) || !maps.Equal(again, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v says the labels %v, and of a message %v, want %v", c.header, got, again, c.want)
		}
	}
	many := map[string][]string{}
	for i := range 20 {
		many[fmt.Sprint("X-Micro-Label-", i)] = []string{"v"}
	}
	if got := a.Labels(many); len(got) != 16 {
		t.Errorf("%d labels of 20 are kept, want 16", len(got))
	}
}

// Labels of a context add up, under names in lower case.
func TestLabelsOfAContext(t *testing.T) {
	none := t.Context()
	if wrapper.ContextWithLabels(none, nil) != none || wrapper.LabelsFromContext(none) != nil {
		t.Error("no labels change the context")
	}
	one := wrapper.ContextWithLabels(none, map[string]string{"A": "1", "b": "2"})
	two := wrapper.ContextWithLabels(one, map[string]string{"B": "3"})
	if got := wrapper.LabelsFromContext(one); !maps.Equal(got, map[string]string{"a": "1", "b": "2"}) {
		t.Errorf("the first has %v", got)
	}
	if got := wrapper.LabelsFromContext(two); !maps.Equal(got, map[string]string{"a": "1", "b": "3"}) {
		t.Errorf("the second has %v", got)
	}
}

// asked is a router that shows how a call explains itself to it.
type asked struct {
	router.Router
	opts []router.SelectOption
}

func (r *asked) Pick(_ context.Context, _ string, opts ...router.SelectOption) (router.Pick, error) {
	r.opts = slices.Clone(opts)
	return router.Pick{Instance: &discovery.Instance{ID: "i", Address: "127.0.0.1:1"}}, nil
}
func (*asked) Close(context.Context) error { return nil }

// What a choice depends on: the method, a key, labels, and who was tried.
func TestWhatAChoiceDependsOn(t *testing.T) {
	for _, c := range []struct {
		name, key string
		labels    map[string]string
		tried     []string
		want      int
	}{{"the method", "", nil, nil, 1}, {"a key", "k", nil, nil, 2}, {"labels", "", map[string]string{"a": "1"}, nil, 2}, {"who was tried", "", nil, []string{"i"}, 2}, {"all", "k", map[string]string{"a": "1"}, []string{"i"}, 4}} {
		w := newWrapper(t, wrapper.WithKey(func(context.Context) string { return c.key }))
		if got := w.Adapter().SelectOptions(wrapper.ContextWithLabels(t.Context(), c.labels), "m", c.tried, nil); len(got) != c.want {
			t.Errorf("%s: the choice depends on %d things, want %d", c.name, len(got), c.want)
		}
	}
	if got := newWrapper(t).Adapter().SelectOptions(t.Context(), "m", nil, nil); len(got) != 1 {
		t.Errorf("without a function for keys the choice depends on %d things", len(got))
	}
}

// What a Wrapper was given, an adapter gets; what it was not, is nil or does nothing.
func TestWhatAnAdapterGets(t *testing.T) {
	bare := newWrapper(t).Adapter()
	if bare.Metrics() != nil || bare.Router() != nil || bare.Auth() != nil || bare.Presenter() != nil || bare.Name() == "" {
		t.Errorf("%v, %v, %v, %v", bare.Metrics(), bare.Router(), bare.Auth(), bare.Presenter())
	}
	if token, err := bare.Token(t.Context(), "greeter"); token != nil || err != nil {
		t.Errorf("without auth a token: %v, %v", token, err)
	}
	bare.OnCollect(func() { t.Error("collected") })()
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	w := newWrapper(t, wrapper.WithMetrics(m), wrapper.WithRouter(&asked{}))
	if w.Adapter().Metrics() != m || w.Adapter().Router() == nil {
		t.Error("an adapter does not get what the Wrapper has")
	}
	collected, other := 0, 0
	stop := w.Adapter().OnCollect(func() { collected++ })
	w.Adapter().OnCollect(func() { other++ })
	m.Snapshot()
	stop()
	m.Snapshot()
	if collected != 1 || other != 2 {
		t.Errorf("collected %d times, and the other %d times, want 1 and 2", collected, other)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	before := other
	m.Snapshot()
	if other != before {
		t.Error("collected after Close")
	}
}

// Named members of the baggage are metadata, if they are there.
func TestNamedBaggageOfMessages(t *testing.T) {
	ctx := t.Context()
	for name, value := range map[string]string{"tenant": "a", "other": "b"} {
		next, err := baggage.Set(ctx, name, value)
		if err != nil {
			t.Fatal(err)
		}
		ctx = next
	}
	for _, c := range []struct {
		names []string
		want  map[string]string
	}{{nil, nil}, {[]string{"tenant"}, map[string]string{"tenant": "a"}}, {[]string{"none"}, nil}, {[]string{"none", "other"}, map[string]string{"other": "b"}}} {
		a := newWrapper(t, wrapper.WithBaggage(c.names...)).Adapter()
		if got := a.NamedBaggage(ctx); !maps.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v: %v, want %v", c.names, got, c.want)
		}
		if got := a.NamedBaggage(t.Context()); got != nil {
			t.Errorf("%v without baggage: %v", c.names, got)
		}
	}
	if _, err := wrapper.New(wrapper.WithName("a"), wrapper.WithBaggage("a", "")); !errors.Is(err, wrapper.ErrInvalid) {
		t.Errorf("an empty name: %v", err)
	}
}
