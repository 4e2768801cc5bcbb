package router_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// listed is a still router whose instances a test lists. It runs in a bubble.
func listed(t *testing.T, all []discovery.Instance, preserved int, opts ...router.Option) (w *world, c *clock, list func(all []discovery.Instance, preserved int)) {
	d := &told{}
	d.list(all, preserved)
	c = &clock{}
	c.until(0)
	r, err := router.New(append([]router.Option{router.WithDiscovery(d), router.WithClient("a"), router.WithClock(c.now), router.WithRandom(func() uint64 { return 1 << 63 })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(t.Context()) })
	w = &world{d, r, nil}
	w.pick(t).Done(router.Outcome{Class: router.Cancelled})
	return w, c, func(all []discovery.Instance, preserved int) {
		d.list(all, preserved)
		synctest.Wait()
	}
}

// Expired instances are last choices, but doubted only, until one call fails, if less
// than the share of WithPanic has not expired.
func TestWhoIsALastChoice(t *testing.T) {
	const expired, leaving = "last choice: expired in the registry", "last choice: draining"
	for _, c := range []struct {
		name            string
		panic           float64
		live, preserved int
		calls           string // of the last one
		then            [2]int // what is listed after that; zero: nothing
		want            string // why the last one is none
	}{
		{"all there", .5, 4, 0, "9*10", [2]int{}, ""}, {"half", .5, 2, 2, "", [2]int{}, expired}, {"more", .5, 1, 3, "", [2]int{}, ""}, {"all", .5, 0, 4, "", [2]int{}, ""},
		{"half of three quarters", .75, 2, 2, "", [2]int{}, ""}, {"three quarters", .75, 3, 1, "", [2]int{}, expired}, {"no panic", 0, 0, 4, "", [2]int{}, expired},
		{"answers", .5, 1, 3, "9*10", [2]int{}, ""}, {"fails", .5, 1, 3, "f10", [2]int{}, expired}, {"is busy", .5, 1, 3, "o10", [2]int{}, expired}, {"cancelled", .5, 1, 3, "c10", [2]int{}, ""}, {"its caller's fault", .5, 1, 3, "e10", [2]int{}, ""},
		{"fails, and is doubted again", .5, 1, 3, "f10", [2]int{1, 3}, expired}, {"fails, and is back", .5, 1, 3, "f10", [2]int{4, 0}, ""}, {"expires for certain", .5, 1, 3, "", [2]int{3, 1}, expired},
		{"was certain, is doubted", .5, 4, 0, "f10", [2]int{1, 3}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, _, list := listed(t, fleet(4), c.preserved, router.WithPanic(c.panic), neverEject())
			w.called(t, "n0003", c.calls)
			if c.then != [2]int{} {
				list(fleet(4), c.then[1])
			}
			if got := w.why("n0003"); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
			if got := w.why("n0000"); c.live > 0 && got != "" {
				t.Errorf("%s: the first one: %q", c.name, got)
			}
			all := fleet(4)
			all[3].Status = discovery.Draining
			list(all, c.preserved)
			if got := w.why("n0003"); got != leaving {
				t.Errorf("%s: when it is draining: %q", c.name, got)
			}
			all[3].Status = discovery.Down
			list(all, c.preserved)
			if got := w.why("n0003"); got != "unknown" || w.Explain("greeter").Known != 3 {
				t.Errorf("%s: when it is down: %q", c.name, got)
			}
		})
	}
}

// What was learnt of an instance that is gone is kept for ten minutes.
func TestHowLongOneThatIsGoneIsKnown(t *testing.T) {
	for _, c := range []struct {
		name string
		away time.Duration
		back bool // it was back in between
		want uint64
	}{{"a moment", 0, false, 9}, {"ten minutes", 10 * time.Minute, false, 9}, {"longer", 10*time.Minute + 1, false, 0}, {"longer, with a pause", 20 * time.Minute, true, 9}} {
		synctest.Test(t, func(t *testing.T) {
			all := fleet(3)
			w, clock, list := listed(t, all, 0)
			w.called(t, "n0000", "9*10")
			list(all[1:], 0)
			if got := w.why("n0000"); got != "unknown" {
				t.Errorf("%s: one that is gone is there: %q", c.name, got)
			}
			if c.back {
				clock.forward(c.away / 2)
				list(all, 0)
				list(all[1:], 0)
				c.away /= 2
			}
			clock.forward(c.away)
			list(all[1:2], 0) // something changes
			list(all, 0)
			if got := w.stat(t, "n0000").Outcomes[router.OK]; got != c.want {
				t.Errorf("%s: %d calls of it are known, want %d", c.name, got, c.want)
			}
		})
	}
}

// An instance that changes keeps what was learnt of it; what it says is what counts.
func TestInstancesThatChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(2)
		all[0].Zone, all[1].Zone = "a", "a"
		w, _, list := listed(t, all, 0, router.WithZone("a"))
		w.called(t, "n0000", "30*10")
		w.called(t, "n0001", "30*10")
		if a, b := w.score(t, "n0000"), w.score(t, "n0001"); a != 10 || b != 10 {
			t.Errorf("they cost %v and %v ms, want 10", a, b)
		}
		all = slices.Clone(all)
		all[0].Zone, all[0].Address, all[1].Weight = "b", "10.0.0.9:9", 3
		list(all, 0)
		if s := w.candidate(t, "n0000"); s.Address != "10.0.0.9:9" || s.Score != float64(20*time.Millisecond) || s.Weight != 1 || s.Outcomes[router.OK] != 30 {
			t.Errorf("one that moved to another zone: %+v", s)
		}
		p := w.pick(t, only(2, "n0001"))
		if s := w.candidate(t, "n0001"); s.Weight != 3 || !near(s.Score, float64(10*time.Millisecond)*(1+2./3), 1) || p.Instance.Weight != 3 {
			t.Errorf("one that weighs more, with a call in flight: %+v", s)
		}
	})
}

// An aperture is of this client's zone, if anything is there, without last choices,
// and in an order that its name decides.
func TestWhoIsInAnAperture(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		zones      string // of each instance: a letter; in capitals if it is draining
		want       string
	}{
		{"no zone", "", "aabb", "aabb"}, {"at home", "a", "aabb", "aa"}, {"nothing at home", "c", "aabb", "aabb"}, {"home is draining", "a", "AAbb", "bb"},
		{"one of home is draining", "a", "aAbb", "a"}, {"all are draining", "", "AA", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			all := fleet(len(c.zones))
			for i := range all {
				all[i].Zone = strings.ToLower(c.zones[i : i+1])
				if all[i].Zone != c.zones[i:i+1] {
					all[i].Status = discovery.Draining
				}
			}
			var opts []router.Option
			if c.zone != "" {
				opts = append(opts, router.WithZone(c.zone))
			}
			w, _, _ := listed(t, all, 0, opts...)
			got := ""
			for i := range all {
				if w.candidate(t, all[i].ID).InSubset {
					got += c.zones[i : i+1]
				}
			}
			if got != c.want {
				t.Errorf("%s: %q are in the aperture, want %q", c.name, got, c.want)
			}
		})
	}
	part := func(client string) map[string]bool {
		w, _ := still(t, fleet(1050), router.WithClient(client))
		return w.used()
	}
	a, again, b := part("a"), part("a"), part("b")
	if len(a) != 1000 || !maps.Equal(a, again) || maps.Equal(a, b) {
		t.Errorf("a client uses %d instances; the same ones again: %v; as another one: %v", len(a), maps.Equal(a, again), maps.Equal(a, b))
	}
}

// Peers are those that are up, in this client's zone; who is not among them, or has left,
// uses everything.
func TestWhoIsAPeer(t *testing.T) {
	peer := func(id, zone string, status discovery.Status) discovery.Instance {
		return discovery.Instance{Service: "shop", ID: id, Address: "10.0.0.2:80", Zone: zone, Status: status}
	}
	for _, c := range []struct {
		name, zone string
		peers      []discovery.Instance
		want       int // instances that it uses of 240; 0: there are none
	}{
		{"two, and nobody to call", "", []discovery.Instance{peer("a", "", discovery.Up), peer("b", "", discovery.Up)}, 0},
		{"alone", "", []discovery.Instance{peer("a", "", discovery.Up)}, 240}, {"two", "", []discovery.Instance{peer("a", "", discovery.Up), peer("b", "", discovery.Up)}, 120},
		{"nobody", "", nil, 240}, {"others", "", []discovery.Instance{peer("b", "", discovery.Up), peer("c", "", discovery.Up)}, 240},
		{"the other is draining", "", []discovery.Instance{peer("a", "", discovery.Up), peer("b", "", discovery.Draining)}, 240},
		{"it is draining itself", "", []discovery.Instance{peer("a", "", discovery.Draining), peer("b", "", discovery.Up), peer("c", "", discovery.Up)}, 240},
		{"the other is in another zone", "z", []discovery.Instance{peer("a", "z", discovery.Up), peer("b", "y", discovery.Up)}, 240},
		{"both in its zone", "z", []discovery.Instance{peer("a", "z", discovery.Up), peer("b", "z", discovery.Up)}, 120},
		{"zones that it does not care for", "", []discovery.Instance{peer("a", "z", discovery.Up), peer("b", "y", discovery.Up)}, 120},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &both{shops: told{service: "shop"}}
			d.peers(c.peers)
			if c.want > 0 {
				d.greeters.list(fleet(240), 0)
			} else {
				d.greeters.list(nil, 0)
			}
			opts := []router.Option{router.WithDiscovery(d), router.WithPeers("shop", "a")}
			if c.zone != "" {
				opts = append(opts, router.WithZone(c.zone))
			}
			r, err := router.New(opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close(t.Context())
			w := &world{d, r, nil}
			_, err = w.Pick(t.Context(), "greeter")
			synctest.Wait()
			if c.want == 0 {
				if !errors.Is(err, router.ErrNoInstances) {
					t.Errorf("%s: %v", c.name, err)
				}
				return
			}
			if got := len(w.used()); got != c.want {
				t.Errorf("%s: it uses %d of 240 instances, want %d", c.name, got, c.want)
			}
			d.peers(nil) // all leave
			synctest.Wait()
			if got := len(w.used()); got != 240 {
				t.Errorf("%s: without peers it uses %d", c.name, got)
			}
			d.peers([]discovery.Instance{peer("a", c.zone, discovery.Up), peer("b", c.zone, discovery.Up)})
			synctest.Wait()
			if got := len(w.used()); got != 120 {
				t.Errorf("%s: with one peer it uses %d", c.name, got)
			}
		})
	}
}

// brokenPeers is a discovery that panics when it is asked for this client's peers.
type brokenPeers struct{ told }

func (d *brokenPeers) Watch(ctx context.Context, service string) iter.Seq2[discovery.Snapshot, error] {
	if service == "shop" {
		panic("boom")
	}
	return d.told.Watch(ctx, service)
}

func TestPeersThatCanNotBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, lines := &brokenPeers{}, &written{}
		d.list(fleet(3), 0)
		r, err := router.New(router.WithDiscovery(d), router.WithPeers("shop", "a"), router.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close(context.Background())
		if _, err := r.Pick(t.Context(), "greeter"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if text := lines.String(); !strings.Contains(text, "peers do not change any more") || !strings.Contains(text, "boom") {
			t.Errorf("the log says %q", text)
		}
	})
}

// both is a discovery of instances and of this client's peers.
type both struct {
	discovery.Discovery
	greeters, shops told
}

func (d *both) Watch(ctx context.Context, service string) iter.Seq2[discovery.Snapshot, error] {
	if service == "shop" {
		return d.shops.Watch(ctx, service)
	}
	return d.greeters.Watch(ctx, service)
}

func (d *both) peers(all []discovery.Instance) { d.shops.list(all, 0) }

// Labels are compared without regard to the case of their keys, and all must be there.
func TestWhoCarriesLabels(t *testing.T) {
	type labels = map[string]string
	for _, c := range []struct {
		has, wants labels
		want       bool
	}{
		{labels{"a": "1"}, labels{"a": "1"}, true}, {labels{"a": "1"}, labels{"a": "2"}, false}, {labels{"a": "1"}, labels{"b": "1"}, false}, {nil, labels{"a": "1"}, false}, {nil, labels{"a": ""}, false},
		{labels{"A": "x"}, labels{"a": "x"}, true}, {labels{"a": "X"}, labels{"a": "x"}, false}, {labels{"A": "1", "a": "2"}, labels{"a": "1"}, true}, {labels{"A": "1", "b": "2"}, labels{"a": "2"}, false},
		{labels{"a": "1", "b": "2"}, labels{"a": "1", "b": "2"}, true}, {labels{"a": "1", "b": "2"}, labels{"a": "1", "b": "3"}, false}, {labels{"a": "1"}, labels{"a": "1", "b": "2"}, false}, {labels{"a": "1"}, nil, true},
	} {
		all := fleet(2)
		all[0].Labels = c.has
		w, _ := still(t, all)
		p, err := w.Pick(t.Context(), "greeter", router.Labels(c.wants), router.Exclude("n0001"))
		var none *router.NoMatchError
		if got := err == nil && p.Instance.ID == "n0000"; got != c.want || err != nil && (!errors.As(err, &none) || !maps.Equal(none.Labels, c.wants) || none.Known != 2 || none.Service != "greeter") {
			t.Errorf("%v wants %v: %v, %v; want %v", c.has, c.wants, p.Instance, err, c.want)
		}
		if c.wants == nil {
			continue
		}
		_, err = w.Select(t.Context(), "greeter", router.Labels(c.wants))
		if (err == nil) != c.want {
			t.Errorf("Select: %v wants %v: %v", c.has, c.wants, err)
		}
	}
}

// Sets of labels that read alike are told apart.
func TestLabelsThatReadAlike(t *testing.T) {
	type labels = map[string]string
	for _, c := range [][2]labels{
		{{"a": "bc"}, {"ab": "c"}}, {{"a": "x"}, {"b": "x"}}, {{"a": "x"}, {"a": "y"}},
		{{"a": "x", "bc": "y"}, {"a": "xb", "c": "y"}}, {{"a": "xb", "c": "y"}, {"ax": "b", "c": "y"}}, {{"a": "x", "b": "y"}, {"c": "x", "d": "y"}}, {{"a": "x", "b": "y"}, {"a": "x", "b": "z"}},
		{{"a": "x", "b": "y"}, {"a": "y", "b": "x"}}, {{"a": "x"}, {"a": "x", "b": "y"}},
	} {
		all := fleet(2)
		all[0].Labels, all[1].Labels = c[0], c[1]
		for i := range c {
			w, _ := still(t, all)
			for _, j := range []int{i, 1 - i, i} {
				p := w.pick(t, router.Labels(c[j]))
				if !maps.Equal(p.Instance.Labels, c[j]) && len(c[0]) == len(c[1]) {
					t.Errorf("after %v: a call with %v went to %v", c[i], c[j], p.Instance.Labels)
				}
				p.Done(router.Outcome{Class: router.Cancelled})
			}
		}
	}
}

// counting is a strategy that counts the sets of instances that it is asked for.
type counting struct {
	router.Strategy
	n *int
}

func (s counting) Chooser() router.Chooser { *s.n++; return s.Strategy.Chooser() }

// Instances are sorted out once for a set of labels, and again from the 257th set on.
func TestSetsOfLabelsAreKept(t *testing.T) {
	rule := router.Rule{Name: "r", Service: "greeter", Match: map[string]string{"beta": "yes"}, Branches: []router.Branch{{Variant: "v", Labels: map[string]string{"v": "1"}, Weight: 100}}}
	for _, c := range []struct {
		name  string
		sets  int
		want  int // more for the first one again
		rules []router.Rule
	}{{"one", 1, 0, nil}, {"as many as are kept", 256, 0, nil}, {"one more", 257, 1, nil}, {"many", 500, 1, nil}, {"of a rule", 10, 0, []router.Rule{rule}}} {
		all := fleet(3)
		for i := range all {
			all[i].Labels = map[string]string{"v": fmt.Sprint(i)}
		}
		n := 0
		w, _ := still(t, all, router.WithStrategy(counting{router.RoundRobin(), &n}), router.WithFallback(router.FallbackAny), router.WithRules(c.rules...))
		whole := n
		set := func(i int) router.SelectOption {
			l := map[string]string{"set": fmt.Sprint(i)}
			if c.rules != nil {
				l["beta"], l["v"] = "yes", "1"
			}
			return router.Labels(l)
		}
		for i := range c.sets {
			for range 2 {
				w.pick(t, set(i)).Done(ok(""))
			}
			if n-whole < i+1 || n-whole > 2*(i+1) {
				t.Fatalf("%s: instances were sorted out %d times for %d sets", c.name, n-whole, i+1)
			}
		}
		before := n
		w.pick(t, set(c.sets-1)).Done(ok(""))
		if n != before {
			t.Errorf("%s: for the last set again %d times", c.name, n-before)
		}
		w.pick(t, set(0)).Done(ok(""))
		if n-before != c.want && !(c.want > 0 && n > before) {
			t.Errorf("%s: for the first set again %d times, want %d", c.name, n-before, c.want)
		}
	}
}

// An error says what was asked for, and by whose rule.
func TestNoMatchErrorsSayWhatWasAsked(t *testing.T) {
	e := &router.NoMatchError{Service: "s", Labels: map[string]string{"a": "1"}, Known: 3}
	if got := e.Error(); !strings.Contains(got, `none of 3 instances of "s" matches labels map[a:1]`) || strings.Contains(got, "rule") {
		t.Errorf("without a rule: %s", got)
	}
	e.Rule = "canary"
	if got := e.Error(); !strings.HasSuffix(got, ` under rule "canary"`) {
		t.Errorf("with a rule: %s", got)
	}
	o := &router.OpenError{}
	if got := o.Error(); strings.Contains(got, "every instance") || strings.Contains(got, "again in") || o.RetryAfter() != 0 {
		t.Errorf("of a breaker by itself: %s", got)
	}
	o.Service, o.After = "s", 1500*time.Millisecond
	if got := o.Error(); !strings.Contains(got, `every instance of "s": `) || !strings.HasSuffix(got, ", again in 1.5s") || o.RetryAfter() != o.After {
		t.Errorf("of a service: %s", got)
	}
}

// A Next that has given every instance leaves no pick open, also if breakers watch.
func TestNextThatIsExhaustedLeavesNothingOpen(t *testing.T) {
	for _, opts := range [][]router.Option{nil, {router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Hang: time.Minute}})}} {
		w, _ := still(t, fleet(3), opts...)
		next, err := w.Select(t.Context(), "greeter", router.Exclude("n0001"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var picks []router.Pick
		for range 2 {
			p, err := next()
			if err != nil {
				t.Fatal(err)
			}
			got, picks = append(got, p.Instance.ID), append(picks, p)
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"n0000", "n0002"}) {
			t.Errorf("it gave %v, want those that were not excluded", got)
		}
		for range 3 {
			if p, err := next(); err == nil { // the one that was excluded, rather than nothing
				if p.Instance.ID != "n0001" {
					t.Errorf("it gave %s again", p.Instance.ID)
				}
				picks = append(picks, p)
			} else if !errors.Is(err, router.ErrExhausted) {
				t.Errorf("the last: %v", err)
			}
		}
		if _, err := next(); !errors.Is(err, router.ErrExhausted) {
			t.Errorf("after the last: %v", err)
		}
		for _, p := range picks {
			p.Done(ok(""))
		}
		for _, s := range w.Router.Stats("greeter") {
			if s.InFlight != 0 || s.Outcomes[router.OK] > 1 {
				t.Errorf("%s: %d in flight, %v", s.ID, s.InFlight, s.Outcomes)
			}
		}
	}
}
