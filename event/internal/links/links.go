// Package links has tests of what a stream's connection may go through: it is
// idle, it is cut, held up, and loses bytes.
package links

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/netfault"
)

// subscribe has patience with a server whose first group it is.
func subscribe(t *testing.T, s event.Stream, h event.Handler, opts ...event.SubscribeOption) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Subscribe(ctx, h, opts...); err != nil {
		t.Fatal(err)
	}
}

// Idle checks that three subscriptions that have nothing to do send no more
// than some requests in two seconds.
func Idle(t *testing.T, p *netfault.Proxy, s event.Stream, limit int) {
	t.Helper()
	h := func(context.Context, *event.Record) error { return nil }
	for _, opts := range [][]event.SubscribeOption{{}, {event.Group("g")}, {event.Group("o"), event.Ordered(event.BySubject)}} {
		subscribe(t, s, h, opts...)
	}
	<-time.After(300 * time.Millisecond)
	before := p.Counts().Requests
	<-time.After(2 * time.Second)
	if n := p.Counts().Requests - before; n > limit {
		t.Errorf("three idle subscriptions sent %d requests in 2 s, want %d at most", n, limit)
	}
}

// seen is the ids that a subscription was handed, and in which order first.
type seen struct {
	mu    sync.Mutex
	ids   map[string]bool
	order []string
}

func (s *seen) handle(_ context.Context, r *event.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ids[r.ID] {
		s.ids[r.ID] = true
		s.order = append(s.order, r.ID)
	}
	return nil
}

func (s *seen) missing(n int) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if id := fmt.Sprint("r", i); !s.ids[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// Publish publishes until it is certain that the record is there.
func Publish(t *testing.T, s event.Stream, id string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := s.Publish(ctx, &event.Record{ID: id, Type: "t", Subject: "s"})
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || errors.Is(err, event.ErrInvalid) {
			t.Fatalf("publish %s: %v", id, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Cut publishes over a link with one fault after the other, and checks that a
// subscription and groups miss nothing, and that an ordered one keeps the order.
func Cut(t *testing.T, p *netfault.Proxy, s event.Stream) {
	t.Helper()
	subs := map[string]*seen{}
	for name, opts := range map[string][]event.SubscribeOption{"no group": {}, "group": {event.Group("g")}, "ordered": {event.Group("o"), event.Ordered(event.BySubject)}} {
		subs[name] = &seen{ids: map[string]bool{}}
		subscribe(t, s, subs[name].handle, append(opts, event.AckWait(time.Second))...)
	}
	n := 0
	some := func() {
		for range 10 {
			Publish(t, s, fmt.Sprint("r", n))
			n++
		}
	}
	some()
	for _, fault := range []func(){
		p.Reset,
		func() { p.Hold(netfault.Both) },
		func() { p.Drop(netfault.Replies) },
		func() { p.CutReplies(3) },
		func() { p.Refuse(); p.Reset() },
	} {
		fault()
		healed := make(chan struct{})
		time.AfterFunc(200*time.Millisecond, func() { p.Heal(); close(healed) })
		some()
		<-healed
		some()
	}
	for name, got := range subs {
		for deadline := time.Now().Add(60 * time.Second); ; {
			missing := got.missing(n)
			if len(missing) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d records are missing: %v", name, len(missing), n, missing)
			}
			<-time.After(10 * time.Millisecond)
		}
		if name != "ordered" {
			continue
		}
		for i, id := range got.order {
			if want := fmt.Sprint("r", i); id != want {
				t.Fatalf("ordered: %s was handled where %s comes: %v", id, want, got.order)
			}
		}
	}
}

// Apart checks that calls whose contexts end do not wait for another, which waits for
// the server. s has a timeout of a minute.
func Apart(t *testing.T, p *netfault.Proxy, s event.Stream) {
	t.Helper()
	p.Hold(netfault.Both)
	defer p.Heal()
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Groups(ctx)
		waiting <- err
	}()
	for range 3 { // the first may be before the one that waits
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := s.Groups(short)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Groups without an answer: %v, want DeadlineExceeded", err)
		}
	}
	select {
	case err := <-waiting:
		t.Errorf("what has more time returned first: %v", err)
	default:
	}
	cancel()
	<-waiting
}

// Own checks that Data is the caller's again when Publish has returned with its outcome
// unknown, because of a fault, though it may be sent later.
func Own(t *testing.T, p *netfault.Proxy, s event.Stream, size int, fault func()) {
	t.Helper()
	Publish(t, s, "before")
	fault()
	data := bytes.Repeat([]byte("a"), size)
	publish := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return s.Publish(ctx, &event.Record{ID: "own", Type: "t", Data: data})
	}
	err := publish(300 * time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, event.ErrUnknownOutcome) {
		err = publish(10 * time.Second) // a slow machine had not begun to send
	}
	if !errors.Is(err, event.ErrUnknownOutcome) {
		t.Fatalf("Publish without an answer: %v, want ErrUnknownOutcome", err)
	}
	for i := range data {
		data[i] = 'b'
	}
	p.Heal()
	Publish(t, s, "after")
	for r, err := range s.Query(t.Context(), event.ID("own")) {
		if err != nil || bytes.Count(r.Data, []byte("a")) != size {
			t.Errorf("stored %d bytes, %d of them as they were given to Publish, %v; want %d", len(r.Data), bytes.Count(r.Data, []byte("a")), err, size)
		}
	}
}

// Follow subscribes without a group, and returns what checks that the subscription still
// goes on: it publishes until something comes, and returns the last ID.
func Follow(t *testing.T, s event.Stream) (goesOn func() (last string)) {
	t.Helper()
	got := make(chan string, 1000)
	subscribe(t, s, func(_ context.Context, r *event.Record) error { got <- r.ID; return nil })
	return func() string {
		t.Helper()
		for len(got) > 0 {
			<-got
		}
		for until, n := time.Now().Add(60*time.Second), 0; ; n++ {
			id := fmt.Sprint("alone", n)
			Publish(t, s, id)
			select {
			case <-got:
				return id
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(until) {
				t.Fatal("a subscription without a group is handed nothing")
			}
		}
	}
}
