package nats_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/servertest"
)

func TestConformanceOnThreeNodesChaos(t *testing.T) {
	if os.Getenv("CHAOS") == "" {
		t.Skip("three servers, for minutes: make chaos")
	}
	c := servertest.NATSCluster(t)
	addr := strings.Join(c.Addrs(), ",")
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB, opts ...event.Option) event.Stream {
			t.Helper()
			s, err := event.New(append(opts, nats.Backend(addr, nats.WithReplicas(3)))...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Restart: func(testing.TB) {
			for _, m := range c.Members {
				m.Kill()
			}
			var wg sync.WaitGroup
			for _, m := range c.Members { // none serves without another
				wg.Go(m.Restart)
			}
			wg.Wait()
		},
	})
}

// TestThreeNodes has streams that three servers keep. A consumer is on any of them, which may
// not have yet what the leader has acknowledged.
func TestThreeNodes(t *testing.T) {
	c := servertest.NATSCluster(t)
	t.Run("WhatIsAcknowledgedIsRead", func(t *testing.T) {
		acknowledgedIsRead(t, c, func(addrs ...string) event.Stream { return openAt(t, addrs, "read") })
	})
	t.Run("RetentionKeepsWhatGroupsNeed", func(t *testing.T) {
		retentionKeeps(t, c, func(addr string, opts ...event.Option) event.Stream {
			return openAt(t, []string{addr}, "keep", opts...)
		})
	})
	t.Run("AKilledLeaderTakesNothingWithIt", func(t *testing.T) { // the last: one server is missing then
		leaderKilled(t, c, openAt(t, c.Addrs(), "kill"))
	})
}

func openAt(t *testing.T, addrs []string, namespace string, opts ...event.Option) event.Stream {
	t.Helper()
	s, err := event.New(append(opts, nats.Backend(strings.Join(addrs, ","), nats.WithReplicas(3)), event.WithNamespace(namespace), event.WithDialTimeout(time.Minute))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return s
}

func mustPublish(t *testing.T, s event.Stream, records ...*event.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // three servers write on one machine
	defer cancel()
	if err := s.Publish(ctx, records...); err != nil {
		t.Fatal(err)
	}
}

// acknowledgedIsRead asks for records in every way, as soon as they are published, and while
// one of the servers is behind: it stood still for a moment.
func acknowledgedIsRead(t *testing.T, c *servertest.Cluster, open func(addrs ...string) event.Stream) {
	mustPublish(t, open(c.Addrs()...), &event.Record{Type: "first"})
	leader := servertest.StreamLeader(t, c, "events-read")
	s, slow := open(leader.Addr()), other(c, leader)
	publishAll := func(rs []*event.Record) {
		for part := range slices.Chunk(rs, 500) {
			mustPublish(t, s, part...)
		}
	}
	for i := range 3 {
		round := fmt.Sprint(i)
		const many = 2000 // which takes some time to copy
		batch := func(typ string) (rs []*event.Record) {
			for range many {
				rs = append(rs, &event.Record{Type: typ, Subject: round, RootID: "r" + round, Data: make([]byte, 1000)})
			}
			return rs
		}
		slow.Pause()
		publishAll(batch("even"))
		<-time.After(2 * time.Millisecond) // a server's clock may tick in milliseconds
		at := time.Now()
		publishAll(batch("odd"))
		slow.Resume()
		for name, q := range map[string]struct {
			want int
			opts []event.QueryOption
		}{
			"all": {1 + 2*many*(i+1), nil}, "at": {many, []event.QueryOption{event.From(event.At(at))}},
			"by type":      {many * (i + 1), []event.QueryOption{event.Types("odd")}},
			"back":         {300, []event.QueryOption{event.Reverse(), event.Limit(300)}},
			"back by type": {10, []event.QueryOption{event.Types("odd"), event.Reverse(), event.Limit(10)}},
			"by root":      {2 * many, []event.QueryOption{event.Root("r" + round)}},
		} {
			n, reverse := 0, strings.HasPrefix(name, "back")
			for r, err := range s.Query(t.Context(), q.opts...) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if n++; reverse && r.Subject != round {
					t.Fatalf("%s: after the records %s came %s", name, round, r.Subject)
				}
			}
			if n != q.want {
				t.Errorf("%s after the records %s: %d, want %d", name, round, n, q.want)
			}
		}
	}
}

// other returns a server that leads nothing of all.
func other(c *servertest.Cluster, leader *servertest.Server) *servertest.Server {
	for _, m := range c.Followers() {
		if m != leader {
			return m
		}
	}
	return nil
}

// retentionKeeps removes all that it may while the server of a group's consumer is behind: it
// stood still, and has to take in many records before it has the one that the group needs.
func retentionKeeps(t *testing.T, c *servertest.Cluster, open func(addr string, opts ...event.Option) event.Stream) {
	mustPublish(t, open(c.Addrs()[0]), &event.Record{Type: "first"})
	leader := servertest.StreamLeader(t, c, "events-keep")
	s := open(leader.Addr())
	var mu sync.Mutex
	handled := map[string]int{} // groups by record
	all := func(groups, rounds int) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == rounds && !slices.ContainsFunc(slices.Collect(maps.Values(handled)), func(n int) bool { return n != groups })
	}
	groups := 0
	var slow *servertest.Server
	until(t, "a consumer is elsewhere", func() bool { // chance puts each on one of three
		groups++
		err := subscribe(t, s, func(r *event.Record) error {
			mu.Lock()
			defer mu.Unlock()
			handled[r.Subject]++
			return nil
		}, event.Group(fmt.Sprint("g", groups)), event.From(event.Beginning()), event.Types("t"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range servertest.ConsumerLeaders(t, c, "events-keep") {
			if m != leader && m != c.Leader() { // which answers questions about all
				slow = m
			}
		}
		return slow != nil
	})
	for i := range 3 {
		slow.Pause()
		for range 8 {
			var rs []*event.Record
			for range 500 {
				rs = append(rs, &event.Record{Type: "other", Data: make([]byte, 1000)})
			}
			mustPublish(t, s, rs...)
		}
		mustPublish(t, s, &event.Record{Type: "t", Subject: fmt.Sprint(i)}, &event.Record{Type: "other"})
		keep := open(leader.Addr(), event.WithRetention(event.Retention{Count: 1}), event.WithRetentionEvery(2*time.Millisecond))
		<-time.After(20 * time.Millisecond) // it has asked about the consumers
		slow.Resume()
		until(t, "then they go", func() bool { return count(t, keep) <= 3 })
		until(t, "the groups have them all", func() bool { return all(groups, i+1) })
		keep.Close(t.Context())
	}
}

// leaderKilled kills the server that leads the records' stream while records are published,
// delayed and consumed.
func leaderKilled(t *testing.T, c *servertest.Cluster, s event.Stream) {
	var mu sync.Mutex
	handled := map[string]bool{}
	err := subscribe(t, s, func(r *event.Record) error {
		mu.Lock()
		defer mu.Unlock()
		handled[r.ID] = true
		return nil
	}, event.Group("g"), event.From(event.Beginning()))
	if err != nil {
		t.Fatal(err)
	}
	var acked []string
	again := func(what string, f func() error) {
		until(t, what, func() bool { return f() == nil })
	}
	publish := func(n int) {
		for range n {
			r := &event.Record{Type: "t", ID: event.NewID()}
			again("it is published", func() error { return s.Publish(t.Context(), r) })
			later := &event.Record{Type: "later", ID: event.NewID()}
			again("it is scheduled", func() error { return s.PublishAt(t.Context(), time.Now().Add(time.Second), later) })
			acked = append(acked, r.ID, later.ID)
		}
	}
	publish(50)
	leader := servertest.StreamLeader(t, c, "events-kill")
	leader.Kill()
	publish(50)
	until(t, "all are handled", func() bool { mu.Lock(); defer mu.Unlock(); return len(handled) >= len(acked) })
	times := map[string]int{}
	for r, err := range s.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		times[r.ID]++
	}
	for _, id := range acked {
		if !handled[id] || times[id] != 1 {
			t.Errorf("record %s was handled: %v, and is in the stream %d times, want once", id, handled[id], times[id])
		}
	}
}
