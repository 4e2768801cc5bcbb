package backendtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func (b Backend) killed(t *testing.T, addr string) {
	namespace := name()
	readers := []discovery.Discovery{b.open(t, addr, namespace), b.open(t, addr, namespace)}
	if _, err := readers[0].Register(t.Context(), in("stays")); err != nil {
		t.Fatal(err)
	}
	child := servertest.Child(t, b.role(), addr, namespace, "killed")
	if line := child.Line(); line != "registered" {
		t.Fatalf("the child says %q", line)
	}
	for _, d := range readers {
		Await(t, d, "both", 10*time.Second, live("killed stays"))
	}
	// Its heartbeats work: it would be gone by now. On a busy machine one may be
	// late; the next one brings it back.
	<-time.After(b.TTL + b.TTL/2)
	for _, d := range readers {
		Await(t, d, "both after a TTL", 10*time.Second, live("killed stays"))
	}
	child.Kill()
	began := time.Now()
	for _, d := range readers {
		Await(t, d, "only the other", b.TTL+slack, live("stays"))
	}
	t.Logf("gone %v after the kill, TTL %v", time.Since(began).Round(time.Millisecond), b.TTL)
}

// slack is what a machine that is busy with other tests may be late by, beyond
// the TTL. What it is on a quiet one stands in the log: less than a second.
const slack = 5 * time.Second

func (b Backend) paused(t *testing.T, addr string) {
	namespace := name()
	reader := b.open(t, addr, namespace)
	child := servertest.Child(t, b.role(), addr, namespace, "paused")
	if line := child.Line(); line != "registered" {
		t.Fatalf("the child says %q", line)
	}
	Await(t, reader, "the child", 10*time.Second, live("paused"))
	child.Pause()
	Await(t, reader, "nobody", b.TTL+slack, live(""))
	child.Resume()
	began := time.Now()
	Await(t, reader, "the child again", b.TTL+slack, live("paused"))
	t.Logf("back %v after it woke", time.Since(began).Round(time.Millisecond))
}

func (b Backend) silent(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	writer, reader := b.open(t, addr, namespace), b.open(t, p.Addr(), namespace)
	if _, err := writer.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	// A second change comes by the watch, which is there then.
	Await(t, reader, "a", 10*time.Second, live("a"))
	r, err := writer.Register(t.Context(), in("x"))
	if err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "x too", 10*time.Second, live("a x"))
	if err := r.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "a again", 10*time.Second, live("a"))
	p.Drop(netfault.Both)
	stale := Await(t, reader, "stale", b.Silence, func(s discovery.Snapshot) bool { return s.State == discovery.Stale })
	if IDs(stale) != "a" {
		t.Errorf("stale [%s], want [a]", IDs(stale))
	}
	if _, err := writer.Register(t.Context(), in("b")); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	Await(t, reader, "both again", 20*time.Second, live("a b"))
}

func (b Backend) lostReply(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	writer, reader := b.open(t, p.Addr(), namespace), b.open(t, addr, namespace)
	Await(t, reader, "nothing", 10*time.Second, live(""))
	p.CutReplies(-1)
	_, err := writer.Register(t.Context(), in("ghost"))
	if err == nil {
		t.Fatal("registered without an answer")
	}
	t.Log(err)
	p.Heal()
	// It may appear, and has to go.
	deadline := time.Now().Add(b.TTL + time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range reader.Watch(ctx, "s") {
		if err == nil {
			last = s
		}
	}
	if len(last.Instances) > 0 {
		t.Errorf("left behind: [%s]", IDs(last))
	}
	// And the id is free.
	if _, err := writer.Register(t.Context(), in("ghost")); err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "the second one", 10*time.Second, live("ghost"))
}

func (b Backend) reset(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	d := b.open(t, p.Addr(), namespace)
	if _, err := d.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	Await(t, d, "a", 10*time.Second, live("a"))
	for i := range 3 {
		before, _ := d.Lookup("s")
		p.Reset()
		id := fmt.Sprint("b", i)
		deadline := time.Now().Add(10 * time.Second)
		for {
			r, err := d.Register(t.Context(), in(id))
			if err == nil {
				Await(t, d, "the new one", 10*time.Second, func(s discovery.Snapshot) bool { return strings.Contains(IDs(s), id) && s.State == discovery.Live })
				if err := r.Deregister(t.Context()); err != nil {
					t.Error(err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		s := Await(t, d, "a alone", 10*time.Second, live("a"))
		if s.Revision <= before.Revision {
			t.Errorf("revision %d after %d", s.Revision, before.Revision)
		}
	}
}

func (b Backend) idle(t *testing.T, addr string) {
	const services, periods = 4, 3
	p := netfault.New(t, addr)
	d := b.open(t, p.Addr(), name())
	for i := range services {
		if _, err := d.Get(t.Context(), fmt.Sprint("s", i)); err != nil {
			t.Fatal(err)
		}
	}
	before := p.Counts()
	<-time.After(periods * b.Poll)
	sent := p.Counts().Requests - before.Requests
	most := (periods + 1) * b.Idle(services)
	t.Logf("%d requests of %d services in %d periods, budget %d", sent, services, periods, most)
	if sent > most {
		t.Errorf("%d requests, want at most %d", sent, most)
	}
	s, ok := d.Lookup("s0")
	if !ok || s.State != discovery.Live || s.Age() > 3*b.Poll {
		t.Errorf("%v, confirmed %v ago, want live and not longer than three periods", s.State, s.Age())
	}
}
