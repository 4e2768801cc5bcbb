package ring

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
)

// late is a registry whose news wait while mu is held.
type late struct {
	discovery.Discovery
	mu sync.Mutex
}

func (l *late) Watch(ctx context.Context, service string) iter.Seq2[discovery.Snapshot, error] {
	return func(yield func(discovery.Snapshot, error) bool) {
		for s, err := range l.Discovery.Watch(ctx, service) {
			l.mu.Lock()
			more := yield(s, err)
			l.mu.Unlock()
			if !more {
				return
			}
		}
	}
}

// TestDrainedWaitsForTheRegistry: that others own what this node has, it knows
// only when it hears that it drains.
func TestDrainedWaitsForTheRegistry(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	slow := &late{Discovery: d}
	enter := func(id string, d discovery.Discovery) (*Node, discovery.Registration) {
		n, err := New(d, "cells", id, WithKey(testKey), WithReplicas(1))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(n)
		t.Cleanup(func() { n.Close(); server.Close() })
		r, err := d.Register(t.Context(), discovery.Instance{Service: "cells", ID: id, Address: server.Listener.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		return n, r
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, entered := enter("a", slow)
	b, last := enter("b", d)
	meet(ctx, t, a, b)
	notYet := func(when string) {
		t.Helper()
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if err := a.Drained(short); !errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("Drained %s: %v, want ErrUnavailable", when, err)
		}
	}
	notYet("of a node that is up and empty")
	store, err := kv.New(Backend(a))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, key := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		if _, err := store.Put(ctx, key, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	draining := func(in *discovery.Instance) { in.Status = discovery.Draining }
	slow.mu.Lock()
	if err := entered.Update(ctx, draining); err != nil {
		t.Fatal(err)
	}
	notYet("before the node has heard that it drains")
	slow.mu.Unlock()
	if err := a.Drained(ctx); err != nil {
		t.Errorf("Drained: %v", err)
	}
	if n := b.store.items.Len(); n != 8 {
		t.Fatalf("the other has %d items, want 8", n)
	}
	if err := last.Update(ctx, draining); err != nil {
		t.Fatal(err)
	}
	if err := b.Drained(ctx); err != nil {
		t.Errorf("Drained of the last, which has nobody to hand over to: %v", err)
	}
}

// TestSettledWaitsForTheRegistry: a node that has not heard that it is registered owns
// nothing, and lacks nothing of it.
func TestSettledWaitsForTheRegistry(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	slow := &late{Discovery: d}
	start := func(id string, d discovery.Discovery) (*Node, func()) {
		n, err := New(d, "cells", id, WithKey(testKey))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(n)
		t.Cleanup(func() { n.Close(); server.Close() })
		return n, func() {
			t.Helper()
			_, err := d.Register(ctx, discovery.Instance{Service: "cells", ID: id, Address: server.Listener.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	a, enter := start("a", d)
	enter()
	meet(ctx, t, a)
	store, err := kv.New(Backend(a))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, key := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		if _, err := store.Put(ctx, key, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	b, enter := start("b", slow)
	for v := b.v.Load(); v == nil || !v.has("a"); v = b.v.Load() {
		if ctx.Err() != nil {
			t.Fatal("the node does not hear of the other")
		}
		<-time.After(time.Millisecond)
	}
	slow.mu.Lock()
	enter()
	short, cancel2 := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel2()
	if err := b.Settled(short); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("Settled before the node has heard that it is registered: %v, want ErrUnavailable", err)
	}
	slow.mu.Unlock()
	if err := b.Settled(ctx); err != nil {
		t.Errorf("Settled: %v", err)
	}
	if n := b.store.items.Len(); n != 8 {
		t.Errorf("it has %d items, want 8", n)
	}
}

func TestMembershipJoinsOnce(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m := Member(WithKey(testKey))
	defer m.Close()
	self := discovery.Instance{Service: "cells", ID: "a", Labels: map[string]string{"tier": "1"}}
	given := self.Labels
	if _, err := m.Join(d, &self, nil); err != nil {
		t.Fatal(err)
	}
	if self.Labels["ring"] != "/.ring" || self.Labels["tier"] != "1" || len(given) != 1 {
		t.Errorf("the labels are %v, those given %v", self.Labels, given)
	}
	if _, err := m.Join(d, &self, nil); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("joining twice: %v", err)
	}
	if _, err := Member(WithKey(testKey)).Join(d, nil, nil); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("no instance: %v", err)
	}
}

// meet waits until each of the nodes knows all of them, and has what it owns: no write of what
// follows meets a change of the owners.
func meet(ctx context.Context, t *testing.T, nodes ...*Node) {
	t.Helper()
	for _, n := range nodes {
		for _, other := range nodes {
			for v := n.v.Load(); v == nil || !v.has(other.self); v = n.v.Load() {
				if ctx.Err() != nil {
					t.Fatal("the nodes do not meet")
				}
				<-time.After(time.Millisecond)
			}
		}
		if err := n.Settled(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
