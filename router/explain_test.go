package router_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// Why each instance can't be chosen, by what is wrong with it.
func TestWhyAnInstanceCannotBeChosen(t *testing.T) {
	for _, c := range []struct {
		name    string
		ill     string // what the first instance does
		others  string // what three others do
		change  func(in *discovery.Instance)
		opts    []router.SelectOption
		want    string
		healthy int
		matches bool
	}{
		{"nothing", "", "", nil, nil, "", 5, true}, {"ejected", "3*t1", "", nil, nil, "ejected: 3 failures in a row", 4, true}, {"ejected, but there is panic", "3*t1", "3*t1", nil, nil, "", 1, true},
		{"its breaker is open", "t1 t1 1 t1 t1 1 t1 t1 1", "", nil, nil, "breaker is open", 4, true}, {"it is draining", "", "", func(in *discovery.Instance) { in.Status = discovery.Draining }, nil, "last choice: draining", 4, true},
		{"excluded", "", "", nil, []router.SelectOption{router.Exclude("n0000")}, "excluded", 5, true}, {"another is excluded", "", "", nil, []router.SelectOption{router.Exclude("n0001")}, "", 5, true},
		{"other labels", "", "", nil, []router.SelectOption{router.Labels(map[string]string{"odd": "true"})}, "labels", 2, false}, {"its labels", "", "", nil, []router.SelectOption{router.Labels(map[string]string{"odd": "false"})}, "", 3, true},
		{"ejected and excluded", "3*t1", "", nil, []router.SelectOption{router.Exclude("n0000")}, "ejected: 3 failures in a row", 4, true}, {"ejected, of other labels", "3*t1", "", nil, []router.SelectOption{router.Labels(map[string]string{"odd": "true"})}, "labels", 2, false},
		{"draining, of other labels", "", "", func(in *discovery.Instance) { in.Status = discovery.Draining }, []router.SelectOption{router.Labels(map[string]string{"odd": "true"})}, "labels", 2, false},
	} {
		all := fleet(5)
		for i := range all {
			all[i].Labels = map[string]string{"odd": fmt.Sprint(i%2 == 1)}
		}
		if c.change != nil {
			c.change(&all[0])
		}
		w, clock := still(t, all, router.WithEjection(router.Ejection{Consecutive: 3, Share: 1, Cap: 1, Base: time.Hour, Max: time.Hour}),
			router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Consecutive: 1000, Least: 5, Open: time.Hour, Longest: time.Hour}}))
		w.called(t, "n0000", c.ill)
		for _, id := range []string{"n0001", "n0002", "n0003"} {
			w.called(t, id, c.others)
		}
		w.tick(t, clock, "n0004")
		e := w.Explain("greeter", c.opts...)
		n := e.Nodes[0]
		if n.ID != "n0000" || n.Why != c.want || n.Matches != c.matches || e.Healthy != c.healthy || e.Known != 5 || n.InSubset != (n.Matches && n.Why != "last choice: draining") {
			t.Errorf("%s: %q, matches %v, in the aperture %v; %d healthy; want %q, %v, %d", c.name, n.Why, n.Matches, n.InSubset, e.Healthy, c.want, c.matches, c.healthy)
		}
		for i, n := range e.Nodes {
			if n.ID != fmt.Sprintf("n%04d", i) || n.Address != fmt.Sprintf("10.0.0.1:%d", 1000+i) {
				t.Errorf("%s: instance %d is %s at %s", c.name, i, n.ID, n.Address)
			}
		}
	}
}

// Which rule decides, for whom, and what an explanation says of it.
func TestWhichRuleDecides(t *testing.T) {
	type labels = map[string]string
	branch := func(variant, version string, weight int) router.Branch {
		return router.Branch{Variant: variant, Version: version, Weight: weight}
	}
	rule := func(name string, change func(*router.Rule), branches ...router.Branch) router.Rule {
		r := router.Rule{Name: name, Service: "greeter", Branches: branches}
		if change != nil {
			change(&r)
		}
		return r
	}
	of := func(version, zone string) func(in *discovery.Instance) bool {
		return func(in *discovery.Instance) bool {
			return (version == "" || in.Version == version) && (zone == "" || in.Labels["zone"] == zone)
		}
	}
	beta := rule("beta", func(r *router.Rule) { r.Match, r.Priority = labels{"beta": "yes"}, -1 }, branch("two", "2", 100))
	for _, c := range []struct {
		name                    string
		rules                   []router.Rule
		opts                    []router.SelectOption
		goes                    func(in *discovery.Instance) bool // where calls go
		all                     int                               // instances of those
		rule, variant, fallback string                            // as explained
		drawn                   string                            // the variant of a pick
	}{
		{"none", nil, nil, of("", ""), 6, "", "", "", ""},
		{"of another service", []router.Rule{rule("r", func(r *router.Rule) { r.Service = "other" }, branch("two", "2", 100))}, nil, of("", ""), 6, "", "", "", ""},
		{"all", []router.Rule{rule("r", nil, branch("two", "2", 100))}, nil, of("2", ""), 3, "r", "two", "", "two"},
		{"nothing: the rest", []router.Rule{rule("r", nil, branch("two", "2", 0))}, nil, of("1", ""), 3, "r", router.Rest, "", router.Rest},
		{"by labels", []router.Rule{rule("r", nil, router.Branch{Variant: "z", Labels: labels{"zone": "a"}, Weight: 100})}, nil, of("", "a"), 2, "r", "z", "", "z"},
		{"by version and labels", []router.Rule{rule("r", nil, router.Branch{Variant: "z", Version: "2", Labels: labels{"zone": "b"}, Weight: 100})}, nil, of("2", "b"), 1, "r", "z", "", "z"},
		{"the first branch that names it", []router.Rule{rule("r", nil, branch("two", "2", 0), router.Branch{Variant: "z", Labels: labels{"zone": "a"}, Weight: 100})}, nil, of("1", "a"), 1, "r", "", "", "z"},
		{"a method", []router.Rule{rule("r", func(r *router.Rule) { r.Method = "m" }, branch("two", "2", 100))}, []router.SelectOption{router.Method("m")}, of("2", ""), 3, "r", "two", "", "two"},
		{"another method", []router.Rule{rule("r", func(r *router.Rule) { r.Method = "m" }, branch("two", "2", 100))}, []router.SelectOption{router.Method("n")}, of("", ""), 6, "", "", "", ""},
		{"no method", []router.Rule{rule("r", func(r *router.Rule) { r.Method = "m" }, branch("two", "2", 100))}, nil, of("", ""), 6, "", "", "", ""},
		{"a rule for all methods", []router.Rule{rule("r", nil, branch("two", "2", 100))}, []router.SelectOption{router.Method("n")}, of("2", ""), 3, "r", "two", "", "two"},
		{"labels that match", []router.Rule{beta}, []router.SelectOption{router.Labels(labels{"beta": "yes"})}, of("2", ""), 3, "beta", "two", "", "two"},
		{"other labels", []router.Rule{beta}, []router.SelectOption{router.Labels(labels{"zone": "a"})}, of("", "a"), 2, "", "", "", ""}, {"no labels", []router.Rule{beta}, nil, of("", ""), 6, "", "", "", ""},
		{"labels that match, and narrow", []router.Rule{beta}, []router.SelectOption{router.Labels(labels{"beta": "yes", "zone": "c"})}, of("2", "c"), 1, "beta", "two", "", "two"},
		{"labels that narrow", []router.Rule{rule("r", nil, branch("two", "2", 100))}, []router.SelectOption{router.Labels(labels{"zone": "c"})}, of("2", "c"), 1, "r", "two", "", "two"},
		{"the lower priority", []router.Rule{rule("r", nil, branch("one", "1", 100)), beta}, []router.SelectOption{router.Labels(labels{"beta": "yes"})}, of("2", ""), 3, "beta", "two", "", "two"},
		{"the first of equal ones", []router.Rule{rule("r", nil, branch("one", "1", 100)), rule("q", nil, branch("two", "2", 100))}, nil, of("1", ""), 3, "r", "one", "", "one"},
		{"nobody of the branch", []router.Rule{rule("r", nil, branch("nine", "9", 100))}, nil, of("", ""), 6, "r", "", "no instance of the variant is in rotation", ""},
		{"nobody of the branch, by other labels", []router.Rule{rule("r", nil, branch("nine", "9", 100))}, []router.SelectOption{router.Labels(labels{"zone": "a"})}, of("", "a"), 2, "r", "", "no instance of the variant is in rotation", ""},
		{"nobody of the branch, by its labels", []router.Rule{rule("r", func(r *router.Rule) { r.Match = labels{"beta": "yes"} }, branch("nine", "9", 100))}, []router.SelectOption{router.Labels(labels{"beta": "yes"})}, of("", ""), 6, "r", "", "no instance of the variant is in rotation", ""},
		{"two branches", []router.Rule{rule("r", nil, branch("two", "2", 100), branch("one", "1", 0))}, nil, of("2", ""), 3, "r", "", "", "two"},
		{"two branches and a key", []router.Rule{rule("r", nil, branch("two", "2", 100), branch("one", "1", 0))}, []router.SelectOption{router.Key("k")}, of("2", ""), 3, "r", "two", "", "two"},
		{"by chance", []router.Rule{rule("r", nil, branch("two", "2", 99))}, nil, nil, 6, "r", "", "", ""},
	} {
		all := fleet(6)
		for i := range all {
			all[i].Version, all[i].Labels = fmt.Sprint(1+i%2), labels{"zone": "abc"[i/2 : i/2+1]}
		}
		w, _ := still(t, all, seeded(), router.WithRules(c.rules...))
		got, variants := map[string]bool{}, map[string]bool{}
		for range 100 {
			p := w.pick(t, c.opts...)
			got[p.Instance.ID], variants[p.Variant] = true, true
			p.Done(ok(""))
			if c.goes != nil && !c.goes(p.Instance) {
				t.Errorf("%s: a call went to version %s in zone %s", c.name, p.Instance.Version, p.Instance.Labels["zone"])
				break
			}
		}
		if c.goes != nil && (len(got) != c.all || !maps.Equal(variants, map[string]bool{c.drawn: true})) {
			t.Errorf("%s: calls went to %d instances as %v, want %d as %q", c.name, len(got), variants, c.all, c.drawn)
		}
		if e := w.Explain("greeter", c.opts...); e.Rule != c.rule || e.Variant != c.variant && (c.goes != nil || e.Variant != "") || e.Fallback != c.fallback || c.goes != nil && e.Matching != c.all || e.Known != 6 {
			t.Errorf("%s: explained as %q, %q, %q of %d; want %q, %q, %q of %d", c.name, e.Rule, e.Variant, e.Fallback, e.Matching, c.rule, c.variant, c.fallback, c.all)
		}
	}
}

// A branch whose instances are all out of rotation is left for any other, unless the rule
// is strict.
func TestBranchThatIsOutOfRotation(t *testing.T) {
	for _, strict := range []bool{false, true} {
		for out := range 3 {
			all := fleet(6)
			for i := range all {
				all[i].Version = fmt.Sprint(1 + i/2)
			}
			rule := router.Rule{Name: "r", Service: "greeter", Strict: strict, Branches: []router.Branch{{Variant: "one", Version: "1", Weight: 100}}}
			w, clock := still(t, all, seeded(), router.WithRules(rule), router.WithEjection(router.Ejection{Cap: 1, Base: time.Hour, Max: time.Hour}))
			for i := range out {
				w.called(t, fmt.Sprintf("n%04d", i), "5*t1")
			}
			clock.forward(time.Second)
			got := w.shares(t, 100, ok)
			if home := got["n0000"] + got["n0001"]; (home == 100) != (out < 2 || strict) || out == 1 && got["n0000"] > 0 {
				t.Errorf("strict %v, %d of 2 are out: %v", strict, out, got)
			}
		}
	}
}

// Labels that nobody carries are ignored, or an error, as WithFallback says.
func TestLabelsThatNobodyCarries(t *testing.T) {
	for _, c := range []struct {
		fallback router.Fallback
		label    string
		want     int
		says     string
	}{{router.FallbackAny, "a", 1, ""}, {router.FallbackAny, "z", 3, "labels ignored"}, {router.FallbackNone, "a", 1, ""}, {router.FallbackNone, "z", 0, ""}} {
		all := fleet(3)
		all[0].Labels = map[string]string{"l": "a"}
		w, _ := still(t, all, router.WithFallback(c.fallback))
		opts := router.Labels(map[string]string{"l": c.label})
		if e := w.Explain("greeter", opts); e.Matching != c.want || e.Fallback != c.says || e.Known != 3 {
			t.Errorf("%v, label %s: %d match, %q; want %d, %q", c.fallback, c.label, e.Matching, e.Fallback, c.want, c.says)
		}
		if e := w.Explain("greeter"); e.Fallback != "" || e.Matching != 3 {
			t.Errorf("%v, without labels: %+v", c.fallback, e)
		}
		if _, err := w.Pick(t.Context(), "greeter", opts); (err == nil) != (c.want > 0) {
			t.Errorf("%v, label %s: %v", c.fallback, c.label, err)
		}
	}
}

// A rule splits calls by hundredths, and equal keys stay where they are.
func TestSharesOfARule(t *testing.T) {
	for _, c := range []struct{ first, second int }{{0, 0}, {1, 1}, {30, 20}, {50, 50}, {100, 0}, {0, 100}} {
		all := fleet(3)
		for i := range all {
			all[i].Version = fmt.Sprint(i + 1)
		}
		rule := router.Rule{Name: "r", Service: "greeter", Branches: []router.Branch{{Variant: "one", Version: "1", Weight: c.first}, {Variant: "two", Version: "2", Weight: c.second}}}
		for _, keyed := range []bool{false, true} {
			w, _ := still(t, all, seeded(), router.WithRules(rule))
			got := map[string]int{}
			for i := range 3000 {
				var opts []router.SelectOption
				if keyed {
					opts = append(opts, router.Key(fmt.Sprint(i)))
				}
				p := w.pick(t, opts...)
				got[p.Variant]++
				p.Done(ok(""))
			}
			for variant, want := range map[string]int{"one": c.first, "two": c.second, router.Rest: 100 - c.first - c.second} {
				if n := got[variant]; n < 27*want-10 || n > 33*want+10 || want == 0 && n > 0 {
					t.Errorf("%d and %d, with keys %v: %s got %d of 3000 calls", c.first, c.second, keyed, variant, n)
				}
			}
		}
	}
}
