package kvinbox_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kvinbox"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
)

func TestMain(m *testing.M) { leak.Main(m) }

func openStore(t *testing.T, opts ...kv.Option) kv.KV {
	t.Helper()
	s, err := kv.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func open(t *testing.T, s kv.KV, name string, opts ...kvinbox.Option) *kvinbox.Inbox {
	t.Helper()
	b, err := kvinbox.New(s, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func each(t *testing.T, f func(t *testing.T, s kv.KV)) {
	for name, backend := range map[string]func(t *testing.T) []kv.Option{
		"memory": func(*testing.T) []kv.Option { return nil },
		"redis": func(t *testing.T) []kv.Option {
			return []kv.Option{kvredis.Backend(servertest.SharedRedis(t).Addr()), kv.WithNamespace(servertest.Namespace(t))}
		},
		"sqlite": func(t *testing.T) []kv.Option { return []kv.Option{kvsql.SQLite(filepath.Join(t.TempDir(), "x.db"))} },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			f(t, openStore(t, backend(t)...))
		})
	}
}

func TestRecordsAreHandledOnce(t *testing.T) {
	each(t, func(t *testing.T, store kv.KV) {
		s, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		var calls sync.Map
		count := func(_ context.Context, r *event.Record) error {
			n, _ := calls.LoadOrStore(r.Source+"/"+r.ID, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			return nil
		}
		const ids, copies = 20, 4
		var handled atomic.Int64
		for range 2 { // two members
			h := open(t, store, "g").Handler(count)
			if _, err := s.Subscribe(t.Context(), func(ctx context.Context, r *event.Record) error {
				defer handled.Add(1)
				return h(ctx, r)
			}, event.Group("g"), event.Concurrency(4)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range ids * copies {
			if err := s.Publish(t.Context(), &event.Record{ID: fmt.Sprint(i % ids), Type: "t", Source: "s"}); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "all are handled", func() bool { return handled.Load() == ids*copies })
		n := 0
		calls.Range(func(key, v any) bool {
			n++
			if v.(*atomic.Int64).Load() != 1 {
				t.Errorf("%v was handled %d times, want once", key, v.(*atomic.Int64).Load())
			}
			return true
		})
		if n != ids {
			t.Errorf("%d records were handled, want %d", n, ids)
		}
		// Another source, another purpose: other records.
		var other atomic.Int64
		again := func(context.Context, *event.Record) error { other.Add(1); return nil }
		for range 2 {
			for name, source := range map[string]string{"g": "other", "another": "s"} {
				if err := open(t, store, name).Handler(again)(t.Context(), &event.Record{ID: "0", Type: "t", Source: source}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if other.Load() != 2 {
			t.Errorf("others were handled %d times, want once each", other.Load())
		}
	})
}

func TestWhatFailsIsHandledAgain(t *testing.T) {
	each(t, func(t *testing.T, store kv.KV) {
		fail, calls := errors.New("not yet"), 0
		h := open(t, store, "g").Handler(func(context.Context, *event.Record) error {
			switch calls++; calls {
			case 1:
				return fail
			case 2:
				panic(fail)
			}
			return nil
		})
		try := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = p.(error)
				}
			}()
			return h(t.Context(), &event.Record{ID: "1", Type: "t"})
		}
		began := time.Now()
		for i, want := range []error{fail, fail, nil, nil} {
			if err := try(); !errors.Is(err, want) || err != nil && want == nil {
				t.Errorf("attempt %d: %v, want %v", i+1, err, want)
			}
		}
		if calls != 3 {
			t.Errorf("the function was called %d times, want 3", calls)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v: the claims were not given up", took)
		}
	})
}

// A claim that a process left is respected until it expires, and one of a process
// that works is for as long as that takes.
func TestClaimsOfOthersAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := kv.New()
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		r := &event.Record{ID: "1", Type: "t"}
		began, release := make(chan struct{}), make(chan struct{})
		var calls atomic.Int64
		work := open(t, store, "g").Handler(func(ctx context.Context, _ *event.Record) error {
			calls.Add(1)
			close(began)
			<-release
			return context.Cause(ctx)
		})
		results := make(chan error, 2)
		go func() { results <- work(t.Context(), r) }()
		<-began
		go func() { results <- work(t.Context(), r) }()
		time.Sleep(5 * time.Minute) // ten claims long
		synctest.Wait()
		if len(results) != 0 || calls.Load() != 1 {
			t.Errorf("%d calls, %d ended, want the second to wait", calls.Load(), len(results))
		}
		close(release)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls, want 1", calls.Load())
		}

		// As a process leaves it that is killed.
		key := ""
		for item, err := range store.List(t.Context(), "inbox/g/") {
			if err != nil {
				t.Fatal(err)
			}
			key = item.Key
		}
		if _, err := store.Put(t.Context(), key, []byte("claimed by the dead"), kv.TTL(20*time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		h := open(t, store, "g").Handler(func(context.Context, *event.Record) error { calls.Add(1); return nil })
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := h(short, r); !errors.Is(err, context.DeadlineExceeded) || calls.Load() != 1 {
			t.Errorf("while it is claimed: %v and %d calls, want the end of the context", err, calls.Load())
		}
		if err := h(t.Context(), r); err != nil || calls.Load() != 2 {
			t.Errorf("%v and %d calls, want it handled again", err, calls.Load())
		}
		if took := time.Since(start); took < 20*time.Second || took > 22*time.Second {
			t.Errorf("handled again after %v, want the 20 s of the claim", took)
		}
	})
}

func TestClaimThatIsLostEndsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := kv.New()
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		calls := 0
		h := open(t, store, "g").Handler(func(ctx context.Context, _ *event.Record) error {
			calls++
			if calls > 1 {
				return nil
			}
			for item := range store.List(ctx, "") {
				store.Delete(ctx, item.Key)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		began := time.Now()
		r := &event.Record{ID: "1", Type: "t"}
		if err := h(t.Context(), r); err == nil || time.Since(began) > 30*time.Second {
			t.Errorf("%v after %v, want an error before the claim is over", err, time.Since(began))
		}
		if err := h(t.Context(), r); err != nil || calls != 2 {
			t.Errorf("%v, %d calls, want it handled again", err, calls)
		}
	})
}

// broken is a store that panics, from its second write on.
type broken struct {
	kv.KV
	calls int
}

func (b *broken) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	b.calls++
	if b.calls > 1 {
		panic("boom")
	}
	return b.KV.Put(ctx, key, value, opts...)
}

func TestAStoreThatPanicsEndsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, &broken{KV: openStore(t)}, "g").Handler(func(ctx context.Context, _ *event.Record) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		began := time.Now()
		if err := h(t.Context(), &event.Record{ID: "1", Type: "t"}); err == nil || time.Since(began) > 30*time.Second {
			t.Errorf("%v after %v, want an error before the claim is over", err, time.Since(began))
		}
	})
}

// faulty is a store whose nth write fails, before or after it was applied, and
// maybe the read after it. From is the first write of those that all fail.
type faulty struct {
	kv.KV
	n, from     int
	applied     bool
	kind        error
	unread      bool
	calls, gets int
}

func (f *faulty) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	f.calls++
	if f.calls != f.n && (f.from == 0 || f.calls < f.from) {
		return f.KV.Put(ctx, key, value, opts...)
	}
	if f.applied {
		f.KV.Put(ctx, key, value, opts...)
	}
	return 0, f.kind
}

func (f *faulty) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	f.gets++
	if f.unread && (f.calls == f.n || f.from > 0 && f.calls >= f.from) {
		return kv.Item{}, kv.ErrUnavailable
	}
	return f.KV.Get(ctx, key, opts...)
}

func TestLostAnswersOfTheStoreRepeatNothing(t *testing.T) {
	for n := 1; n <= 6; n++ { // a claim, three renewals, the note and the next claim
		for _, c := range []faulty{
			{kind: kv.ErrUnavailable},
			{kind: kv.ErrUnknownOutcome},
			{kind: kv.ErrUnknownOutcome, applied: true},
			{kind: kv.ErrUnknownOutcome, unread: true},
			{kind: kv.ErrUnknownOutcome, unread: true, applied: true},
		} {
			t.Run(fmt.Sprintf("write %d, %v, applied %v, unread %v", n, c.kind, c.applied, c.unread), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := c
					f.KV, f.n = openStore(t), n
					calls := 0
					h := open(t, &f, "g").Handler(func(ctx context.Context, _ *event.Record) error {
						calls++
						time.Sleep(35 * time.Second) // three renewals
						return context.Cause(ctx)
					})
					r := &event.Record{ID: "1", Type: "t"}
					failures, began := 0, time.Now()
					for range 3 { // delivered again and again
						err := h(t.Context(), r)
						if err != nil {
							failures++
						} else if calls == 0 {
							t.Error("it is acknowledged, and was not handled")
						}
					}
					left := 5 * time.Second // of nobody's claim
					if c.unread && c.applied && n == 1 {
						left = 31 * time.Second
					}
					if took := time.Since(began); took > 35*time.Second+left {
						t.Errorf("took %v, want no other claim to be waited for", took)
					}
					if failures > 1 || calls != 1 || f.calls < n {
						t.Errorf("%d failures, %d calls, want 1; %d writes", failures, calls, f.calls)
					}
				})
			})
		}
	}
}

// Where the store does not take writes: nothing is begun without a claim, and what
// runs ends before another may claim the record.
func TestAStoreThatTakesNoMore(t *testing.T) {
	for _, c := range []struct {
		what             string
		from             int // the first write that fails
		function         time.Duration
		calls            int
		ends, within     time.Duration
		lost, unanswered bool
		unread           bool
	}{
		{"all is well", 100, 35 * time.Second, 1, 35 * time.Second, 35 * time.Second, false, false, false},
		{"no claim", 1, time.Second, 0, 0, 0, false, true, false},
		{"no renewal", 2, time.Hour, 1, 20 * time.Second, 29 * time.Second, true, false, false},
		{"no renewal and no look", 2, time.Hour, 1, 20 * time.Second, 29 * time.Second, true, false, true},
		{"no renewal and no note", 2, 5 * time.Second, 1, 25 * time.Second, 31 * time.Second, false, true, false},
		{"no note", 3, 15 * time.Second, 1, 35 * time.Second, 41 * time.Second, false, true, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faulty{KV: openStore(t), from: c.from, kind: kv.ErrUnavailable, unread: c.unread}
				calls := 0
				var working context.Context
				h := open(t, f, "g").Handler(func(ctx context.Context, _ *event.Record) error {
					calls++
					working = ctx
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(c.function):
						return nil
					}
				})
				began := time.Now()
				err := h(t.Context(), &event.Record{ID: "1", Type: "t"})
				if took := time.Since(began); took < c.ends || took > c.within {
					t.Errorf("ended after %v, want %v to %v", took, c.ends, c.within)
				}
				if calls != c.calls || errors.Is(err, kv.ErrUnavailable) != c.unanswered || (err == nil) != (!c.lost && !c.unanswered) {
					t.Errorf("%v after %d calls, want %d; a claim that is lost: %v, no answer: %v", err, calls, c.calls, c.lost, c.unanswered)
				}
				if c.lost && !strings.Contains(err.Error(), "claim of the record was lost") {
					t.Errorf("%v, want a claim that was lost", err)
				}
				if err == nil && f.gets > 0 {
					t.Errorf("%d reads, want none while every write is answered", f.gets)
				}
				if working != nil && working.Err() == nil {
					t.Error("the function's context goes on after it")
				}
			})
		})
	}
}

// A claim that is gone, or another's, is not taken back: the context ends at the next
// renewal, and what is done by then is not noted.
func TestAClaimOfAnotherStays(t *testing.T) {
	for _, c := range []struct {
		what     string
		by       string // the value of the note; "": there is none
		function time.Duration
		ends     time.Duration
	}{
		{"another's", "claimed by another", time.Hour, 10 * time.Second},
		{"another's at the end", "claimed by another", time.Second, time.Second},
		{"gone", "", time.Hour, 10 * time.Second},
		{"gone at the end", "", time.Second, time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := openStore(t)
				key := ""
				h := open(t, store, "g").Handler(func(ctx context.Context, _ *event.Record) error {
					for item := range store.List(ctx, "") {
						key = item.Key
					}
					err := store.Delete(ctx, key)
					if c.by != "" && err == nil {
						_, err = store.Put(ctx, key, []byte(c.by))
					}
					if err != nil {
						return err
					}
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(c.function):
						return nil
					}
				})
				began := time.Now()
				err := h(t.Context(), &event.Record{ID: "1", Type: "t"})
				if err == nil || !strings.Contains(err.Error(), "claim of the record was lost") || time.Since(began) != c.ends {
					t.Errorf("%v after %v, want a claim that was lost after %v", err, time.Since(began), c.ends)
				}
				item, err := store.Get(t.Context(), key)
				if string(item.Value) != c.by || (err == nil) != (c.by != "") {
					t.Errorf("the note is %q, %v, want %q", item.Value, err, c.by)
				}
			})
		})
	}
}

func TestNotesAreForgottenAfterKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := kv.New()
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		calls := 0
		h := open(t, store, "g", kvinbox.WithKeep(time.Hour), kvinbox.WithClaim(time.Second)).Handler(func(context.Context, *event.Record) error { calls++; return nil })
		for i, c := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {59 * time.Minute, 1}, {2 * time.Minute, 2}} {
			time.Sleep(c.wait)
			if err := h(t.Context(), &event.Record{ID: "1", Type: "t"}); err != nil || calls != c.want {
				t.Errorf("%d: %v, %d calls, want %d", i, err, calls, c.want)
			}
		}
	})
}

func TestBadInput(t *testing.T) {
	store := openStore(t)
	for name, f := range map[string]func() (*kvinbox.Inbox, error){
		"nil store":  func() (*kvinbox.Inbox, error) { return kvinbox.New(nil, "g") },
		"no name":    func() (*kvinbox.Inbox, error) { return kvinbox.New(store, "") },
		"long name":  func() (*kvinbox.Inbox, error) { return kvinbox.New(store, strings.Repeat("g", 256)) },
		"nil option": func() (*kvinbox.Inbox, error) { return kvinbox.New(store, "g", nil) },
		"keep":       func() (*kvinbox.Inbox, error) { return kvinbox.New(store, "g", kvinbox.WithKeep(time.Millisecond)) },
	} {
		if _, err := f(); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	open(t, store, strings.Repeat("g", 255), kvinbox.WithKeep(time.Second))
	if _, err := kvinbox.New(openStore(t, memcached.Backend("127.0.0.1:1"), kv.WithLazy()), "g"); !errors.Is(err, event.ErrUnsupported) {
		t.Errorf("on memcached: %v, want ErrUnsupported", err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
