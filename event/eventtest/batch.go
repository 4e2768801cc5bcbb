package eventtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// gotBatches collects what a BatchHandler is given.
type gotBatches struct {
	mu   sync.Mutex
	list [][]string // subjects
}

func (g *gotBatches) add(rs []*event.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, subjects(rs))
}

func (g *gotBatches) all() [][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.list)
}

func subscribeBatch(t testing.TB, s event.Stream, h event.BatchHandler, opts ...event.SubscribeOption) event.Subscription {
	t.Helper()
	sub, err := s.SubscribeBatch(t.Context(), h, opts...)
	if err != nil {
		t.Fatalf("SubscribeBatch: %v", err)
	}
	return sub
}

func batches(t *testing.T, b *bench) {
	s := b.open(t)
	for name, c := range map[string]struct {
		records int
		opts    []event.SubscribeOption
		want    func(sizes []int) bool
	}{
		"full ones do not wait": {20, []event.SubscribeOption{event.Batch(5), event.BatchWait(time.Hour)}, func(n []int) bool { return slices.Equal(n, []int{5, 5, 5, 5}) }},
		"others wait no longer": {7, []event.SubscribeOption{event.Batch(5), event.BatchWait(30 * time.Millisecond)}, func(n []int) bool { return len(n) >= 2 && slices.Max(n) <= 5 }},
		"without a wait":        {7, []event.SubscribeOption{event.Batch(5), event.BatchWait(0)}, func(n []int) bool { return slices.Max(n) <= 5 }},
		"of one":                {3, []event.SubscribeOption{event.Batch(1)}, func(n []int) bool { return slices.Equal(n, []int{1, 1, 1}) }},
	} {
		for kind, opts := range map[string][]event.SubscribeOption{"live": nil, "group": {event.Group(fmt.Sprintf("g%x", name))}} {
			var g gotBatches
			sub := subscribeBatch(t, s, func(ctx context.Context, rs []*event.Record) error {
				if d, ok := event.DeliveryFromContext(ctx); !ok || d.Attempt != 1 || d.Position != rs[0].Position {
					t.Errorf("delivery %+v, %v, want that of the first record", d, ok)
				}
				if cause, ok := event.CauseFromContext(ctx); ok {
					t.Errorf("a batch has the cause %+v, want none", cause)
				}
				g.add(rs)
				return nil
			}, append(opts, c.opts...)...)
			publishN(t, s, c.records)
			eventually(t, name, func() bool { return len(slices.Concat(g.all()...)) >= c.records })
			var sizes []int
			for _, l := range g.all() {
				sizes = append(sizes, len(l))
			}
			if got := slices.Concat(g.all()...); !slices.Equal(got, numbers(c.records)) || !c.want(sizes) {
				t.Errorf("%s, %s: batches of %v with %v", kind, name, sizes, got)
			}
			closeSub(t, sub)
			if st := sub.Stats(); st.Handled != int64(c.records) || st.Held != 0 {
				t.Errorf("%s, %s: %+v, want %d handled", kind, name, st, c.records)
			}
		}
	}
	_, err := s.SubscribeBatch(t.Context(), nil)
	wantErr(t, "nil handler", err, event.ErrInvalid)
	_, err = s.Subscribe(t.Context(), ignore, event.BatchWait(time.Second))
	wantErr(t, "BatchWait of a Handler", err, event.ErrInvalid)
	_, err = s.SubscribeBatch(t.Context(), func(context.Context, []*event.Record) error { return nil }, event.BatchWait(-1))
	wantErr(t, "negative wait", err, event.ErrInvalid)
}

// batchFailures: what fails is tried again, and nothing else.
func batchFailures(t *testing.T, b *bench) {
	s := b.open(t)
	bad := errors.New("bad")
	var mu sync.Mutex
	var first []string
	calls, doubles := map[string]int{}, map[string]int{}
	subscribeBatch(t, s, func(ctx context.Context, rs []*event.Record) error {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = subjects(rs)
		}
		failed := event.BatchErrors{0: nil}
		for i, r := range rs {
			calls[r.Subject]++
			if _, ok := doubles[r.Subject]; ok {
				t.Errorf("%s was done and came again", r.Subject)
			}
			switch {
			case r.Subject == "2" && calls["2"] < 3:
				failed[i] = bad
			case r.Subject == "5":
				failed[i] = event.Terminate(bad)
			default:
				doubles[r.Subject] = 1
			}
		}
		return fmt.Errorf("wrapped: %w", failed)
	}, event.Group("partial"), event.Batch(10), event.BatchWait(time.Hour), event.Backoff(time.Millisecond, 5*time.Millisecond))
	publishN(t, s, 10)
	for tries := 1; tries <= 2; tries++ { // with these the next batch is full, too
		eventually(t, "the bad one failed", func() bool { mu.Lock(); defer mu.Unlock(); return calls["2"] == tries })
		publish(t, s, numbered(10*tries, 9)...)
	}
	count := func(group string) (n int) {
		infos, err := s.Groups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			if i.Name == group {
				return int(i.Lag.Pending + max(i.Lag.Behind, 0))
			}
		}
		return -1
	}
	dead := func(group string) []string { return subjects(all(t, s, event.Types("dead."+group))) }
	eventually(t, "the bad one is dead, the others done", func() bool { return len(dead("partial")) == 1 && count("partial") == 0 })
	mu.Lock()
	if !slices.Equal(first, numbers(10)) || calls["2"] != 3 || calls["5"] != 1 || len(doubles) != 27 {
		t.Errorf("first %v, 2 called %d times, 5 %d, %d done; want all ten at once, 3, 1, 27", first, calls["2"], calls["5"], len(doubles))
	}
	mu.Unlock()
	if got := dead("partial"); !slices.Equal(got, []string{"5"}) {
		t.Errorf("dead letters %v, want 5", got)
	}
}

// batchPoison: one that makes its batch fail, or hang, does not take others along.
func batchPoison(t *testing.T, b *bench) {
	// A machine that stops in the middle of a handler lets it time out, too, and its
	// records come again: that is for the two that wait for it.
	limits := map[string]time.Duration{"ends": 300 * time.Millisecond, "hangs": 300 * time.Millisecond}
	for name, fail := range map[string]func(ctx context.Context) error{
		"error": func(context.Context) error { return errors.New("bad") },
		"index": func(context.Context) error { return event.BatchErrors{99: errors.New("no such record")} },
		"join":  func(context.Context) error { return errors.Join(event.BatchErrors{}, errors.New("the commit failed")) },
		"panic": func(context.Context) error { panic("bad") },
		"ends":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); <-time.After(300 * time.Millisecond); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := b.openIn(t, b.ns+name)
			var g gotBatches
			sub := subscribeBatch(t, s, func(ctx context.Context, rs []*event.Record) error {
				for _, r := range rs {
					if r.Subject == "3" {
						return fail(ctx)
					}
				}
				g.add(rs)
				return nil
			}, event.Group("g"), event.Batch(10), event.BatchWait(20*time.Millisecond), event.MaxAttempts(2),
				event.HandlerTimeout(cmp.Or(limits[name], time.Minute)), event.Backoff(time.Millisecond, 5*time.Millisecond))
			publishN(t, s, 6)
			eventually(t, "the others are handled", func() bool { return len(slices.Concat(g.all()...)) >= 5 })
			eventually(t, "the poison is dead", func() bool { return sub.Stats().Dead == 1 })
			done := slices.Concat(g.all()...)
			slices.Sort(done)
			if limits[name] > 0 {
				done = slices.Compact(done)
			}
			if !slices.Equal(done, []string{"0", "1", "2", "4", "5"}) {
				t.Errorf("handled %v, want all but 3 once", done)
			}
			if got := subjects(all(t, s, event.Types("dead.g"))); !slices.Equal(got, []string{"3"}) {
				t.Errorf("dead letters %v, want 3", got)
			}
		})
	}
}

// batchOrder: with Ordered a batch has one record of each key, so that a failure
// overtakes nothing.
func batchOrder(t *testing.T, b *bench) {
	s := b.open(t)
	var mu sync.Mutex
	last, tries := map[string]string{}, map[string]int{}
	n := 0
	subscribeBatch(t, s, func(_ context.Context, rs []*event.Record) error {
		mu.Lock()
		defer mu.Unlock()
		seen, failed := map[string]bool{}, event.BatchErrors{}
		for i, r := range rs {
			if seen[r.Subject] {
				t.Errorf("two records of %s in one batch", r.Subject)
			}
			seen[r.Subject] = true
			tries[r.ID]++
			if tries[r.ID] == 1 && r.ID[len(r.ID)-1] == '1' {
				failed[i] = errors.New("once")
				continue
			}
			if r.ID <= last[r.Subject] {
				t.Errorf("%s after %s", r.ID, last[r.Subject])
			}
			last[r.Subject] = r.ID
			n++
		}
		return failed
	}, event.Group("g"), event.Ordered(event.BySubject), event.Batch(50), event.Backoff(time.Millisecond, 3*time.Millisecond))
	var rs []*event.Record
	for i := range 60 {
		rs = append(rs, &event.Record{ID: fmt.Sprintf("%03d", i), Type: "t", Subject: fmt.Sprint(i % 3)})
	}
	publish(t, s, rs...)
	eventually(t, "all done", func() bool { mu.Lock(); defer mu.Unlock(); return n == 60 })
}

// batchClose: nothing begins after Close, and what was not begun is given back.
func batchClose(t *testing.T, b *bench) {
	s := b.open(t)
	var g gotBatches
	sub := subscribeBatch(t, s, func(_ context.Context, rs []*event.Record) error { g.add(rs); return nil }, event.Group("g"), event.Batch(10), event.BatchWait(time.Hour))
	publishN(t, s, 4)
	eventually(t, "held", func() bool { return sub.Stats().Held == 4 })
	closeSub(t, sub)
	if got := g.all(); len(got) != 0 {
		t.Errorf("handled %v after Close", got)
	}
	var rest got
	subscribe(t, s, rest.handle, event.Group("g"))
	eventually(t, "given back", func() bool { return rest.len() == 4 })
	for _, r := range rest.list() {
		if r.RootID == "" {
			t.Errorf("%+v", r)
		}
	}
}
