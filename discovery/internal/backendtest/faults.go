package backendtest

import (
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
		Await(t, d, "both", Patience, live("killed stays"))
	}
	// Its heartbeats work: it would be gone by now. On a busy machine one may be
	// late; the next one brings it back.
	<-time.After(b.TTL + b.TTL/2)
	for _, d := range readers {
		Await(t, d, "both after a TTL", Patience, live("killed stays"))
	}
	child.Kill()
	began := time.Now()
	for _, d := range readers {
		Await(t, d, "only the other", b.TTL+Patience, live("stays"))
	}
	t.Logf("gone %v after the kill, TTL %v", time.Since(began).Round(time.Millisecond), b.TTL)
}

// Patience is what a machine that is busy with other tests may be late by. On a
// quiet one it is less than a second, as the log says.
const Patience = 30 * time.Second

func (b Backend) paused(t *testing.T, addr string) {
	namespace := name()
	reader := b.open(t, addr, namespace)
	child := servertest.Child(t, b.role(), addr, namespace, "paused")
	if line := child.Line(); line != "registered" {
		t.Fatalf("the child says %q", line)
	}
	Await(t, reader, "the child", Patience, live("paused"))
	child.Pause()
	Await(t, reader, "nobody", b.TTL+Patience, live(""))
	child.Resume()
	began := time.Now()
	Await(t, reader, "the child again", b.TTL+Patience, live("paused"))
	t.Logf("back %v after it woke", time.Since(began).Round(time.Millisecond))
}

func (b Backend) silent(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	writer, reader := b.open(t, addr, namespace, discovery.WithTimeout(Patience)), b.open(t, p.Addr(), namespace)
	if _, err := writer.Register(t.Context(), in("a"), discovery.TTL(2*Patience)); err != nil {
		t.Fatal(err)
	}
	// A second change comes by the watch, which is there then.
	Await(t, reader, "a", Patience, live("a"))
	r, err := writer.Register(t.Context(), in("x"))
	if err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "x too", Patience, live("a x"))
	if err := r.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "a again", Patience, live("a"))
	p.Drop(netfault.Both)
	stale := Await(t, reader, "stale", b.Silence+Patience, func(s discovery.Snapshot) bool { return s.State == discovery.Stale })
	if IDs(stale) != "a" {
		t.Errorf("stale [%s], want [a]", IDs(stale))
	}
	if _, err := writer.Register(t.Context(), in("b")); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	Await(t, reader, "both again", Patience, live("a b"))
}

func (b Backend) lostReply(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	writer, reader := b.open(t, p.Addr(), namespace), b.open(t, addr, namespace)
	Await(t, reader, "nothing", Patience, live(""))
	p.CutReplies(-1)
	_, err := writer.Register(t.Context(), in("ghost"))
	if err == nil {
		t.Fatal("registered without an answer")
	}
	t.Log(err)
	p.Heal()
	// It may appear, and has to go.
	<-time.After(b.TTL + time.Second)
	Await(t, reader, "nothing left behind", Patience, live(""))
	// And the id is free.
	if _, err := writer.Register(t.Context(), in("ghost")); err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "the second one", Patience, live("ghost"))
}

func (b Backend) reset(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	d := b.open(t, p.Addr(), namespace, discovery.WithTimeout(Patience))
	if _, err := d.Register(t.Context(), in("a"), discovery.TTL(2*Patience)); err != nil {
		t.Fatal(err)
	}
	Await(t, d, "a", Patience, live("a"))
	for i := range 3 {
		before, _ := d.Lookup("s")
		p.Reset()
		id := fmt.Sprint("b", i)
		deadline := time.Now().Add(Patience)
		for {
			r, err := d.Register(t.Context(), in(id))
			if err == nil {
				Await(t, d, "the new one", Patience, func(s discovery.Snapshot) bool { return strings.Contains(IDs(s), id) && s.State == discovery.Live })
				if err := r.Deregister(t.Context()); err != nil {
					t.Error(err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		s := Await(t, d, "a alone", Patience, live("a"))
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
	before, began := p.Counts(), time.Now()
	<-time.After(periods * b.Poll)
	sent := p.Counts().Requests - before.Requests
	took := time.Since(began) // more on a busy machine
	most := (int(took/b.Poll) + 1) * b.Idle(services)
	t.Logf("%d requests of %d services in %v, budget %d", sent, services, took, most)
	if sent > most {
		t.Errorf("%d requests, want at most %d", sent, most)
	}
	for end := time.Now().Add(Patience); ; {
		s, ok := d.Lookup("s0")
		if ok && s.State == discovery.Live && s.Age() <= 3*b.Poll {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v, confirmed %v ago, want live and not longer than three periods", s.State, s.Age())
		}
		<-time.After(20 * time.Millisecond)
	}
}
