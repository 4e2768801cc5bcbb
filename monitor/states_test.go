package monitor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each field that a watcher wants to know of makes two statuses differ, the
// others do not.
func TestWhatMakesStatusesDiffer(t *testing.T) {
	now := time.Now()
	whole := func() Status {
		return Status{
			Instance: Instance{ID: "a", Service: "s"}, State: Warn, Phase: Starting, Live: true, Ready: true, Started: true, Since: now,
			Checks: []Result{{Name: "x", State: Pass}, {Name: "y", Description: "d", Dependency: "p", State: Fail, Error: "e", At: now, Since: now, Took: 1, Fails: 1, Stale: true, Shared: true}},
		}
	}
	if s := whole(); !s.same(whole()) || !s.alike(whole()) {
		t.Fatal("a status differs from itself")
	}
	for name, c := range map[string]struct {
		change      func(s *Status)
		same, alike bool
	}{
		"State":              {func(s *Status) { s.State = Fail }, false, false},
		"Phase":              {func(s *Status) { s.Phase = Draining }, false, false},
		"Live":               {func(s *Status) { s.Live = false }, false, false},
		"Ready":              {func(s *Status) { s.Ready = false }, false, false},
		"Started":            {func(s *Status) { s.Started = false }, false, false},
		"Since":              {func(s *Status) { s.Since = now.Add(1) }, true, true},
		"Instance":           {func(s *Status) { s.Instance.ID = "b" }, true, true},
		"one check fewer":    {func(s *Status) { s.Checks = s.Checks[:1] }, false, true},
		"one check more":     {func(s *Status) { s.Checks = append(s.Checks, Result{}) }, false, true},
		"Checks.Name":        {func(s *Status) { s.Checks[1].Name = "z" }, false, true},
		"Checks.State":       {func(s *Status) { s.Checks[1].State = Warn }, false, true},
		"Checks.Error":       {func(s *Status) { s.Checks[1].Error = "f" }, false, true},
		"Checks.Stale":       {func(s *Status) { s.Checks[1].Stale = false }, false, true},
		"Checks.Shared":      {func(s *Status) { s.Checks[1].Shared = false }, false, true},
		"the first check":    {func(s *Status) { s.Checks[0].State = Fail }, false, true},
		"Checks.Description": {func(s *Status) { s.Checks[1].Description = "" }, true, true},
		"Checks.Dependency":  {func(s *Status) { s.Checks[1].Dependency = "" }, true, true},
		"Checks.At":          {func(s *Status) { s.Checks[1].At = now.Add(1) }, true, true},
		"Checks.Since":       {func(s *Status) { s.Checks[1].Since = now.Add(1) }, true, true},
		"Checks.Took":        {func(s *Status) { s.Checks[1].Took = 2 }, true, true},
		"Checks.Fails":       {func(s *Status) { s.Checks[1].Fails = 2 }, true, true},
	} {
		s, o := whole(), whole()
		c.change(&s)
		if s.same(o) != c.same || o.same(s) != c.same || s.alike(o) != c.alike || o.alike(s) != c.alike {
			t.Errorf("%s: same %v and %v, want %v; alike %v and %v, want %v", name, s.same(o), o.same(s), c.same, s.alike(o), o.alike(s), c.alike)
		}
	}
	if n, m := reflect.TypeFor[Status]().NumField(), reflect.TypeFor[Result]().NumField(); n != 8 || m != 11 {
		t.Errorf("a status has %d fields and a result %d, other than this table", n, m)
	}
}

// Two views differ in who is a member and how, in the verdict and its reasons,
// but not in ages and numbers.
func TestWhatMakesViewsDiffer(t *testing.T) {
	whole := func() View {
		return View{Service: "s", Observer: "o", Verdict: Warn, Reasons: []string{"r"}, Expected: 2, Members: []Member{{Report: Report{Status: Status{Instance: Instance{ID: "a"}, State: Pass}, Seq: 1}, Presence: Present, Age: 1}}}
	}
	for name, c := range map[string]struct {
		change func(v *View)
		same   bool
	}{
		"nothing":          {func(v *View) {}, true},
		"Verdict":          {func(v *View) { v.Verdict = Fail }, false},
		"Expected":         {func(v *View) { v.Expected = 3 }, false},
		"Reasons":          {func(v *View) { v.Reasons = []string{"q"} }, false},
		"a member more":    {func(v *View) { v.Members = append(v.Members, v.Members[0]) }, false},
		"Instance":         {func(v *View) { v.Members[0].Status.Instance.Version = "2" }, false},
		"Presence":         {func(v *View) { v.Members[0].Presence = Lost }, false},
		"a member's state": {func(v *View) { v.Members[0].Status.State = Fail }, false},
		"Age":              {func(v *View) { v.Members[0].Age = 2 }, true},
		"Seq":              {func(v *View) { v.Members[0].Seq = 2 }, true},
		"Observer":         {func(v *View) { v.Observer = "p" }, true},
		"Pass":             {func(v *View) { v.Pass = 7 }, true},
	} {
		v, o := whole(), whole()
		c.change(&v)
		if v.same(o) != c.same || o.same(v) != c.same {
			t.Errorf("%s: same %v and %v, want %v", name, v.same(o), o.same(v), c.same)
		}
	}
}

// What a sequence of results makes of a check, by its thresholds. The first
// result counts at once.
func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		fail, pass int
		runs       string // p: passes, w: warns, f: fails
		states     string // after each: P, W, F
	}{
		{1, 1, "pfpfwf", "PFPFWF"},
		{2, 1, "pffpfpff", "PPFPPPPF"},
		{2, 2, "ffpfpp", "FFFFFP"},
		{3, 1, "wffwfff", "WWWWWWF"},
		{3, 3, "fppfppp", "FFFFFFP"},
		{3, 2, "fwpwf", "FFPWW"},
		{2, 2, "wpw", "WPW"},
		{1, 2, "pfwp", "PFFP"},
	} {
		changed := 0
		r := newRunner(Check{Name: "x", FailAfter: c.fail, PassAfter: c.pass, Interval: time.Second, Timeout: time.Second, Func: func(context.Context) error { return nil }}, func() { changed++ })
		got, fails, last := "", 0, ""
		for i, run := range c.runs {
			var err error
			switch run {
			case 'f':
				err, fails = fmt.Errorf("failure %d", i), fails+1
			case 'w':
				err, fails = Degraded(fmt.Errorf("warning %d", i)), 0
			default:
				fails = 0
			}
			was := r.snapshot()
			r.finish(err, time.Duration(i))
			s := r.snapshot()
			got += strings.ToUpper(s.State.String()[:1])
			if err != nil {
				last = err.Error()
			} else if s.State != Fail {
				last = ""
			}
			if s.Fails != fails || s.Error != last || s.Took != time.Duration(i) || changed != i+1 {
				t.Errorf("%s after %d, %d: run %d left %+v, want %d failures in a row and error %q; told %d times", c.runs, c.fail, c.pass, i, s, fails, last, changed)
			}
			if (s.Since != was.Since) != (s.State != was.State) {
				t.Errorf("%s: run %d made %v of %v, since %v, before %v", c.runs, i, s.State, was.State, s.Since, was.Since)
			}
		}
		if got != c.states {
			t.Errorf("%s, fails after %d, passes after %d: %s, want %s", c.runs, c.fail, c.pass, got, c.states)
		}
		if r.everPassed() != strings.ContainsAny(c.states, "PW") {
			t.Errorf("%s: has passed: %v", c.runs, r.everPassed())
		}
	}
}

// A result counts until the next one is long due; that of a startup check that
// has passed, and of a passive one, counts for good.
func TestAResultThatIsStale(t *testing.T) {
	ok := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		check Check
		err   error
		stale bool
	}{
		"readiness":               {Check{Func: ok}, nil, true},
		"readiness that failed":   {Check{Func: ok}, errors.New("x"), true},
		"info":                    {Check{Func: ok, Probe: Info}, nil, true},
		"startup":                 {Check{Func: ok, Probe: Startup}, nil, false},
		"startup that failed":     {Check{Func: ok, Probe: Startup}, errors.New("x"), true},
		"a passive one":           {Check{TTL: time.Hour}, nil, false},
		"a passive startup check": {Check{TTL: time.Hour, Probe: Startup}, errors.New("x"), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			check := c.check
			check.Interval, check.Timeout, check.FailAfter, check.PassAfter = 10*time.Second, 2*time.Second, 1, 1
			r := newRunner(check, func() {})
			defer r.stop()
			if s := r.snapshot(); s.Stale || s.State != Unknown {
				t.Errorf("%s: before its first result: %+v", name, s)
			}
			time.Sleep(time.Minute) // no result is not a stale one
			if s := r.snapshot(); s.Stale {
				t.Errorf("%s: before its first result: %+v", name, s)
			}
			r.finish(c.err, 0)
			state := r.snapshot().State
			time.Sleep(15 * time.Second) // an interval, a tenth of it, and two timeouts
			if s := r.snapshot(); s.Stale || s.State != state {
				t.Errorf("%s: at its end: %+v", name, s)
			}
			time.Sleep(time.Nanosecond)
			if s := r.snapshot(); s.Stale != c.stale || (s.State == Unknown) != c.stale {
				t.Errorf("%s: after its end: %+v", name, s)
			}
		})
	}
}

// The window has the calls of the last minute and nothing of those before, when
// its slots come round again.
func TestTheWindowHasNothingOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder(10)
		e := Endpoint{Method: "m"}
		r.observe(e, time.Hour, errors.New("x"))
		time.Sleep(59*time.Second + 999*time.Millisecond)
		window := func() Counts { all, _ := r.stats(); return all[0].Window }
		if w := window(); w.Calls != 1 || w.Errors != 1 || w.Sum != time.Hour || w.Max != time.Hour || w.Over != 59999*time.Millisecond {
			t.Errorf("at the end of a minute: %+v", w)
		}
		time.Sleep(time.Millisecond)
		if w := window(); w.Calls != 0 || w.Errors != 0 || w.Sum != 0 || w.Max != 0 || w.Over != 50*time.Second {
			t.Errorf("after a minute: %+v", w)
		}
		r.observe(e, time.Second, nil) // in the same slot
		if w := window(); w.Calls != 1 || w.Errors != 0 || w.Sum != time.Second || w.Max != time.Second || w.P99 != time.Second {
			t.Errorf("one call after a minute: %+v", w)
		}
		r.observe(e, -time.Second, nil)
		time.Sleep(9999 * time.Millisecond)
		if w := window(); w.Calls != 2 || w.Sum != time.Second || w.P50 >= 2*time.Microsecond || w.Over != 59999*time.Millisecond {
			t.Errorf("a call that took less than nothing: %+v", w)
		}
		all, _ := r.stats()
		if total := all[0].Total; total.Calls != 3 || total.Errors != 1 || total.Sum != time.Hour+time.Second || total.Max != time.Hour || total.Over != 69999*time.Millisecond {
			t.Errorf("in all: %+v", total)
		}
	})
}

// Quantiles are upper bounds of what they say, at most the greatest.
func TestQuantilesOfFewCalls(t *testing.T) {
	for _, c := range []struct {
		calls         []time.Duration
		p50, p95, p99 time.Duration
	}{
		{nil, 0, 0, 0},
		{[]time.Duration{5}, 5, 5, 5},
		{[]time.Duration{0, 5 * time.Microsecond}, 999, 5 * time.Microsecond, 5 * time.Microsecond},
		{[]time.Duration{3 * time.Microsecond, 3 * time.Microsecond, 9 * time.Microsecond}, 4*time.Microsecond - 1, 9 * time.Microsecond, 9 * time.Microsecond},
		{[]time.Duration{1000 * time.Hour, 2000 * time.Hour}, upper(bucketCount - 1), upper(bucketCount - 1), upper(bucketCount - 1)},
		{slices.Repeat([]time.Duration{0, 8 * time.Microsecond}, 50), 999, 8 * time.Microsecond, 8 * time.Microsecond},
		{append(slices.Repeat([]time.Duration{0}, 99), time.Second), 999, 999, 999},
		{append(slices.Repeat([]time.Duration{0}, 98), time.Second, time.Second), 999, 999, time.Second},
		{append(slices.Repeat([]time.Duration{0}, 94), slices.Repeat([]time.Duration{time.Second}, 6)...), 999, time.Second, time.Second},
	} {
		var h histogram
		for _, d := range c.calls {
			h.add(d, false)
		}
		var d distribution
		d.add(&h)
		if got := d.counts(time.Second); got.P50 != c.p50 || got.P95 != c.p95 || got.P99 != c.p99 {
			t.Errorf("of %d calls: %v, %v, %v, want %v, %v, %v", len(c.calls), got.P50, got.P95, got.P99, c.p50, c.p95, c.p99)
		}
	}
	for c, want := range map[Counts]float64{{Calls: 10, Over: 2 * time.Second}: 5, {Calls: 10}: 0, {Calls: 10, Over: -1}: 0} {
		if got := c.Rate(); got != want {
			t.Errorf("%+v: %v calls a second, want %v", c, got, want)
		}
	}
}

// Endpoints stand in an order: servers, then clients, each by service and method.
// Those over the bound are counted together, clients and servers apart.
func TestTheOrderAndBoundOfEndpoints(t *testing.T) {
	r := newRecorder(5)
	want := []Endpoint{{Service: "a", Method: "x"}, {Service: "a", Method: "y"}, {Service: "b", Method: "w"}, {Client: true, Service: "a", Method: "x"}, {Client: true, Service: "a", Method: "z"}}
	for _, i := range []int{3, 1, 4, 0, 2} {
		r.observe(want[i], 1, nil)
	}
	list := func() (all []Endpoint, calls []uint64, dropped uint64) {
		stats, dropped := r.stats()
		for _, s := range stats {
			all, calls = append(all, s.Endpoint), append(calls, s.Total.Calls)
		}
		return all, calls, dropped
	}
	if all, _, dropped := list(); !slices.Equal(all, want) || dropped != 0 {
		t.Errorf("%v, %d dropped", all, dropped)
	}
	r.observe(want[0], 1, nil) // is known
	leave := r.enter(Endpoint{Client: true, Method: "more"})
	r.observe(Endpoint{Method: "more"}, 1, nil)
	r.observe(Endpoint{Method: "still more"}, 1, nil)
	leave()
	all, calls, dropped := list()
	if !slices.Equal(all, []Endpoint{{Method: "_other"}, want[0], want[1], want[2], {Client: true, Method: "_other"}, want[3], want[4]}) || fmt.Sprint(calls) != "[2 2 1 1 0 1 1]" || dropped != 3 {
		t.Errorf("%v, calls %v, %d dropped", all, calls, dropped)
	}
}

// An instance is forgotten once it is lost for longer than Keep, and its service
// with the last of them. Others stay.
func TestWhenAnInstanceIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(Instance{ID: "me", Service: "ops"}, Policy{Keep: time.Minute}, nil)
		report := func(service, id string, ttl time.Duration) Report {
			return Report{Status: Status{Instance: Instance{ID: id, Service: service}}, Seq: 1, TTL: ttl}
		}
		c.take(report("a", "1", 10*time.Second))
		c.take(report("a", "2", 20*time.Second))
		c.take(report("b", "3", 10*time.Second))
		for _, x := range []struct {
			after time.Duration
			want  string
		}{{70 * time.Second, "[a b] 2 1"}, {1, "[a] 1 0"}, {10*time.Second - 1, "[a] 1 0"}, {1, "[] 0 0"}} {
			time.Sleep(x.after)
			c.expire()
			if got := fmt.Sprint(c.Services(), len(c.View("a").Members), len(c.View("b").Members)); got != x.want {
				t.Errorf("%v later: %s, want %s", x.after, got, x.want)
			}
		}
	})
}

// Whoever watched leaves nothing behind.
func TestWatchesAreForgotten(t *testing.T) {
	mo, err := New(WithService("s"))
	if err != nil {
		t.Fatal(err)
	}
	f := mo.(*front)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	count := func() (n int) {
		f.mu.Lock()
		n = len(f.watches)
		f.mu.Unlock()
		f.cluster.mu.Lock()
		defer f.cluster.mu.Unlock()
		return n + len(f.cluster.watchers)
	}
	before := count()
	for range mo.Watch(ctx) {
	}
	for range mo.Watch(t.Context()) {
		break
	}
	for range mo.Cluster().Watch(ctx, "s") {
	}
	for range mo.Cluster().Watch(t.Context(), "s") {
		break
	}
	if after := count(); after > max(before, 1) { // of the reports
		t.Errorf("%d watches before, %d after", before, after)
	}
	if err := mo.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d watches are left after Close", n)
	}
}

// Reports in memory are given once to who watches, those that are over not at all.
func TestReportsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewReports().Driver()
		publish := func(id string, seq uint64, ttl time.Duration) {
			if err := d.Publish(t.Context(), Report{Status: Status{Instance: Instance{ID: id}}, Seq: seq, TTL: ttl}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		watch := func(ctx context.Context) {
			err := d.Watch(ctx, func(r Report) { got = append(got, fmt.Sprint(r.Status.Instance.ID, r.Seq)) })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch: %v", err)
			}
		}
		publish("a", 1, time.Second)
		publish("b", 1, time.Minute)
		time.Sleep(time.Second) // a is just not over
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); watch(ctx) }()
		synctest.Wait()
		slices.Sort(got)
		if fmt.Sprint(got) != "[a1 b1]" {
			t.Errorf("at first: %v", got)
		}
		got = nil
		time.Sleep(time.Nanosecond)
		publish("b", 2, time.Minute)
		synctest.Wait()
		publish("c", 1, time.Minute)
		synctest.Wait()
		if fmt.Sprint(got) != "[b2 c1]" {
			t.Errorf("then: %v", got)
		}
		cancel()
		<-done
		if n := len(d.(memoryDriver).newest); n != 2 {
			t.Errorf("%d reports are kept, want those that are not over", n)
		}
		got = nil
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		watch(ended)
		slices.Sort(got)
		if fmt.Sprint(got) != "[b2 c1]" {
			t.Errorf("who comes later hears %v", got)
		}
	})
}

// The upper bound of a bucket, or the lower one where that is infinite.
func TestSecondsOfABucket(t *testing.T) {
	for _, c := range []struct {
		upper, lower float64
		want         time.Duration
	}{{0, -1, 0}, {0.5, 0.25, 500 * time.Millisecond}, {1e9, 1, 1e9 * time.Second}, {1e300, 2, 2 * time.Second}} {
		if got := seconds(c.upper, c.lower); got != c.want {
			t.Errorf("from %v to %v: %v, want %v", c.lower, c.upper, got, c.want)
		}
	}
}

// What a check leaves empty has its default.
func TestDefaultsOfACheck(t *testing.T) {
	ok := func(context.Context) error { return nil }
	for _, c := range []struct {
		check, want Check
	}{
		{Check{}, Check{Interval: 10 * time.Second, Timeout: 2 * time.Second, FailAfter: 3, PassAfter: 1}},
		{Check{Interval: 1, Timeout: 2, Delay: 3, FailAfter: 4, PassAfter: 5, Probe: Info, Severity: Soft}, Check{Interval: 1, Timeout: 2, Delay: 3, FailAfter: 4, PassAfter: 5, Probe: Info, Severity: Soft}},
	} {
		c.check.Name, c.check.Func = "x", ok
		got, err := c.check.normalise()
		if got.Name, got.Func = "", nil; err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, %v, want %+v", got, err, c.want)
		}
	}
}

// A state, phase or presence that there is not says so.
func TestNamesThatThereAreNot(t *testing.T) {
	for i, want := range []string{"unknown running present", "pass starting lost", "warn draining stopped", "fail stopped invalid(3)", "invalid(4) invalid(4) invalid(4)"} {
		if got := fmt.Sprint(State(i), Phase(i), Presence(i)); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
}
