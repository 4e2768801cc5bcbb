package wrapper_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
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
