package monitor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/monitor"
)

// fleet is three instances of a service that share Reports.
func fleet(t *testing.T, n int, opts ...monitor.Option) []monitor.Monitor {
	m := monitor.NewReports()
	var out []monitor.Monitor
	expected := monitor.WithExpected(func(service string) ([]string, bool) {
		return []string{"a", "b", "c"}[:n], service == "orders"
	})
	for _, id := range []string{"a", "b", "c"}[:n] {
		own := append([]monitor.Option{monitor.Memory(m), expected, monitor.WithInstance(monitor.Instance{ID: id, Service: "orders"})}, opts...)
		out = append(out, start(t, own...))
	}
	return out
}

func TestClusterSeesEveryInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, 3)
		time.Sleep(time.Second)
		for _, mo := range all {
			v := mo.Cluster().View("orders")
			if v.Verdict != monitor.Pass || v.Pass != 3 || v.Expected != 3 || len(v.Members) != 3 {
				t.Errorf("%s sees %+v, want three that pass", v.Observer, v)
			}
		}
		if got := all[0].Cluster().Services(); len(got) != 1 || got[0] != "orders" {
			t.Errorf("services %v", got)
		}
		all[1].SetPhase(monitor.Draining)
		time.Sleep(time.Second) // a change is published at once, not at the next interval
		if v := all[0].Cluster().View("orders"); v.Verdict != monitor.Warn || v.Fail != 1 || v.Pass != 2 {
			t.Errorf("one drains: %+v, want warn", v)
		}
		all[2].SetPhase(monitor.Draining)
		time.Sleep(time.Second)
		if v := all[0].Cluster().View("orders"); v.Verdict != monitor.Fail {
			t.Errorf("one of three healthy: %v, want fail", v.Verdict)
		}
	})
}

func TestStoppedIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, 3)
		time.Sleep(time.Second)
		all[2].Close(t.Context())
		time.Sleep(time.Second)
		if v := all[0].Cluster().View("orders"); v.Stopped != 1 || v.Lost != 0 {
			t.Errorf("after Close: %+v, want one stopped", v)
		}
	})
}

// cut is a backend that can be cut off.
type cut struct {
	monitor.Driver
	off atomic.Bool
}

func (c *cut) Publish(ctx context.Context, r monitor.Report) error {
	if c.off.Load() {
		return errDown
	}
	return c.Driver.Publish(ctx, r)
}

func (c *cut) Watch(ctx context.Context, f func(monitor.Report)) error {
	return c.Driver.Watch(ctx, func(r monitor.Report) {
		if !c.off.Load() {
			f(r)
		}
	})
}

func TestObserverThatIsCutOffSaysUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := monitor.NewReports()
		expected := monitor.WithExpected(func(string) ([]string, bool) { return []string{"a", "b", "c"}, true })
		var cuts []*cut
		var all []monitor.Monitor
		for _, id := range []string{"a", "b", "c"} {
			c := &cut{Driver: m.Driver()}
			cuts = append(cuts, c)
			all = append(all, start(t, expected, monitor.WithInstance(monitor.Instance{ID: id, Service: "orders"}),
				monitor.WithDriver("cut", func(context.Context) (monitor.Driver, error) { return c, nil })))
		}
		time.Sleep(10 * time.Second)
		cuts[0].off.Store(true)
		time.Sleep(30 * time.Second)
		if v := all[0].Cluster().View("orders"); v.Verdict != monitor.Unknown || v.Lost != 2 {
			t.Errorf("the one that is cut off: %+v, want unknown with two lost", v)
		}
		if v := all[1].Cluster().View("orders"); v.Verdict != monitor.Warn || v.Lost != 1 {
			t.Errorf("the others: %+v, want warn with one lost", v)
		}
		cuts[0].off.Store(false)
		time.Sleep(30 * time.Second)
		if v := all[0].Cluster().View("orders"); v.Verdict != monitor.Pass {
			t.Errorf("healed: %+v, want pass", v)
		}
	})
}

func TestFailureThatMostShareOnlyWarns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, 3)
		fail := func(mo monitor.Monitor) {
			register(t, mo, monitor.Check{Name: "db", Dependency: "db.orders", Func: func(context.Context) error { return errDown }})
		}
		fail(all[0])
		time.Sleep(time.Second)
		if all[0].Status().Ready {
			t.Error("one of three fails: ready, want not")
		}
		fail(all[1])
		time.Sleep(20 * time.Second)
		for i, mo := range all[:2] {
			s := mo.Status()
			if c, _ := s.Check("db"); !s.Ready || !c.Shared || s.State != monitor.Warn {
				t.Errorf("two of three fail: instance %d has %+v, want ready with a warning", i, s)
			}
		}
		if v := all[2].Cluster().View("orders"); v.ByCheck["db"] != 2 {
			t.Errorf("by check: %v, want two", v.ByCheck)
		}
	})
}

func TestViewWithoutAListIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t, monitor.WithService("orders"))
		synctest.Wait()
		if v := mo.Cluster().View("orders"); v.Verdict != monitor.Unknown || v.Pass != 1 || v.Expected != -1 {
			t.Errorf("got %+v", v)
		}
	})
}

func TestClusterWatchYieldsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, 2)
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var got []monitor.State
		done := make(chan struct{})
		go func() {
			defer close(done)
			for v := range all[0].Cluster().Watch(ctx, "orders") {
				got = append(got, v.Verdict)
			}
		}()
		time.Sleep(time.Minute)
		all[1].SetPhase(monitor.Draining)
		time.Sleep(time.Minute)
		cancel()
		<-done
		if len(got) != 2 || got[0] != monitor.Pass || got[1] != monitor.Warn {
			t.Errorf("got %v, want pass, then warn, and nothing in between", got)
		}
	})
}

func TestLostInstancesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(t, 2, monitor.WithPolicy(monitor.Policy{Keep: time.Minute}))
		time.Sleep(time.Second)
		all[1].Close(t.Context())
		time.Sleep(2 * time.Minute)
		if v := all[0].Cluster().View("orders"); len(v.Members) != 1 {
			t.Errorf("%d members, want 1", len(v.Members))
		}
	})
}
