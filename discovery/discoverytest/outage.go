package discoverytest

import (
	"context"
	"fmt"
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
	stale := t.await(reader, "s", "stale at once", 4*time.Second, func(s discovery.Snapshot) bool { return s.State == discovery.Stale })
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
	began := time.Now()
	_, err := writer.Register(t.Context(), instance("s", "c"))
	t.wantIs("register", err, discovery.ErrUnavailable, discovery.ErrUnknownOutcome)
	_, err = reader.Get(t.Context(), "never-asked")
	t.wantIs("the first get", err, discovery.ErrUnavailable)
	_, err = reader.Services(t.Context())
	t.wantIs("services", err, discovery.ErrUnavailable)
	if d := time.Since(began); d > 16*time.Second {
		t.Errorf("failing took %v", d)
	}
	t.env.Up()
	back := t.await(reader, "s", "live again", 30*time.Second, func(s discovery.Snapshot) bool {
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
	d := t.open(discovery.WithTimeout(time.Second))
	t.register(d, instance("s", "a"))
	t.see(d, "s", "a")
	t.env.Pause()
	began := time.Now()
	_, err := d.Register(t.Context(), instance("s", "b"))
	t.wantIs("register", err, discovery.ErrUnavailable, discovery.ErrUnknownOutcome)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	_, err = d.Services(ctx)
	cancel()
	t.wantIs("services", err, context.DeadlineExceeded, discovery.ErrUnavailable)
	if d := time.Since(began); d > 4*time.Second {
		t.Errorf("calls took %v, want their timeouts", d)
	}
	s, ok := d.Lookup("s")
	if !ok || ids(s) != "a" {
		t.Errorf("Lookup: [%s], %t", ids(s), ok)
	}
	t.env.Go()
	t.await(d, "s", "live with a", 30*time.Second, func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && len(s.Instances) > 0 && s.Instances[0].ID == "a" && time.Since(s.AsOf) < 30*time.Second
	})
}

func wiped(t *c) {
	if t.env.Wipe == nil {
		t.Skip("not with this registry")
	}
	writer, reader := t.open(), t.open(discovery.WithPreservation(0.1, time.Minute))
	const n = 6
	for i := range n {
		t.register(writer, instance("s", numbered(i)))
	}
	want := "i-00 i-01 i-02 i-03 i-04 i-05"
	t.see(reader, "s", want)
	// The same for services of one instance, and of two.
	services := map[string]string{"s": want}
	for i := range 3 {
		one, two := fmt.Sprint("one-", i), fmt.Sprint("two-", i)
		t.register(writer, instance(one, "a"))
		t.register(writer, instance(two, "a"))
		t.register(writer, instance(two, "b"))
		services[one], services[two] = "a", "a b"
	}
	before := map[string]time.Time{}
	for name, want := range services {
		t.see(reader, name, want)
		before[name] = t.get(reader, name).AsOf
	}
	t.env.Wipe()
	// Meanwhile the reader misses none, nor shows one as expired.
	var wg sync.WaitGroup
	for name, want := range services {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for s, err := range reader.Watch(ctx, name) {
				if err != nil {
					t.Errorf("%s: not confirmed again: %+v, %v", name, s, err)
					return
				}
				if ids(s) != want || s.Preserved > 0 {
					t.Errorf("%s: the reader has [%s], %d preserved, %v", name, ids(s), s.Preserved, s.State)
				}
				if s.AsOf.After(before[name]) && s.State == discovery.Live && s.Unconfirmed == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	fresh := t.open()
	t.see(fresh, "s", want)
	t.see(reader, "s", want)
}

// eventually polls until ok holds.
func (t *c) eventually(what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
