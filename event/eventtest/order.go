package eventtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func ordered(t *testing.T, b *bench) {
	s := b.open(t)
	for _, opts := range [][]event.SubscribeOption{{}, {event.Group("g")}} {
		var mu sync.Mutex
		byKey := map[string][]string{}
		failed := map[string]int{}
		var stuck, total atomic.Int64
		gate := make(chan struct{})
		sub := subscribe(t, s, func(_ context.Context, r *event.Record) error {
			if r.Subject == "k0" {
				select {
				case <-gate:
				default:
					stuck.Add(1)
					return errors.New("not yet") // blocks its key, and no other
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if n := string(r.Data); n[len(n)-1] == '7' && failed[r.Subject+n] < 2 {
				failed[r.Subject+n]++
				return errors.New("again")
			}
			byKey[r.Subject] = append(byKey[r.Subject], string(r.Data))
			total.Add(1)
			return nil
		}, append(opts, event.Ordered(event.BySubject), event.Concurrency(4), event.MaxAttempts(0), event.Backoff(time.Millisecond, 3*time.Millisecond))...)
		const keys, each = 5, 40
		for i := range each {
			rs := make([]*event.Record, keys)
			for k := range rs {
				rs[k] = &event.Record{Type: "t", Subject: fmt.Sprint("k", k), Data: fmt.Append(nil, i)}
			}
			publish(t, s, rs...)
		}
		eventually(t, "the other keys are done while one is stuck", func() bool { return total.Load() == (keys-1)*each && stuck.Load() > 0 })
		close(gate)
		eventually(t, "all done", func() bool { return total.Load() >= keys*each })
		mu.Lock()
		for k, got := range byKey {
			if !slices.Equal(got, numbers(each)) {
				t.Errorf("key %s was handled in the order %v", k, got)
			}
		}
		mu.Unlock()
		closeSub(t, sub)
	}
}

func orderedMembers(t *testing.T, b *bench) {
	s := b.open(t)
	if !s.Features().Exclusive {
		_, err := s.Subscribe(t.Context(), ignore, event.Group("g"), event.Ordered(event.BySubject))
		wantErr(t, "Ordered in a group", err, event.ErrUnsupported)
		return
	}
	var mu sync.Mutex
	last := map[string]int{}
	var total atomic.Int64
	member := func() event.Subscription {
		return subscribe(t, s, func(_ context.Context, r *event.Record) error {
			var n int
			fmt.Sscan(string(r.Data), &n)
			<-time.After(100 * time.Microsecond)
			mu.Lock()
			defer mu.Unlock()
			if n > last[r.Subject]+1 {
				t.Errorf("key %s: %d came after %d", r.Subject, n, last[r.Subject])
			}
			if n == last[r.Subject]+1 { // at least once: an earlier one may come again
				last[r.Subject] = n
				total.Add(1)
			}
			return nil
		}, event.Group("g"), event.Ordered(event.BySubject), event.Concurrency(3), event.AckWait(500*time.Millisecond))
	}
	members := []event.Subscription{member(), member(), member()}
	for i := range 300 {
		publish(t, s, &event.Record{Type: "t", Subject: fmt.Sprint("k", i%3), Data: fmt.Append(nil, i/3+1)})
		if i%100 == 50 { // the one that works may go at any time
			closeSub(t, members[0])
			members = append(members[1:], member())
		}
	}
	eventually(t, "all handled in order", func() bool { return total.Load() == 300 })
}

func concurrency(t *testing.T, b *bench) {
	s := b.open(t)
	for _, opts := range [][]event.SubscribeOption{{}, {event.Group("g")}} {
		var running, peak atomic.Int64
		var g got
		full := make(chan struct{})
		subscribe(t, s, func(ctx context.Context, r *event.Record) error {
			n := running.Add(1)
			defer running.Add(-1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			if n == 4 && g.len() == 0 {
				close(full)
			}
			<-full // only passes when four run at once
			return g.handle(ctx, r)
		}, append(opts, event.Concurrency(4))...)
		publishN(t, s, 40)
		eventually(t, "all handled, four at once", func() bool { return g.len() == 40 })
		if p := peak.Load(); p != 4 {
			t.Errorf("%d handlers ran at once, want 4", p)
		}
	}
}

func lag(t *testing.T, b *bench) {
	s := b.open(t)
	gate := make(chan struct{})
	var once sync.Once
	open := func() { once.Do(func() { close(gate) }) }
	defer open()
	var g got
	h := func(ctx context.Context, r *event.Record) error { <-gate; return g.handle(ctx, r) }
	sub := subscribe(t, s, h, event.Group("g"), event.Batch(10))
	live := subscribe(t, s, h, event.Batch(10))
	publishN(t, s, 500)
	for what, one := range map[string]event.Subscription{"lag is visible": sub, "lag without a group": live} {
		eventually(t, what, func() bool {
			l, err := one.Lag(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return l.Pending > 0 && (l.Behind < 0 || l.Behind+l.Pending == 500)
		})
	}
	// A record is held, and pending, a moment before its handler runs.
	eventually(t, "one handler running", func() bool { return sub.Stats().Running == 1 })
	if st := sub.Stats(); st.Running != 1 || st.Held == 0 || st.Held > 100 {
		t.Errorf("stats %+v, want one running and a bounded number held", st)
	}
	open()
	eventually(t, "no lag", func() bool {
		l, err := sub.Lag(t.Context())
		return err == nil && l.Pending == 0 && l.Behind <= 0
	})
	infos, err := s.Groups(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Lag.Pending != 0 || infos[0].Lag.Behind > 0 {
		t.Errorf("Groups = %+v, %v, want no lag", infos, err)
	}
}

// turnIsGivenBack closes members of an ordered group at all moments of their
// beginning: none keeps the turn.
func turnIsGivenBack(t *testing.T, b *bench) {
	s := b.open(t)
	opts := []event.SubscribeOption{event.Group("g"), event.Ordered(event.BySubject)}
	var g got
	for i := range 25 {
		sub := subscribe(t, s, g.handle, opts...)
		for until := time.Now().Add(time.Duration(i) * 100 * time.Microsecond); time.Now().Before(until); {
			runtime.Gosched() // too short for a timer
		}
		closeSub(t, sub)
	}
	publishN(t, s, 1)
	subscribe(t, s, g.handle, opts...)
	eventually(t, "the next one has the turn", func() bool { return g.len() == 1 }) // long before AckWait
}
