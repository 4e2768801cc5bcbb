package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
	"github.com/micro/go-platform/kv/memcached"
)

// TestRevisionsDoNotComeAgain: memcached's cas numbers start at 1 when the
// server does, so an old one may fit a new item.
func TestRevisionsDoNotComeAgain(t *testing.T) {
	server := servertest.Memcached(t)
	store := opener(memcached.Backend(server.Addr()))(t)
	defer store.Close()
	old, err := store.Put(t.Context(), "k", []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Restart()
	for { // the first one may meet a connection to the dead server
		_, err := store.Put(t.Context(), "k", []byte("after"))
		if err == nil {
			break
		}
		if !errors.Is(err, kv.ErrUnknownOutcome) {
			t.Fatal(err)
		}
	}
	if _, err := store.Put(t.Context(), "k", []byte("x"), kv.IfRevision(old)); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("a revision from before the restart: %v, want ErrConflict", err)
	}
}

func TestServersLimitKeepsTheOldValue(t *testing.T) {
	server := servertest.Memcached(t, servertest.WithArgs("-I", "512k"))
	store := opener(memcached.Backend(server.Addr()))(t)
	defer store.Close()
	if _, err := store.Put(t.Context(), "k", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "k", make([]byte, 600<<10)); !errors.Is(err, kv.ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	if item, err := store.Get(t.Context(), "k"); err != nil || string(item.Value) != "old" {
		t.Fatalf("the old value is %q, %v", item.Value, err)
	}
}

func TestCancelReturnsAtOnce(t *testing.T) {
	p := netfault.New(t, servertest.SharedMemcached(t).Addr())
	store := opener(memcached.Backend(p.Addr(), memcached.WithTimeout(time.Minute)))(t, kv.WithTimeout(time.Minute))
	defer store.Close()
	_, _ = store.Get(t.Context(), "k")
	p.Hold(netfault.Replies)
	defer p.Heal() // or Close would wait
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		_, err := store.Get(ctx, "k")
		if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 30*time.Second { // without it, an answer is waited for for a minute
			t.Errorf("Get returned %v after %v", err, took)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.Put(ctx, "k", nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kv.ErrUnknownOutcome) {
		t.Errorf("Put returned %v, want both what happened and that nobody knows the outcome", err)
	}
}

// TestLostAnswers: a write whose answer was lost is looked for.
func TestLostAnswers(t *testing.T) {
	p := netfault.New(t, servertest.SharedMemcached(t).Addr())
	store := opener(memcached.Backend(p.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	rev, err := store.Put(t.Context(), "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	p.CutReplies(1)
	if _, err := store.Put(t.Context(), "new", []byte("mine"), kv.IfAbsent()); err != nil {
		t.Errorf("IfAbsent with a lost answer: %v", err)
	}
	p.CutReplies(1)
	if _, err := store.Put(t.Context(), "plain", []byte("v")); err != nil {
		t.Errorf("Put with a lost answer: %v", err)
	}
	p.CutReplies(1)
	if _, err := store.Get(t.Context(), "k"); err != nil {
		t.Errorf("Get with a lost answer: %v", err)
	}
	p.CutReplies(-1)
	if err := store.Delete(t.Context(), "k"); !errors.Is(err, kv.ErrUnknownOutcome) {
		t.Errorf("Delete without an answer: %v, want ErrUnknownOutcome", err)
	}
	p.Heal()
	if _, err := store.Put(t.Context(), "k", []byte("2"), kv.IfRevision(rev)); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("after the delete: %v, want ErrConflict", err)
	}
}

// TestOneServerOfThreeIsAway: its keys fail, the others go on.
func TestOneServerOfThreeIsAway(t *testing.T) {
	var addrs []string
	var last *servertest.Server
	for range 3 {
		last = servertest.Memcached(t)
		addrs = append(addrs, last.Addr())
	}
	store := opener(memcached.Backend(strings.Join(addrs, ",")))(t)
	defer store.Close()
	values, keys := map[string][]byte{}, []string{}
	for i := range 300 {
		key := fmt.Sprint("key", i)
		values[key], keys = []byte("v"), append(keys, key)
	}
	if err := store.PutMany(t.Context(), values); err != nil {
		t.Fatal(err)
	}
	last.Kill()
	items, err := store.GetMany(t.Context(), keys...)
	var b *kv.BatchError
	if !errors.As(err, &b) || !errors.Is(err, kv.ErrUnavailable) {
		t.Fatalf("got %v, want a BatchError with ErrUnavailable", err)
	}
	if len(items)+len(b.Errors) != len(keys) || len(b.Errors) < 60 || len(b.Errors) > 140 {
		t.Fatalf("%d items and %d errors of %d keys, want about a third to fail", len(items), len(b.Errors), len(keys))
	}
	for key := range b.Errors {
		if _, err := store.Get(t.Context(), key); !errors.Is(err, kv.ErrUnavailable) {
			t.Fatalf("Get(%q): %v", key, err)
		}
		break
	}
}

func TestOtherProgramsItems(t *testing.T) {
	addr := servertest.SharedMemcached(t).Addr()
	other := memcache.New(addr)
	defer other.Close()
	store := opener(memcached.Backend(addr))(t)
	defer store.Close()
	key := servertest.Namespace(t)
	_ = other.Set(&memcache.Item{Key: key, Value: []byte("theirs")})
	item, err := store.Get(t.Context(), key)
	if err != nil || string(item.Value) != "theirs" || item.Revision == 0 {
		t.Fatalf("got %+v, %v", item, err)
	}
	_ = other.Set(&memcache.Item{Key: key, Value: []byte("theirs")})
	if _, err := store.Put(t.Context(), key, []byte("x"), kv.IfRevision(item.Revision)); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("their second write was not seen: %v", err)
	}
}

// An item of another program may be larger than ours, up to a limit.
func TestOtherProgramsLargeItems(t *testing.T) {
	addr := servertest.Memcached(t, servertest.WithArgs("-I", "64m", "-m", "256")).Addr()
	other := memcache.New(addr)
	other.Timeout = time.Minute
	defer other.Close()
	store := opener(memcached.Backend(addr, memcached.WithTimeout(time.Minute)))(t, kv.WithTimeout(time.Minute))
	defer store.Close()
	const most = 32 << 20
	for _, size := range []int{most, most + 1, 1} {
		if err := other.Set(&memcache.Item{Key: "k", Value: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
		item, err := store.Get(t.Context(), "k")
		if fits := size <= most; fits != (err == nil && len(item.Value) == size) || fits == errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("an item of %d bytes: read %d, %v", size, len(item.Value), err)
		}
	}
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedMemcached(t).Addr())
	kvtest.Linearizable(t, func() kv.KV {
		return opener(memcached.Backend(p.Addr(), memcached.WithTimeout(3*time.Second)))(t)
	}, kvtest.Chaos(time.Second), kvtest.Trouble(p.CutReplies, p.Reset, nil))
}

func TestBadInput(t *testing.T) {
	for _, addr := range []string{"", "redis://h", "h:0", "a b", "h:1,h:1", "memcached://u@h", "memcached://h/x"} {
		if _, err := kv.New(memcached.Backend(addr)); !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), "kv/memcached: new") {
			t.Errorf("address %q: %v", addr, err)
		}
	}
	for _, opt := range []memcached.Option{nil, memcached.WithTLS(nil), memcached.WithTimeout(0), memcached.WithTimeout(-1)} {
		if _, err := kv.New(memcached.Backend("h:1", opt)); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("a bad option: %v", err)
		}
	}
	if _, err := kv.New(memcached.Backend("127.0.0.1:1")); !errors.Is(err, kv.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: %v", err)
	}
}

// TestReadsGoOnAfterARestart: every idle connection ends with one error then.
func TestReadsGoOnAfterARestart(t *testing.T) {
	server := servertest.Memcached(t)
	p := netfault.New(t, server.Addr())
	store := opener(memcached.Backend(p.Addr(), memcached.WithoutSharing()))(t)
	defer store.Close()
	p.Hold(netfault.Replies) // so that each needs a connection of its own
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
				t.Errorf("before: %v", err)
			}
		})
	}
	deadline := time.Now().Add(30 * time.Second)
	for p.Counts().Requests < 8 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	p.Heal()
	wg.Wait()
	server.Kill()
	server.Restart()
	for i := range 8 {
		if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("read %d after the restart: %v, want ErrNotFound", i, err)
		}
	}
}
