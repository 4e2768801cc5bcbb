package cluster_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// startled is a discovery that panics at first.
type startled struct {
	discovery.Discovery
	watches atomic.Int32
}

func (s *startled) Watch(ctx context.Context, service string) iter.Seq2[discovery.Snapshot, error] {
	if s.watches.Add(1) < 3 {
		panic("no watch")
	}
	return s.Discovery.Watch(ctx, service)
}

// hot is a node that panics when it is closed.
type hot struct {
	db.Driver
	closed atomic.Bool
}

func (h *hot) Close() error {
	h.closed.Store(true)
	panic("no end")
}

// A panic of a discovery, or of a node that has left, is an error and not the end of
// the process.
func TestPanicsOfTheUsersAreErrors(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	s.register("b", "fake", cluster.Replica)
	s.d = &startled{Discovery: s.d}
	b := &hot{Driver: memory(t)}
	d, err := cluster.FromDiscovery(s.d, "orders", of(map[string]db.Driver{"a": memory(t), "b": b}), cluster.WithReplicaReads()).OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		err := d.Ping(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, fault.Unavailable) || time.Now().After(end) {
			t.Fatalf("while the discovery panics: %v, want Unavailable", err)
		}
	}
	if err := s.regs["b"].Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !b.closed.Load(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the node that has left is open")
		}
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("after a node panicked: %v", err)
	}
}
