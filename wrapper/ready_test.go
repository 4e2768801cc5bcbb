package wrapper_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// An instance whose critical check fails gets no calls while another is ready,
// and gets them again once it is.
func TestReadinessReachesTheRouter(t *testing.T) {
	registry := discovery.NewRegistry()
	d, err := discovery.New(discovery.Memory(registry))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx := t.Context()
	if _, err := d.Register(ctx, discovery.Instance{ID: "well", Service: "orders", Address: "10.0.0.1:80"}); err != nil {
		t.Fatal(err)
	}
	reg, err := d.Register(ctx, discovery.Instance{Service: "orders", Address: "10.0.0.2:80", Zone: "eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	mo, err := monitor.New(monitor.WithService("orders"), monitor.WithPhase(monitor.Starting))
	if err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	if err := mo.Register(monitor.Check{Name: "database", Interval: 5 * time.Millisecond, FailAfter: 1, Func: func(context.Context) error {
		if broken.Load() {
			return errors.New("refused")
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMonitor(mo), wrapper.WithRegistration(reg), wrapper.WithDrain(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	if got := mo.Status().Instance; got.ID != reg.Instance().ID || got.Zone != "eu-1" {
		t.Errorf("the monitor reports as %+v, want the id %s", got, reg.Instance().ID)
	}
	ro, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()))
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close(context.Background())
	// picked waits until the instance gets calls, or none of many.
	picked := func(want bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			got := false
			for range 10 {
				p, err := ro.Pick(ctx, "orders")
				if err != nil {
					t.Fatal(err)
				}
				got = got || p.Instance.ID == reg.Instance().ID
				p.Done(router.Outcome{Latency: time.Millisecond})
			}
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the instance gets calls: %t, want %t, registered as %v", got, want, reg.Instance().Status)
			}
		}
	}
	picked(false)
	if got := reg.Instance().Status; got != discovery.Starting {
		t.Errorf("before it is ready: %v", got)
	}
	mo.SetPhase(monitor.Running)
	picked(true)
	broken.Store(true)
	picked(false)
	if got := reg.Instance().Status; got != discovery.Draining {
		t.Errorf("not ready: %v", got)
	}
	broken.Store(false)
	picked(true)
}

// hot is a registration that panics at first.
type hot struct {
	discovery.Registration
	updates atomic.Int32
}

func (h *hot) Update(ctx context.Context, f func(*discovery.Instance)) error {
	if h.updates.Add(1) == 1 {
		panic("no update")
	}
	return h.Registration.Update(ctx, f)
}

// mute is a monitor that can't be watched.
type mute struct {
	monitor.Monitor
	watches atomic.Int32
}

func (m *mute) Watch(context.Context) iter.Seq[monitor.Status] {
	m.watches.Add(1)
	panic("no watch")
}

// A registration that panics is told the next status, and neither it nor a monitor
// ends the process.
func TestReadinessOutlivesPanicsOfTheUsers(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	inner, err := d.Register(t.Context(), discovery.Instance{Service: "orders", Address: "10.0.0.2:80"})
	if err != nil {
		t.Fatal(err)
	}
	mo, err := monitor.New(monitor.WithService("orders"), monitor.WithPhase(monitor.Starting))
	if err != nil {
		t.Fatal(err)
	}
	defer mo.Close(context.Background())
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	reg, silent := &hot{Registration: inner}, &mute{Monitor: mo}
	for _, w := range []struct {
		mo   monitor.Monitor
		done func() bool
	}{
		{mo, func() bool { return reg.updates.Load() >= 2 }},
		{silent, func() bool { return silent.watches.Load() >= 2 }}, // for readiness, and for the checks
	} {
		one, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMonitor(w.mo), wrapper.WithMetrics(m), wrapper.WithRegistration(reg), wrapper.WithDrain(time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); !w.done(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d updates, %d watches", reg.updates.Load(), silent.watches.Load())
			}
			if reg.updates.Load() > 0 {
				mo.SetPhase(monitor.Running)
				mo.SetPhase(monitor.Draining)
			}
		}
		if err := one.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
