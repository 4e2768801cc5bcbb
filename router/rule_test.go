package router_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// twoVersions is five instances of version 1 and two of version 2.
func twoVersions(t testing.TB, opts ...router.Option) *world {
	t.Helper()
	w := start(t, opts...)
	for i := range 7 {
		version := "1"
		if i >= 5 {
			version = "2"
		}
		w.add(t, discovery.Instance{ID: fmt.Sprintf("v%s-%d", version, i), Version: version, Labels: map[string]string{"zone": fmt.Sprint(i % 2)}})
	}
	for end := time.Now().Add(30 * time.Second); len(w.Router.Explain("greeter").Nodes) != 7; {
		w.Pick(t.Context(), "greeter")
		if time.Now().After(end) {
			t.Fatal("the instances were not seen within 30 s")
		}
		time.Sleep(time.Millisecond)
	}
	return w
}

func canary(weight int) router.Rule {
	return router.Rule{Name: "canary", Service: "greeter", Branches: []router.Branch{{Variant: "new", Version: "2", Weight: weight}}}
}

// variants counts where calls go.
func (w *world) variants(t testing.TB, n int, opts ...router.SelectOption) (second int, variants map[string]int) {
	t.Helper()
	variants = map[string]int{}
	for range n {
		p := w.pick(t, opts...)
		if p.Instance.Version == "2" {
			second++
		}
		variants[p.Variant]++
		p.Done(router.Outcome{Latency: time.Millisecond})
	}
	return second, variants
}

func TestCanaryGetsItsShare(t *testing.T) {
	for weight, want := range map[int][2]int{0: {0, 0}, 10: {900, 1100}, 50: {4800, 5200}, 100: {10000, 10000}} {
		w := twoVersions(t, router.WithRules(canary(weight)))
		got, variants := w.variants(t, 10000)
		if got < want[0] || got > want[1] || variants["new"] != got || variants[router.Rest] != 10000-got {
			t.Errorf("weight %d: %d of 10000 went to the canary, as %v; want %v", weight, got, variants, want)
		}
	}
}

func TestSplitIsStickyByKeyAndOnlyGrows(t *testing.T) {
	where := func(weight int) map[string]bool {
		w := twoVersions(t, router.WithRules(canary(weight)))
		out := map[string]bool{}
		for i := range 2000 {
			key := fmt.Sprint("user-", i)
			for range 2 {
				p := w.pick(t, router.Key(key))
				second := p.Instance.Version == "2"
				if before, ok := out[key]; ok && before != second {
					t.Fatalf("%s changed sides", key)
				}
				out[key] = second
				p.Done(router.Outcome{Latency: time.Millisecond})
			}
		}
		return out
	}
	ten, twenty := where(10), where(20)
	n := 0
	for key, in := range ten {
		if in {
			n++
			if !twenty[key] {
				t.Fatalf("%s left the canary when its share grew", key)
			}
		}
	}
	if n < 150 || n > 250 {
		t.Errorf("%d of 2000 keys are in a canary of 10 %%", n)
	}
}

func TestRulesAreTriedByPriorityMethodAndLabels(t *testing.T) {
	beta := router.Rule{Name: "beta", Service: "greeter", Priority: -1, Match: map[string]string{"beta": "yes"}, Branches: []router.Branch{{Variant: "new", Version: "2", Weight: 100}}}
	method := router.Rule{Name: "method", Service: "greeter", Priority: -1, Method: "Hello", Branches: []router.Branch{{Variant: "new", Version: "2", Weight: 100}}}
	w := twoVersions(t, router.WithRules(canary(0), beta, method))
	for name, c := range map[string]struct {
		opts []router.SelectOption
		want int
	}{
		"plain":        {nil, 0},
		"beta":         {[]router.SelectOption{router.Labels(map[string]string{"beta": "yes"})}, 100},
		"other beta":   {[]router.SelectOption{router.Method("Bye")}, 0},
		"method":       {[]router.SelectOption{router.Method("Hello")}, 100},
		"beta in zone": {[]router.SelectOption{router.Labels(map[string]string{"beta": "yes", "zone": "1"})}, 100},
	} {
		if got, _ := w.variants(t, 100, c.opts...); got != c.want {
			t.Errorf("%s: %d of 100 went to version 2, want %d", name, got, c.want)
		}
	}
	if e := w.Explain("greeter", router.Method("Hello")); e.Rule != "method" || e.Variant != "new" || e.Matching != 2 {
		t.Errorf("explained as %+v", e)
	}
}

func TestVariantWithoutInstancesFallsBackUnlessStrict(t *testing.T) {
	gone := router.Rule{Name: "gone", Service: "greeter", Branches: []router.Branch{{Variant: "three", Version: "3", Weight: 100}}}
	w := twoVersions(t, router.WithRules(gone))
	if _, variants := w.variants(t, 100); variants[""] != 100 {
		t.Errorf("went to %v, want any instance and no variant", variants)
	}
	gone.Strict = true
	w = start(t, router.WithRules(gone))
	w.add(t, discovery.Instance{ID: "a", Version: "1"})
	var none *router.NoMatchError
	if _, err := w.Pick(t.Context(), "greeter"); !errors.As(err, &none) || none.Rule != "gone" {
		t.Errorf("strict: %v, want a NoMatchError that names the rule", err)
	}
}

// live is a source whose rules a test sends.
type live chan []router.Rule

func (l live) Rules(ctx context.Context) iter.Seq2[[]router.Rule, error] {
	return func(yield func([]router.Rule, error) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case r := <-l:
				if r == nil {
					if !yield(nil, errors.New("the source is unavailable")) {
						return
					}
				} else if !yield(r, nil) {
					return
				}
			}
		}
	}
}

func TestRulesChangeWhileCallsAreMade(t *testing.T) {
	src := make(live)
	w := twoVersions(t, router.WithRuleSource(src))
	until := func(what string, want int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; {
			got, _ := w.variants(t, 100)
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d of 100 went to version 2, want %d", what, got, want)
			}
		}
	}
	src <- []router.Rule{canary(100)}
	until("all", 100)
	src <- []router.Rule{canary(0)}
	until("none", 0)
	src <- []router.Rule{canary(50), canary(50)} // two of one name
	src <- nil
	until("what is wrong changes nothing", 0)
	src <- []router.Rule{canary(100)}
	until("the source is back", 100)
}

func TestFirstCallWaitsForTheRulesButNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := make(live)
		all := router.Rule{Name: "all", Service: "greeter", Strict: true, Branches: []router.Branch{{Variant: "new", Version: "2", Weight: 100}}}
		w := client(t, 3, router.WithRuleSource(src))
		go func() { time.Sleep(500 * time.Millisecond); src <- []router.Rule{all} }()
		began := time.Now()
		if _, err := w.Pick(t.Context(), "greeter"); !errors.Is(err, router.ErrNoInstances) || time.Since(began) != 500*time.Millisecond {
			t.Errorf("%v after %v, want the rule to decide the first call", err, time.Since(began))
		}
		w = client(t, 3, router.WithRuleSource(make(live)))
		began = time.Now()
		if _, err := w.Pick(t.Context(), "greeter"); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v, want a call without rules after a second", err, time.Since(began))
		}
	})
}

func TestBadRulesAreRefused(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ok := canary(10)
	for name, change := range map[string]func(*router.Rule){
		"name": func(r *router.Rule) { r.Name = "" }, "service": func(r *router.Rule) { r.Service = "" }, "branches": func(r *router.Rule) { r.Branches = nil },
		"weight":   func(r *router.Rule) { r.Branches = []router.Branch{{Variant: "x", Version: "1", Weight: 101}} },
		"negative": func(r *router.Rule) { r.Branches = []router.Branch{{Variant: "x", Version: "1", Weight: -1}} },
		"sum": func(r *router.Rule) {
			r.Branches = []router.Branch{{Variant: "x", Version: "1", Weight: 60}, {Variant: "y", Version: "2", Weight: 60}}
		},
		"variant": func(r *router.Rule) { r.Branches = []router.Branch{{Variant: router.Rest, Version: "1"}} },
		"nobody":  func(r *router.Rule) { r.Branches = []router.Branch{{Variant: "x"}} },
	} {
		r := ok
		change(&r)
		if _, err := router.New(router.WithDiscovery(d), router.WithRules(r)); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestPickByRuleDoesNotAllocate(t *testing.T) {
	w := twoVersions(t, router.WithRules(canary(10)))
	opts := []router.SelectOption{router.Key("user-1")}
	if n := testing.AllocsPerRun(1000, func() {
		p, err := w.Pick(context.Background(), "greeter", opts...)
		if err != nil {
			t.Fatal(err)
		}
		p.Done(router.Outcome{Latency: time.Millisecond})
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
