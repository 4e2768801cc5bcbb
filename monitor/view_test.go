package monitor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/monitor"
)

// told is an observer that hears what a test says for others.
type told struct {
	monitor.Monitor
	t      *testing.T
	driver monitor.Driver
}

func observer(t *testing.T, opts ...monitor.Option) told {
	m := monitor.NewReports()
	mo := start(t, append([]monitor.Option{monitor.Memory(m), monitor.WithInstance(monitor.Instance{ID: "me", Service: "ops"})}, opts...)...)
	return told{mo, t, m.Driver()}
}

// hear delivers a report of an instance of orders.
func (o told) hear(id string, seq uint64, change func(*monitor.Report)) {
	o.t.Helper()
	r := monitor.Report{Seq: seq, TTL: time.Minute, Status: monitor.Status{Instance: monitor.Instance{ID: id, Service: "orders"}, State: monitor.Pass, Phase: monitor.Running, Ready: true}}
	if change != nil {
		change(&r)
	}
	if err := o.driver.Publish(context.Background(), r); err != nil {
		o.t.Fatal(err)
	}
	synctest.Wait()
}

func (o told) view() monitor.View { return o.Cluster().View("orders") }

var (
	fails   = func(r *monitor.Report) { r.Status.State, r.Status.Ready = monitor.Fail, false }
	warns   = func(r *monitor.Report) { r.Status.State = monitor.Warn }
	unknown = func(r *monitor.Report) { r.Status.State = monitor.Unknown }
	stopped = func(r *monitor.Report) { r.Status.Phase = monitor.Stopped }
	starts  = func(r *monitor.Report) { r.Status.Ready = false }
)

// The verdict at, below and above each limit.
func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		expected int // -1: nobody knows
		reports  []func(*monitor.Report)
		want     monitor.State
		reasons  int
	}{
		"nobody knows how many":          {-1, []func(*monitor.Report){nil, fails}, monitor.Unknown, 1},
		"none is expected, none is":      {0, nil, monitor.Unknown, 1},
		"none is expected, one is":       {0, []func(*monitor.Report){nil}, monitor.Pass, 0},
		"all are well":                   {2, []func(*monitor.Report){nil, nil}, monitor.Pass, 0},
		"fewer than half are heard":      {3, []func(*monitor.Report){nil}, monitor.Unknown, 1},
		"half are heard":                 {2, []func(*monitor.Report){nil}, monitor.Warn, 1},
		"half are heard, the other left": {2, []func(*monitor.Report){nil, stopped}, monitor.Warn, 1},
		"half are well":                  {4, []func(*monitor.Report){nil, nil, fails, fails}, monitor.Warn, 1},
		"fewer than half are well":       {4, []func(*monitor.Report){nil, fails, fails, starts}, monitor.Fail, 2},
		"one warns":                      {2, []func(*monitor.Report){nil, warns}, monitor.Warn, 1},
		"one does not know":              {2, []func(*monitor.Report){nil, unknown}, monitor.Warn, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := observer(t, monitor.WithExpected(func(string) ([]string, bool) { return make([]string, max(c.expected, 0)), c.expected >= 0 }))
				for i, change := range c.reports {
					o.hear(fmt.Sprint(i), 1, change)
				}
				if v := o.view(); v.Verdict != c.want || len(v.Reasons) != c.reasons {
					t.Errorf("%v for %q, want %v and %d reasons", v.Verdict, v.Reasons, c.want, c.reasons)
				}
			})
		})
	}
}

// Which reports count: not those of nobody, for no time, or older ones.
func TestReportsThatDoNotCount(t *testing.T) {
	for name, c := range map[string]struct {
		id     string
		seq    uint64
		change func(*monitor.Report)
		counts bool
	}{
		"newer":                    {"a", 6, fails, true},
		"the same number":          {"a", 5, fails, false},
		"older":                    {"a", 4, fails, false},
		"older, once its own name": {"a", 4, func(r *monitor.Report) { fails(r); r.Was = "a" }, false},
		"nobody's":                 {"", 6, fails, false},
		"for no time":              {"b", 6, func(r *monitor.Report) { fails(r); r.TTL = 0 }, false},
		"another's":                {"b", 1, fails, true},
		"once of another name":     {"b", 1, func(r *monitor.Report) { fails(r); r.Was = "a" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := observer(t)
				o.hear("a", 5, nil)
				o.hear(c.id, c.seq, c.change)
				if v := o.view(); (v.Fail == 1) != c.counts || v.Fail > 1 {
					t.Errorf("%d fail of %+v, counts %v", v.Fail, v.Members, c.counts)
				}
			})
		})
	}
}

// An instance is present until its report is over, then lost, then forgotten, and
// its service with it. Who watches is told.
func TestInstancesAreLostByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer(t, monitor.WithPolicy(monitor.Policy{Keep: time.Hour}), monitor.WithInterval(time.Second))
		o.hear("a", 1, nil)
		seen := make(chan monitor.View, 10)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			for v := range o.Cluster().Watch(ctx, "orders") {
				seen <- v
			}
		}()
		time.Sleep(time.Minute)
		if v := o.view(); v.Pass != 1 || v.Lost != 0 {
			t.Errorf("at its end: %+v", v)
		}
		time.Sleep(time.Nanosecond)
		if v := o.view(); v.Pass != 0 || v.Lost != 1 {
			t.Errorf("after its end: %+v", v)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(seen) != 2 {
			t.Errorf("%d views were seen, want present and lost", len(seen))
		}
		if s := o.Cluster().Services(); !slices.Contains(s, "orders") {
			t.Errorf("services %v, want orders among them", s)
		}
		time.Sleep(2 * time.Hour)
		if s := o.Cluster().Services(); slices.Contains(s, "orders") {
			t.Errorf("services %v, want orders forgotten", s)
		}
	})
}

// How many others must share the failure of a dependency for it to only warn.
func TestWhoSharesAFailure(t *testing.T) {
	down := func(r *monitor.Report) {
		fails(r)
		r.Status.Checks = []monitor.Result{{Name: "db", Dependency: "db.orders", State: monitor.Fail}}
	}
	left := func(r *monitor.Report) { down(r); stopped(r) }
	short := func(r *monitor.Report) { down(r); r.TTL = time.Millisecond }
	for name, c := range map[string]struct {
		peers  []func(*monitor.Report)
		shared bool
	}{
		"alone":                       {nil, false},
		"the only other":              {[]func(*monitor.Report){down}, true},
		"the only other is well":      {[]func(*monitor.Report){nil}, false},
		"two of four":                 {[]func(*monitor.Report){down, nil, nil}, true},
		"two of five":                 {[]func(*monitor.Report){down, nil, nil, nil}, false},
		"two of five, but one left":   {[]func(*monitor.Report){down, nil, nil, left}, true},
		"one that left":               {[]func(*monitor.Report){left, nil}, false},
		"one that is lost":            {[]func(*monitor.Report){short, nil}, false},
		"one of another's dependency": {[]func(*monitor.Report){func(r *monitor.Report) { down(r); r.Status.Checks[0].Dependency = "x" }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := observer(t, monitor.WithInstance(monitor.Instance{ID: "me", Service: "orders"}))
				for i, change := range c.peers {
					o.hear(fmt.Sprint(i), 1, change)
				}
				time.Sleep(time.Second)
				register(t, o.Monitor, monitor.Check{Name: "db", Dependency: "db.orders", Func: func(context.Context) error { return errDown }})
				time.Sleep(time.Second)
				if r := state(t, o.Monitor, "db"); r.Shared != c.shared {
					t.Errorf("%+v, want shared %v", r, c.shared)
				}
			})
		})
	}
}

// Only a check that fails, and that says what it depends on, shares a failure.
func TestWhatIsNoSharedFailure(t *testing.T) {
	for name, c := range map[string]struct {
		dependency string
		err        error
		state      monitor.State
		shared     bool
	}{
		"fails":                      {"db.orders", errDown, monitor.Warn, true},
		"passes":                     {"db.orders", nil, monitor.Pass, false},
		"warns":                      {"db.orders", monitor.Degraded(errDown), monitor.Warn, false},
		"fails without a dependency": {"", errDown, monitor.Fail, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := observer(t, monitor.WithInstance(monitor.Instance{ID: "me", Service: "orders"}))
			for i := range 3 {
				o.hear(fmt.Sprint(i), 1, func(r *monitor.Report) {
					fails(r)
					r.Status.Checks = []monitor.Result{{Name: "db", Dependency: "db.orders", State: monitor.Fail}, {Name: "other", State: monitor.Fail}}
				})
			}
			register(t, o.Monitor, monitor.Check{Name: "db", Dependency: c.dependency, TTL: time.Hour})
			o.Beat("db", c.err)
			if r := state(t, o.Monitor, "db"); r.State != c.state || r.Shared != c.shared {
				t.Errorf("it %s: %+v, want %v, shared %v", name, r, c.state, c.shared)
			}
		})
	}
}
