// Package faulttest checks the backends of package sync that talk to a server
// over a network that fails. What fails within the driver's contract is checked
// by locktest; this is about real connections.
package faulttest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
)

// Target is a backend and a server of the test's own.
type Target struct {
	Server  *servertest.Server
	Backend func(addr string) dsync.Option
	TTL     time.Duration // short, for locks that are to be lost
	Idle    int           // requests, or chunks, that an idle watch or wait may cost in a second
}

// Run runs the cases in parallel, but the one that restarts the server last.
func Run(t *testing.T, tg Target) {
	t.Run("Link", func(t *testing.T) {
		for _, c := range []struct {
			name string
			run  func(x *run)
		}{
			{"NewWithoutAServerSaysWhereItIsNot", newWithout},
			{"ACutReplyLeavesNoGhost", cutReply},
			{"AHeldReplyLeavesNoGhost", heldReply},
			{"AWaiterSurvivesAResetLink", resetLink},
			{"IdleCostsAlmostNothing", idle},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(&run{T: t, Target: tg})
			})
		}
	})
	t.Run("TheServerGoesAndComesBack", func(t *testing.T) { gone(&run{T: t, Target: tg}) })
}

type run struct {
	*testing.T
	Target
}

func (x *run) open(addr string, opts ...dsync.Option) dsync.Sync {
	x.Helper()
	s, err := dsync.New(append([]dsync.Option{x.Backend(addr), dsync.WithNamespace(x.Name())}, opts...)...)
	if err != nil {
		x.Fatalf("New: %v", err)
	}
	x.Cleanup(func() { s.Close() })
	return s
}

// free checks that id can be had long before the TTL would free it.
func (x *run) free(s dsync.Sync, what string) {
	x.Helper()
	l, err := s.Lock(x.Context(), "x", dsync.Wait(30*time.Second), dsync.TTL(time.Minute))
	if err != nil {
		x.Errorf("%s: Lock = %v: something was left behind", what, err)
		return
	}
	l.Unlock(x.Context())
}

func newWithout(x *run) {
	p := netfault.New(x.T, x.Server.Addr())
	p.Refuse()
	_, err := dsync.New(x.Backend(p.Addr()), dsync.WithDialTimeout(3*time.Second))
	if !errors.Is(err, dsync.ErrUnavailable) || err != nil && !strings.Contains(err.Error(), p.Addr()) {
		x.Errorf("New = %v, want unavailable and %s", err, p.Addr())
	}
	s := x.open(p.Addr(), dsync.WithLazy(), dsync.WithTimeout(2*time.Second))
	if _, err := s.TryLock(x.Context(), "x"); !errors.Is(err, dsync.ErrUnavailable) {
		x.Errorf("TryLock without a server = %v, want unavailable", err)
	}
	p.Heal()
	x.back(s)
}

// back waits for locks to work again.
func (x *run) back(s dsync.Sync) {
	x.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		l, err := s.Lock(x.Context(), "back", dsync.Wait(5*time.Second))
		if err == nil {
			l.Unlock(x.Context())
			return
		}
		if time.Now().After(deadline) {
			x.Fatalf("Lock after the server came back: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// cutReply loses the n-th reply of taking a lock, whatever that is.
func cutReply(x *run) {
	p := netfault.New(x.T, x.Server.Addr())
	direct := x.open(x.Server.Addr())
	for n := range 4 {
		s := x.open(p.Addr(), dsync.WithTimeout(10*time.Second))
		for range n { // so that other requests come first
			x.free(s, "before")
		}
		p.CutReplies(1 + n)
		l, err := s.Lock(x.Context(), "x", dsync.TTL(time.Minute))
		p.Heal()
		if err == nil {
			if err := l.Unlock(x.Context()); err != nil {
				x.Errorf("Unlock: %v", err)
			}
		} else if !errors.Is(err, dsync.ErrUnknownOutcome) && !errors.Is(err, dsync.ErrUnavailable) {
			x.Errorf("Lock whose reply was cut = %v", err)
		}
		x.free(direct, "after a cut reply")
	}
}

func heldReply(x *run) {
	p := netfault.New(x.T, x.Server.Addr())
	s, direct := x.open(p.Addr(), dsync.WithTimeout(time.Minute)), x.open(x.Server.Addr())
	x.free(s, "before")
	p.Hold(netfault.Replies)
	ctx, cancel := context.WithTimeout(x.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := s.Lock(ctx, "x", dsync.TTL(time.Minute)); !errors.Is(err, context.DeadlineExceeded) {
		x.Errorf("Lock whose reply is held = %v, want deadline exceeded", err)
	}
	if d := time.Since(start); d > 30*time.Second { // half of the timeout
		x.Errorf("a cancelled Lock took %v", d)
	}
	p.Heal()
	x.free(direct, "after a held reply")
}

func resetLink(x *run) {
	p := netfault.New(x.T, x.Server.Addr())
	s, direct := x.open(p.Addr()), x.open(x.Server.Addr())
	l, err := direct.Lock(x.Context(), "x")
	if err != nil {
		x.Fatal(err)
	}
	start := p.Counts().Requests
	got := make(chan error, 1)
	go func() {
		l, err := s.Lock(x.Context(), "x", dsync.Wait(time.Minute))
		if err == nil {
			err = l.Unlock(x.Context())
		}
		got <- err
	}()
	settle(x, p, start) // before it waits, an error of the link is the caller's
	for range 3 {
		<-time.After(100 * time.Millisecond)
		p.Reset()
	}
	<-time.After(300 * time.Millisecond)
	l.Unlock(x.Context())
	select {
	case err := <-got:
		if err != nil {
			x.Errorf("Lock over a link that was reset: %v", err)
		}
	case <-time.After(45 * time.Second):
		x.Error("a waiter whose link was reset is stuck")
	}
}

// settle returns when more than start requests were sent, and no more come than
// waiting costs.
func settle(x *run, p *netfault.Proxy, start int) {
	quiet, last, idle := 0, start, x.Idle/20 // in 50 ms
	for deadline := time.Now().Add(time.Minute); quiet < 12; {
		if time.Now().After(deadline) {
			x.Fatal("the waiter does not come to rest")
		}
		<-time.After(50 * time.Millisecond)
		now := p.Counts().Requests
		if now > start && now <= last+idle {
			quiet++
		} else {
			quiet = 0
		}
		last = now
	}
}

func idle(x *run) {
	p := netfault.New(x.T, x.Server.Addr())
	s, direct := x.open(p.Addr()), x.open(x.Server.Addr())
	l, err := direct.Lock(x.Context(), "x")
	if err != nil {
		x.Fatal(err)
	}
	defer l.Unlock(x.Context())
	ctx, cancel := context.WithCancel(x.Context())
	done := make(chan struct{}, 2)
	go func() {
		s.Lock(ctx, "x")
		done <- struct{}{}
	}()
	leader, err := s.Leader("x")
	if err != nil {
		x.Fatal(err)
	}
	go func() {
		for range leader.Watch(ctx) {
		}
		done <- struct{}{}
	}()
	<-time.After(time.Second) // to settle, for which a busy machine takes longer
	for try := 1; ; try++ {
		before, began := p.Counts().Requests, time.Now()
		<-time.After(2 * time.Second)
		n, took := p.Counts().Requests-before, time.Since(began)
		most := int(took/time.Second) * x.Idle
		if n <= most {
			break
		}
		if try == 5 {
			x.Errorf("an idle wait and an idle watch cost %d requests in %v, want at most %d", n, took, most)
			break
		}
	}
	cancel()
	<-done
	<-done
}

// gone restarts the server under a lock.
func gone(x *run) {
	s := x.open(x.Server.Addr(), dsync.WithTimeout(2*time.Second))
	durable := s.Features().Durable
	l, err := s.Lock(x.Context(), "held", dsync.TTL(2*time.Minute))
	if err != nil {
		x.Fatal(err)
	}
	short, err := s.Lock(x.Context(), "short", dsync.TTL(x.TTL))
	if err != nil {
		x.Fatal(err)
	}
	x.Server.Kill()
	select {
	case <-short.Context().Done():
		if !errors.Is(context.Cause(short.Context()), dsync.ErrLost) {
			x.Errorf("cause %v, want lost", context.Cause(short.Context()))
		}
	case <-time.After(x.TTL + 30*time.Second):
		x.Error("a lock outlived its TTL without a server")
	}
	if _, err := s.Lock(x.Context(), "y"); !errors.Is(err, dsync.ErrUnavailable) && !errors.Is(err, dsync.ErrUnknownOutcome) {
		x.Errorf("Lock without a server = %v, want unavailable", err)
	}
	x.Server.Restart()
	x.back(s)
	if !durable {
		return
	}
	if err := l.Context().Err(); err != nil {
		x.Errorf("a lock with a long TTL ended: %v", context.Cause(l.Context()))
	}
	other := x.open(x.Server.Addr())
	if _, err := other.TryLock(x.Context(), "held"); !errors.Is(err, dsync.ErrHeld) {
		x.Errorf("TryLock of a lock that outlived a restart = %v, want held", err)
	}
	if err := l.Unlock(x.Context()); err != nil {
		x.Errorf("Unlock after a restart: %v", err)
	}
}
