package router_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/router"
)

func TestMain(m *testing.M) { leak.Main(m) }

// world is a registry in memory, and a router on it.
type world struct {
	discovery.Discovery
	router.Router
	regs map[string]discovery.Registration
}

func (w *world) Close() {}

// start makes one whose draws and order of instances are the same in every run.
func start(t testing.TB, opts ...router.Option) *world {
	t.Helper()
	return chancy(t, append([]router.Option{router.WithClient("a"), seeded()}, opts...)...)
}

// chancy makes one that draws as a user's does.
func chancy(t testing.TB, opts ...router.Option) *world {
	t.Helper()
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(append([]router.Option{router.WithDiscovery(d)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(context.Background()), d.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &world{d, r, map[string]discovery.Registration{}}
}

func (w *world) add(t testing.TB, in discovery.Instance) {
	t.Helper()
	if in.Service == "" {
		in.Service = "greeter"
	}
	if in.Address == "" {
		in.Address = in.ID + ":80"
	}
	reg, err := w.Register(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	w.regs[in.ID] = reg
}

// nodes registers n instances and waits until the router knows them.
func (w *world) nodes(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		w.add(t, discovery.Instance{ID: fmt.Sprintf("n%04d", i)})
	}
	w.settle(t, n)
}

func (w *world) settle(t testing.TB, n int) {
	t.Helper()
	w.pick(t).Done(router.Outcome{Class: router.Cancelled})
	for end := time.Now().Add(30 * time.Second); len(w.Router.Stats("greeter")) != n; {
		if time.Now().After(end) {
			t.Fatalf("the router knows %d instances, want %d", len(w.Router.Stats("greeter")), n)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) pick(t testing.TB, opts ...router.SelectOption) router.Pick {
	t.Helper()
	p, err := w.Pick(t.Context(), "greeter", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shares makes n calls, each of which takes what latency says, and counts by instance.
func (w *world) shares(t testing.TB, n int, outcome func(id string) router.Outcome, opts ...router.SelectOption) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		p := w.pick(t, opts...)
		got[p.Instance.ID]++
		p.Done(outcome(p.Instance.ID))
	}
	return got
}

func ok(string) router.Outcome { return router.Outcome{Latency: 10 * time.Millisecond} }

func (w *world) stat(t testing.TB, id string) router.NodeStats {
	t.Helper()
	for _, s := range w.Router.Stats("greeter") {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("no instance %q", id)
	return router.NodeStats{}
}

func TestCallWithoutLabelsReachesANode(t *testing.T) {
	w := start(t)
	w.add(t, discovery.Instance{ID: "a", Labels: map[string]string{"version": "1"}})
	if p := w.pick(t); p.Instance.Address != "a:80" {
		t.Errorf("got %+v", p.Instance)
	}
}

func TestUnknownServiceIsAnErrorInTime(t *testing.T) {
	w := start(t)
	if _, err := w.Pick(t.Context(), "nobody"); !errors.Is(err, router.ErrNoInstances) || !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("got %v, want ErrNoInstances", err)
	}
	if _, err := w.Pick(t.Context(), ""); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("empty name: %v, want ErrInvalid", err)
	}
	w.Router.Close(t.Context())
	if _, err := w.Pick(t.Context(), "other"); !errors.Is(err, router.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

func TestLabelsAreAnd(t *testing.T) {
	w := start(t)
	w.add(t, discovery.Instance{ID: "a", Labels: map[string]string{"Version": "1", "zone": "x"}})
	w.add(t, discovery.Instance{ID: "b", Labels: map[string]string{"Version": "1", "zone": "y"}})
	w.add(t, discovery.Instance{ID: "c", Labels: map[string]string{"Version": "2", "zone": "y"}})
	w.settle(t, 3)
	for _, c := range []struct {
		labels map[string]string
		want   []string
	}{
		{nil, []string{"a", "b", "c"}},
		{map[string]string{"version": "1"}, []string{"a", "b"}},
		{map[string]string{"version": "1", "zone": "y"}, []string{"b"}},
		{map[string]string{"VERSION": "2"}, []string{"c"}},
	} {
		got := w.shares(t, 200, ok, router.Labels(c.labels))
		var ids []string
		for id := range got {
			ids = append(ids, id)
		}
		if slices.Sort(ids); !slices.Equal(ids, c.want) {
			t.Errorf("labels %v went to %v, want %v", c.labels, ids, c.want)
		}
	}
	var none *router.NoMatchError
	if _, err := w.Pick(t.Context(), "greeter", router.Labels(map[string]string{"version": "9"})); !errors.As(err, &none) || !errors.Is(err, router.ErrNoInstances) || none.Known != 3 {
		t.Errorf("no match: %v", err)
	}
	if got := w.shares(t, 100, ok); len(got) != 3 {
		t.Errorf("afterwards %v are known, want all three", got)
	}
}

func TestFallbackAnyIgnoresLabelsThatNobodyCarries(t *testing.T) {
	w := start(t, router.WithFallback(router.FallbackAny))
	w.nodes(t, 2)
	canary := router.Labels(map[string]string{"canary": "yes"})
	w.pick(t, canary).Done(router.Outcome{})
	if e := w.Explain("greeter", canary); e.Fallback == "" {
		t.Errorf("explained as %+v, want the fallback named", e)
	}
}

func TestSlowInstanceGetsLess(t *testing.T) {
	w := start(t)
	w.nodes(t, 4)
	got := w.shares(t, 4000, func(id string) router.Outcome {
		if id == "n0000" {
			return router.Outcome{Latency: 100 * time.Millisecond}
		}
		return ok(id)
	})
	if got["n0000"] > 400 {
		t.Errorf("the slow one of four got %d of 4000", got["n0000"])
	}
}

func TestFastFailuresDoNotAttract(t *testing.T) {
	w := start(t)
	w.nodes(t, 8)
	failed := 0
	w.shares(t, 10000, func(id string) router.Outcome {
		if id == "n0000" {
			failed++
			return router.Outcome{Class: router.ServerError, Latency: 100 * time.Microsecond}
		}
		return ok(id)
	})
	if failed > 20 {
		t.Errorf("%d of 10000 calls went to the instance that fails at once", failed)
	}
	w.shares(t, 5, failing("n0000"), router.Exclude("n0001", "n0002", "n0003", "n0004", "n0005", "n0006", "n0007"))
	if s := w.stat(t, "n0000"); !s.Ejected || s.Reason == "" || s.Until.IsZero() {
		t.Errorf("got %+v, want it ejected, with a reason", s)
	}
}

func TestClientErrorsAndCancellationsBlameNobody(t *testing.T) {
	for _, class := range []router.Class{router.ClientError, router.Cancelled} {
		w := start(t)
		w.nodes(t, 3)
		w.shares(t, 300, func(string) router.Outcome { return router.Outcome{Class: class, Latency: time.Millisecond} })
		for _, s := range w.Router.Stats("greeter") {
			if s.Ejected || s.Success != 1 || s.Outcomes[class] == 0 {
				t.Errorf("%v: %+v, want nobody blamed", class, s)
			}
			if class == router.Cancelled && s.Latency != 0 {
				t.Errorf("cancelled calls taught a latency of %v", s.Latency)
			}
		}
	}
}

func TestEjectionIsCappedAndEndsWithATrial(t *testing.T) {
	var mu sync.Mutex
	var now time.Duration
	w := start(t, router.WithClock(func() time.Duration { mu.Lock(); defer mu.Unlock(); return now }), router.WithPanic(0))
	forward := func(d time.Duration) { mu.Lock(); now += d; mu.Unlock() }
	w.nodes(t, 10)
	bad := true
	outcome := func(string) router.Outcome {
		if bad {
			return router.Outcome{Class: router.ServerError, Latency: time.Millisecond}
		}
		return ok("")
	}
	ejected := func() (n int) {
		for _, s := range w.Router.Stats("greeter") {
			if s.Ejected {
				n++
			}
		}
		return n
	}
	w.shares(t, 1000, outcome)
	if n := ejected(); n != 3 {
		t.Errorf("all fail: %d of 10 ejected, want 3", n)
	}
	bad = false
	forward(3 * time.Second) // longer than 2 s ± 10 %
	if n := ejected(); n != 0 {
		t.Errorf("%d still ejected after their time", n)
	}
	w.shares(t, 1000, outcome)
	if n := ejected(); n != 0 {
		t.Errorf("%d ejected though all do well", n)
	}
	ejections := uint64(0)
	for _, s := range w.Router.Stats("greeter") {
		if s.Ejections > 1 {
			t.Errorf("%s was ejected once, not %d times", s.ID, s.Ejections)
		}
		ejections += s.Ejections
	}
	if ejections != 3 {
		t.Errorf("%d ejections were counted, want the 3 that are over", ejections)
	}
}

func TestAllEjectedIsPanicAndStillServes(t *testing.T) {
	w := start(t)
	w.nodes(t, 2)
	w.shares(t, 100, func(string) router.Outcome { return router.Outcome{Class: router.Connect} })
	if p := w.pick(t); p.Instance == nil {
		t.Error("nothing to call")
	}
}

func TestDoneCountsOnce(t *testing.T) {
	w := start(t)
	w.nodes(t, 1)
	p := w.pick(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { p.Done(router.Outcome{Latency: time.Millisecond}) })
	}
	wg.Wait()
	var others []router.Pick
	for range 100 {
		others = append(others, w.pick(t))
	}
	p.Done(router.Outcome{}) // its attempt is another's by now
	if s := w.stat(t, "n0000"); s.InFlight != 100 || s.Outcomes[router.OK] != 1 {
		t.Errorf("got %+v, want 100 in flight and one ok", s)
	}
	for _, o := range others {
		o.Done(router.Outcome{Latency: time.Millisecond})
	}
	if s := w.stat(t, "n0000"); s.InFlight != 0 {
		t.Errorf("%d in flight, want none", s.InFlight)
	}
	router.Pick{}.Done(router.Outcome{}) // nothing to end
}

func TestPickThatIsNeverDoneIsForgotten(t *testing.T) {
	var mu sync.Mutex
	var now time.Duration
	w := start(t, router.WithClock(func() time.Duration { mu.Lock(); defer mu.Unlock(); return now }), router.WithLease(time.Minute))
	w.nodes(t, 1)
	late := w.pick(t)
	for range 4 {
		mu.Lock()
		now += time.Minute
		mu.Unlock()
		w.pick(t).Done(router.Outcome{Latency: time.Millisecond})
	}
	if s := w.stat(t, "n0000"); s.InFlight != 0 {
		t.Errorf("%d in flight after the lease, want none", s.InFlight)
	}
	late.Done(router.Outcome{Latency: time.Millisecond})
	if s := w.stat(t, "n0000"); s.InFlight != 0 {
		t.Errorf("%d in flight after a late Done, want none", s.InFlight)
	}
}

func TestNextGivesEachInstanceOnce(t *testing.T) {
	w := start(t)
	w.nodes(t, 3)
	next, err := w.Select(t.Context(), "greeter")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 3 {
		p, err := next()
		if err != nil || seen[p.Instance.ID] {
			t.Fatalf("got %v, %v after %v", p.Instance, err, seen)
		}
		seen[p.Instance.ID] = true
		p.Done(router.Outcome{Class: router.Connect})
	}
	if _, err := next(); !errors.Is(err, router.ErrExhausted) {
		t.Errorf("the fourth of three: %v, want ErrExhausted", err)
	}
}

func TestExcludeIsAWishNotACommand(t *testing.T) {
	w := start(t)
	w.nodes(t, 2)
	if got := w.shares(t, 100, ok, router.Exclude("n0000")); got["n0000"] != 0 {
		t.Errorf("an excluded instance got %d of 100", got["n0000"])
	}
	if got := w.shares(t, 10, ok, router.Exclude("n0000", "n0001")); len(got) == 0 {
		t.Error("nothing to call")
	}
}

// Select says at once what Pick would say, and its Next what has changed since.
func TestSelectWithNothingToSelectFrom(t *testing.T) {
	w := start(t)
	w.nodes(t, 1)
	if _, err := w.Select(t.Context(), ""); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("no name: %v, want ErrInvalid", err)
	}
	var none *router.NoMatchError
	if _, err := w.Select(t.Context(), "greeter", router.Labels(map[string]string{"version": "9"})); !errors.As(err, &none) || none.Known != 1 {
		t.Errorf("labels that nobody has: %v, want a NoMatchError of one instance", err)
	}
	next, err := w.Select(t.Context(), "greeter")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.regs["n0000"].Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the instance is gone", func() bool { return len(w.Router.Stats("greeter")) == 0 })
	if _, err := next(); !errors.Is(err, router.ErrNoInstances) || errors.As(err, &none) {
		t.Errorf("the only one has left: %v, want ErrNoInstances", err)
	}
}

// mute is a registry that never answers.
type mute struct{ discovery.Discovery }

func (mute) Get(ctx context.Context, service string, _ ...discovery.GetOption) (discovery.Snapshot, error) {
	<-ctx.Done()
	return discovery.Snapshot{}, ctx.Err()
}

func (mute) Watch(ctx context.Context, _ string) iter.Seq2[discovery.Snapshot, error] {
	return func(func(discovery.Snapshot, error) bool) { <-ctx.Done() }
}

func TestCloseEndsAPickThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := router.New(router.WithDiscovery(mute{}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.Pick(ctx, "greeter"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that gives up: %v", err)
		}
		got := make(chan error)
		go func() { _, err := r.Pick(t.Context(), "greeter"); got <- err }()
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-got; !errors.Is(err, router.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestWhatWasLearntSurvivesChurn(t *testing.T) {
	w := start(t)
	w.nodes(t, 3)
	w.shares(t, 300, ok)
	before := w.stat(t, "n0000")
	w.regs["n0001"].Deregister(t.Context())
	w.settle(t, 2)
	w.add(t, discovery.Instance{ID: "n0001"})
	w.settle(t, 3)
	if after := w.stat(t, "n0000"); after.Picks < before.Picks || after.Latency == 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if s := w.stat(t, "n0001"); s.Latency == 0 {
		t.Error("an instance that came back is a stranger")
	}
}

func TestDrainingInstancesGetNothing(t *testing.T) {
	w := start(t)
	w.nodes(t, 3)
	if err := w.regs["n0001"].Update(t.Context(), func(in *discovery.Instance) { in.Status = discovery.Draining }); err != nil {
		t.Fatal(err)
	}
	await(t, "the router hears of it", func() bool { return w.why("n0001") == "last choice: draining" })
	if got := w.shares(t, 100, ok); got["n0001"] != 0 {
		t.Errorf("a draining instance got %d of 100", got["n0001"])
	}
	if e := w.Explain("greeter"); e.Healthy != 2 || e.Known != 3 {
		t.Errorf("%d of %d are said to be healthy, want 2 of 3", e.Healthy, e.Known)
	}
	if p := w.pick(t, router.Exclude("n0000", "n0002")); p.Instance.ID != "n0001" || p.Panic {
		t.Errorf("when the others were tried: %s, panic %v, want the draining one", p.Instance.ID, p.Panic)
	}
}

func TestSharesFollowTheStrategy(t *testing.T) {
	for _, c := range []struct {
		strategy router.Strategy
		weights  []int
		chance   bool // shares are random
	}{
		{router.Random(), []int{1, 1, 1, 1}, true},
		{router.RoundRobin(), []int{1, 1, 1, 1}, false},
		{router.WeightedRoundRobin(), []int{1, 2, 3, 4}, false},
	} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			w := start(t, router.WithStrategy(c.strategy))
			total := 0
			for i, weight := range c.weights {
				w.add(t, discovery.Instance{ID: fmt.Sprintf("n%d", i), Weight: weight})
				total += weight
			}
			w.settle(t, len(c.weights))
			const calls = 10000
			got, chi := w.shares(t, calls, ok), 0.0
			for i, weight := range c.weights {
				want := calls * float64(weight) / float64(total)
				diff := float64(got[fmt.Sprintf("n%d", i)]) - want
				chi += diff * diff / want
				if !c.chance && math.Abs(diff) > 2 {
					t.Errorf("instance %d got %v more than its share of %v", i, diff, want)
				}
			}
			if chi > 21.1 { // 3 degrees of freedom, p = 0.0001
				t.Errorf("chi-square %.1f of %v", chi, got)
			}
		})
	}
}

func TestCallsStayInTheirZoneUntilItIsSlow(t *testing.T) {
	w := start(t, router.WithZone("a"))
	for i := range 6 {
		zone := "a"
		if i >= 3 {
			zone = "b"
		}
		w.add(t, discovery.Instance{ID: fmt.Sprintf("%s%d", zone, i), Zone: zone})
	}
	w.settle(t, 6)
	home := func(latency time.Duration) int {
		got := w.shares(t, 2000, func(id string) router.Outcome {
			if id[0] == 'a' {
				return router.Outcome{Latency: latency}
			}
			return ok(id)
		})
		return got["a0"] + got["a1"] + got["a2"]
	}
	if n := home(10 * time.Millisecond); n < 1900 {
		t.Errorf("%d of 2000 calls stayed at home, want nearly all", n)
	}
	if n := home(12 * time.Millisecond); n < 1900 {
		t.Errorf("%d of 2000 calls stayed when home was a little slower, want nearly all", n)
	}
	home(100 * time.Millisecond)
	if n := home(100 * time.Millisecond); n > 400 {
		t.Errorf("%d of 2000 calls stayed when home was ten times slower, want most to spill over", n)
	}
}

func TestHashIsStickyAndMovesLittle(t *testing.T) {
	w := start(t, router.WithStrategy(router.Hash(0)))
	w.nodes(t, 10)
	where := func() map[int]string {
		m := map[int]string{}
		for i := range 1000 {
			p := w.pick(t, router.Key(fmt.Sprint(i)))
			m[i] = p.Instance.ID
			p.Done(router.Outcome{Latency: time.Millisecond})
		}
		return m
	}
	before := where()
	for i, id := range where() {
		if before[i] != id {
			t.Fatalf("key %d moved from %s to %s though nothing changed", i, before[i], id)
		}
	}
	w.add(t, discovery.Instance{ID: "n0010"})
	w.settle(t, 11)
	moved := 0
	for i, id := range where() {
		if id != before[i] {
			moved++
			if id != "n0010" {
				t.Fatalf("key %d moved between old instances", i)
			}
		}
	}
	if moved < 50 || moved > 140 {
		t.Errorf("%d of 1000 keys moved, want about a eleventh", moved)
	}
}

func TestHashIsBounded(t *testing.T) {
	w := start(t, router.WithStrategy(router.Hash(1.25)))
	w.nodes(t, 10)
	got := map[string]int{}
	for range 100 { // all in flight at once, with one key
		got[w.pick(t, router.Key("hot")).Instance.ID]++
	}
	for id, n := range got {
		if n > 14 {
			t.Errorf("%s has %d of 100 in flight on 10 instances, want at most 13", id, n)
		}
	}
}

func TestPickAndDoneDoNotAllocate(t *testing.T) {
	w := chancy(t)
	for i := range 100 {
		w.add(t, discovery.Instance{ID: fmt.Sprintf("n%04d", i), Labels: map[string]string{"zone": fmt.Sprint(i % 2), "tier": "web"}})
	}
	w.settle(t, 100)
	for name, opts := range map[string][]router.SelectOption{
		"plain": nil, "key": {router.Key("k")}, "method": {router.Method("m")},
		"labels": {router.Labels(map[string]string{"zone": "1", "tier": "web"})},
	} {
		if n := testing.AllocsPerRun(1000, func() {
			p, err := w.Pick(context.Background(), "greeter", opts...)
			if err != nil {
				t.Fatal(err)
			}
			p.Done(router.Outcome{Latency: time.Millisecond})
		}); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func TestConcurrentUseUnderChurn(t *testing.T) {
	w := chancy(t)
	w.nodes(t, 5)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				p, err := w.Pick(context.Background(), "greeter")
				if err != nil {
					t.Error(err)
					return
				}
				p.Done(router.Outcome{Class: router.Class(i % 8), Latency: time.Millisecond})
			}
		})
	}
	for i := range 20 {
		w.regs["n0001"].Update(t.Context(), func(in *discovery.Instance) { in.Weight = i + 1 })
		w.Explain("greeter")
	}
	cancel()
	wg.Wait()
	for _, s := range w.Router.Stats("greeter") {
		if s.InFlight != 0 {
			t.Errorf("%s has %d in flight at the end", s.ID, s.InFlight)
		}
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	d, _ := discovery.New()
	defer d.Close()
	for name, opts := range map[string][]router.Option{
		"nil": {nil}, "no discovery": {}, "nil discovery": {router.WithDiscovery(nil)}, "strategy": {router.WithStrategy(nil)},
		"zone": {router.WithZone("")}, "panic": {router.WithPanic(2)}, "NaN": {router.WithPanic(math.NaN())}, "client": {router.WithClient("")},
		"rule source": {router.WithRuleSource(nil)}, "clock": {router.WithClock(nil)}, "random": {router.WithRandom(nil)},
		"fallback": {router.WithFallback(9)}, "ejection": {router.WithEjection(router.Ejection{Cap: 2})}, "logger": {router.WithLogger(nil)},
	} {
		if _, err := router.New(opts...); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func BenchmarkPickDone(b *testing.B) {
	labels := []router.SelectOption{router.Labels(map[string]string{"zone": "1"})}
	for _, c := range []struct {
		name     string
		opts     []router.SelectOption
		breakers bool
	}{{"plain", nil, false}, {"labels", labels, false}, {"labels and breakers", labels, true}} {
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				var opts []router.Option
				if c.breakers {
					opts = append(opts, router.WithBreakers(router.Breakers{}))
				}
				w := chancy(b, opts...)
				for i := range n {
					w.add(b, discovery.Instance{ID: fmt.Sprintf("n%04d", i), Labels: map[string]string{"zone": fmt.Sprint(i % 2)}})
				}
				w.settle(b, n)
				ctx := context.Background()
				b.ReportAllocs()
				for b.Loop() {
					p, err := w.Pick(ctx, "greeter", c.opts...)
					if err != nil {
						b.Fatal(err)
					}
					p.Done(router.Outcome{Latency: time.Millisecond})
				}
			})
		}
	}
}

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s in vain: %s", what)
		}
	}
}

// why is why an instance can't be chosen.
func (w *world) why(id string) string {
	for _, c := range w.Explain("greeter").Nodes {
		if c.ID == id {
			return c.Why
		}
	}
	return "unknown"
}
