package discoverytest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
)

func outage(t *c) {
	if t.env.Down == nil || t.env.Up == nil {
		t.Skip("not with this registry")
	}
	writer, reader := t.open(), t.open()
	r := t.register(writer, instance("s", "a"))
	t.register(writer, instance("s", "b"))
	t.see(reader, "s", "a b")
	t.env.Down()
	stale := t.await(reader, "s", "stale", patience, func(s discovery.Snapshot) bool { return s.State == discovery.Stale })
	if ids(stale) != "a b" || stale.Err == nil {
		t.Errorf("stale [%s], err %v, want [a b] and a reason", ids(stale), stale.Err)
	}
	// Longer than the TTL: nothing is dropped because we can't see it.
	t.never(reader, "s", "an instance dropped", time.Now().Add(2*t.ttl), func(s discovery.Snapshot) bool { return ids(s) != "a b" })
	s, ok := reader.Lookup("s")
	if !ok || s.State != discovery.Stale || !s.AsOf.Equal(stale.AsOf) {
		t.Errorf("Lookup: %t, %v, as of %v later; want stale and frozen", ok, s.State, s.AsOf.Sub(stale.AsOf))
	}
	if _, err := reader.Get(t.Context(), "s"); err != nil {
		t.Errorf("Get while stale: %v", err)
	}
	if s, err := reader.Get(t.Context(), "s", discovery.MaxStale(t.ttl)); err == nil || ids(s) != "a b" {
		t.Errorf("Get with MaxStale: [%s], %v; want the snapshot and ErrStale", ids(s), err)
	} else {
		t.wantIs("Get with MaxStale", err, discovery.ErrStale)
	}
	if r.Err() == nil {
		t.Error("the registration hasn't noticed")
	}
	_, err := writer.Register(t.Context(), instance("s", "c"))
	t.wantIs("register", err, discovery.ErrUnavailable, discovery.ErrUnknownOutcome)
	_, err = reader.Get(t.Context(), "never-asked")
	t.wantIs("the first get", err, discovery.ErrUnavailable)
	_, err = reader.Services(t.Context())
	t.wantIs("services", err, discovery.ErrUnavailable)
	t.env.Up()
	back := t.await(reader, "s", "live again", patience, func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && s.Preserved == 0 && len(s.Instances) >= 2
	})
	if back.Err != nil || !back.AsOf.After(stale.AsOf) {
		t.Errorf("back with err %v, as of %v later", back.Err, back.AsOf.Sub(stale.AsOf))
	}
	t.eventually("the registration is confirmed", func() bool { return r.Err() == nil })
	t.eventually("the service that was first asked for is live", func() bool { s, ok := reader.Lookup("never-asked"); return ok && s.State == discovery.Live })
}

func silence(t *c) {
	if t.env.Pause == nil || t.env.Go == nil {
		t.Skip("not with this registry")
	}
	t.register(t.open(), instance("s", "a"))
	d := t.open(discovery.WithTimeout(time.Second))
	t.see(d, "s", "a")
	t.env.Pause()
	_, err := d.Register(t.Context(), instance("s", "b"))
	t.wantIs("register", err, discovery.ErrUnavailable, discovery.ErrUnknownOutcome)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	_, err = d.Services(ctx)
	cancel()
	t.wantIs("services", err, context.DeadlineExceeded, discovery.ErrUnavailable)
	s, ok := d.Lookup("s")
	if !ok || ids(s) != "a" {
		t.Errorf("Lookup: [%s], %t", ids(s), ok)
	}
	t.env.Go()
	t.await(d, "s", "live with a", patience, func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && len(s.Instances) > 0 && s.Instances[0].ID == "a" && time.Since(s.AsOf) < 30*time.Second
	})
}

func wiped(t *c) {
	if t.env.Wipe == nil {
		t.Skip("not with this registry")
	}
	writer, reader := t.open(), t.open(discovery.WithPreservation(0.1, time.Minute))
	services := t.registerSizes(writer, reader)
	t.missesNone(reader, services, t.env.Wipe)
	fresh := t.open()
	for name, want := range services {
		t.see(fresh, name, want)
	}
}

func outlasted(t *c) {
	if t.env.Down == nil || t.env.Up == nil {
		t.Skip("not with this registry")
	}
	writer, reader := t.open(), t.open()
	services := t.registerSizes(writer, reader)
	t.missesNone(reader, services, func() {
		t.env.Down()
		<-time.After(2 * t.ttl)
		t.env.Up()
	})
}

// A pause breaks no connection, so that a quiet session may not notice it; but
// when it ends the registry drops all who could not renew themselves.
func paused(t *c) {
	if t.env.Pause == nil || t.env.Go == nil {
		t.Skip("not with this registry")
	}
	writer, reader := t.open(), t.open()
	services := t.registerSizes(writer, reader)
	dies := t.register(writer, instance("s-1", "dies"), discovery.NoHeartbeat(), discovery.TTL(2*t.ttl))
	t.see(reader, "s-1", "dies "+services["s-1"])
	stop := t.watched(reader, services, dies.Instance().ID)
	t.env.Pause()
	<-time.After(3 * t.ttl)
	t.env.Go()
	resumed := time.Now()
	t.await(reader, "s-1", "who died gone", 3*patience, func(s discovery.Snapshot) bool { return s.State == discovery.Live && ids(s) == services["s-1"] })
	t.Logf("who died in the pause was gone %v after it", time.Since(resumed).Round(time.Millisecond))
	stop()
}

// registerSizes registers services of one, two and six instances, and returns
// what the reader then has.
func (t *c) registerSizes(writer, reader discovery.Discovery) map[string]string {
	t.Helper()
	services := map[string]string{}
	for n, size := range []int{6, 1, 1, 1, 2, 2, 2} {
		name := fmt.Sprintf("s-%d", n)
		var all []string
		for i := range size {
			t.register(writer, instance(name, numbered(i)))
			all = append(all, numbered(i))
		}
		services[name] = strings.Join(all, " ")
		t.see(reader, name, services[name])
	}
	return services
}

// missesNone checks that the reader has all instances while something happens
// to the registry and after, until they are confirmed and a TTL has passed.
func (t *c) missesNone(reader discovery.Discovery, services map[string]string, happens func()) {
	t.Helper()
	stop := t.watched(reader, services, "")
	began := time.Now()
	happens()
	for name := range services {
		// Asked, not watched: a watch has no news of what was there again before anybody looked.
		t.eventually(name+" is confirmed", func() bool {
			s, ok := reader.Lookup(name)
			return ok && s.AsOf.After(began) && s.State == discovery.Live && s.Unconfirmed == 0
		})
	}
	stop()
}

// watched checks that the reader has all instances of services, and perhaps one
// more, until a TTL after stop is called.
func (t *c) watched(reader discovery.Discovery, services map[string]string, more string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for name, want := range services {
		wg.Go(func() {
			for s, err := range reader.Watch(ctx, name) {
				if have := strings.TrimPrefix(ids(s), more+" "); err == nil && (have != want || s.Preserved > 0) {
					t.Errorf("%s: the reader has [%s], %d preserved, %v", name, ids(s), s.Preserved, s.State)
				}
			}
		})
	}
	return func() {
		t.Helper()
		<-time.After(t.ttl)
		cancel()
		wg.Wait()
		for name, want := range services {
			t.see(reader, name, want)
		}
	}
}

// eventually polls until ok holds.
func (t *c) eventually(what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
