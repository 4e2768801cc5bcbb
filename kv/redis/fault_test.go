package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

// proxied opens a store behind a proxy, and one that goes straight.
func proxied(t *testing.T) (through, straight kv.KV, p *netfault.Proxy) {
	t.Helper()
	addr := servertest.SharedRedis(t).Addr()
	p = netfault.New(t, addr)
	ns := servertest.Namespace(t)
	open := func(addr string) kv.KV {
		store := opener(redis.Backend(addr))(t, kv.WithNamespace(ns))
		t.Cleanup(func() { store.Close() })
		return store
	}
	return open(p.Addr()), open(addr), p
}

// connect opens an engine for the test.
func connect(t testing.TB, addr string, opts ...engine.Option) *engine.Engine {
	t.Helper()
	e, err := engine.Open(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestCancelReturnsAtOnce(t *testing.T) {
	for name, on := range map[string]func(*engine.Engine) kv.Option{"shared": redis.On, "alone": redis.Alone} {
		t.Run(name, func(t *testing.T) {
			p := netfault.New(t, servertest.SharedRedis(t).Addr())
			store := opener(on(connect(t, p.Addr(), engine.WithTimeout(time.Minute))))(t, kv.WithNamespace(servertest.Namespace(t)), kv.WithTimeout(time.Minute))
			t.Cleanup(func() { store.Close() })
			_, _ = store.Put(t.Context(), "k", []byte("v"))
			p.Hold(netfault.Replies)
			t.Cleanup(p.Heal) // or Close would wait
			var wg sync.WaitGroup
			for range 6 { // more than travel at once
				wg.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(50*time.Millisecond, cancel)
					start := time.Now()
					_, err := store.Get(ctx, "k")
					if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 30*time.Second { // without it, an answer is waited for for a minute
						t.Errorf("Get returned %v after %v, want Canceled after 50ms", err, took)
					}
				})
			}
			wg.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := store.Put(ctx, "k", []byte("w"))
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 30*time.Second { // without it, an answer is waited for for a minute
				t.Errorf("Put returned %v after %v, want DeadlineExceeded after 50ms", err, took)
			}
		})
	}
}

// TestLostAnswersAreUnknown: a write whose answer was lost is not sent again,
// by us or by a client that would (go-redis sends INCR and SET NX again), and
// says so. It was done once.
func TestLostAnswersAreUnknown(t *testing.T) {
	addr := servertest.SharedRedis(t).Addr()
	p := netfault.New(t, addr)
	eager := goredis.NewClient(&goredis.Options{Addr: p.Addr(), MaxRetries: 3, ContextTimeoutEnabled: true})
	defer eager.Close()
	for name, backend := range map[string]kv.Option{"ours": redis.Backend(p.Addr()), "the user's": redis.On(engine.FromClient(eager))} {
		t.Run(name, func(t *testing.T) {
			ns := servertest.Namespace(t)
			through := opener(backend)(t, kv.WithNamespace(ns))
			defer through.Close()
			straight := opener(redis.Backend(addr))(t, kv.WithNamespace(ns))
			defer straight.Close()
			big := make([]byte, 20<<10)
			rev := func(key string) kv.Revision {
				item, err := straight.Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				return item.Revision
			}
			for _, key := range []string{"cas", "gone", "conditionally gone", "n"} {
				if _, err := straight.Put(t.Context(), key, []byte("1")); err != nil {
					t.Fatal(err)
				}
			}
			for _, test := range []struct {
				name, key, after string
				write            func() error
			}{
				{"Put", "put", "2", func() error { _, err := through.Put(t.Context(), "put", []byte("2")); return err }},
				{"IfAbsent", "new", "2", func() error { _, err := through.Put(t.Context(), "new", []byte("2"), kv.IfAbsent()); return err }},
				{"IfRevision", "cas", "2", func() error {
					_, err := through.Put(t.Context(), "cas", []byte("2"), kv.IfRevision(rev("cas")))
					return err
				}},
				{"Delete", "gone", "", func() error { return through.Delete(t.Context(), "gone") }},
				{"conditional Delete", "conditionally gone", "", func() error {
					return through.Delete(t.Context(), "conditionally gone", kv.IfRevision(rev("conditionally gone")))
				}},
				{"Add", "n", "6", func() error { _, err := through.Add(t.Context(), "n", 5); return err }},
				{"Add with a TTL", "m", "5", func() error { _, err := through.Add(t.Context(), "m", 5, kv.TTL(time.Hour)); return err }},
				{"large Put", "large", string(big), func() error { _, err := through.Put(t.Context(), "large", big); return err }},
			} {
				// The scripts and a connection are there, so that the answer cut is the write's.
				if _, err := through.Add(t.Context(), "warm", 1, kv.TTL(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if _, err := through.Put(t.Context(), "warm", nil, kv.IfRevision(1)); !errors.Is(err, kv.ErrConflict) {
					t.Fatal(err)
				}
				if err := through.Delete(t.Context(), "warm", kv.IfRevision(1)); !errors.Is(err, kv.ErrConflict) {
					t.Fatal(err)
				}
				p.CutReplies(1)
				if err := test.write(); !errors.Is(err, kv.ErrUnknownOutcome) {
					t.Errorf("%s: %v, want ErrUnknownOutcome", test.name, err)
				}
				p.Heal()
				item, err := straight.Get(t.Context(), test.key)
				if got := string(item.Value); got != test.after || (err != nil) != (test.after == "") {
					t.Errorf("%s left %.20q, %v, want %.20q", test.name, got, err, test.after)
				}
			}
			if _, err := through.Get(t.Context(), "n"); err != nil {
				t.Fatal(err)
			}
			p.CutReplies(1)
			if item, err := through.Get(t.Context(), "n"); err != nil || string(item.Value) != "6" {
				t.Errorf("Get with a lost answer: %q, %v, want it asked again", item.Value, err)
			}
		})
	}
}

// TestWritesWhoseCallersLeaveInCompany: of writes that travel together some were sent and
// some only waited when their callers left. What is said to be certain was not done.
func TestWritesWhoseCallersLeaveInCompany(t *testing.T) {
	through, straight, p := proxied(t)
	var wg sync.WaitGroup
	for i := range 8 { // large ones travel alone, so that there are connections
		wg.Go(func() {
			if _, err := through.Put(t.Context(), fmt.Sprint("large", i), make([]byte, 64<<10)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.Hold(netfault.Replies)
	errs := make([]error, 100)
	put := func(i int, d time.Duration) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, errs[i] = through.Put(ctx, strconv.Itoa(i), []byte("v"))
		})
	}
	before := p.Counts().Requests
	put(0, 200*time.Millisecond) // travels alone; the others wait for it, and then travel together
	for deadline := time.Now().Add(30 * time.Second); p.Counts().Requests == before && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
	for i := range errs[1:] {
		put(i+1, time.Duration(300+i)*time.Millisecond)
	}
	wg.Wait()
	p.Heal()
	if err := through.Close(); err != nil { // it waits for what is on its way
		t.Fatal(err)
	}
	for i, err := range errs {
		_, missing := straight.Get(t.Context(), strconv.Itoa(i))
		if !errors.Is(err, context.DeadlineExceeded) || missing == nil && !errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("write %d: %v, and it is stored: %v", i, err, missing == nil)
		}
	}
}

func TestServerGone(t *testing.T) {
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	p.Refuse()
	_, err := kv.New(redis.Backend("redis://user:secret@"+p.Addr()), kv.WithDialTimeout(time.Second))
	if !errors.Is(err, kv.ErrUnavailable) {
		t.Fatalf("New without a server: %v", err)
	}
	for _, want := range []string{"kv/redis: new", p.Addr()} {
		if !contains(err, want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if contains(err, "secret") {
		t.Errorf("error %q tells the password", err)
	}
	p.Heal()
	p.Hold(netfault.Both)
	if _, err = kv.New(redis.Backend(p.Addr()), kv.WithDialTimeout(200*time.Millisecond)); !errors.Is(err, kv.ErrUnavailable) {
		t.Fatalf("New with a silent server: %v", err)
	}
}

// TestPausedServer: a call without a deadline ends, with the right kind.
func TestPausedServer(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	store := opener(redis.On(connect(t, p.Addr(), engine.WithTimeout(2*time.Second))))(t)
	defer store.Close()
	p.Hold(netfault.Both)
	if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
	if _, err := store.Put(t.Context(), "k", nil); !errors.Is(err, kv.ErrUnknownOutcome) {
		t.Errorf("Put: %v, want ErrUnknownOutcome", err)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addr := range []string{"", "a b", "redis:/x", "http://h:1", "h:0", "h:99999", "redis://h/nodb", "redis+sentinel://h", "redis+cluster://h/3", "a:1,", "redis://h?x=1"} {
		if _, err := kv.New(redis.Backend(addr)); !errors.Is(err, kv.ErrInvalid) || !contains(err, "kv/redis: new") {
			t.Errorf("address %q: %v, want ErrInvalid", addr, err)
		}
	}
	for says, backend := range map[string]kv.Option{
		"nil engine": redis.On(nil), "nil client": redis.On(engine.FromClient(nil)),
	} {
		if _, err := kv.New(backend); !errors.Is(err, kv.ErrInvalid) || !contains(err, says) {
			t.Errorf("got %v, want ErrInvalid that says %q", err, says)
		}
	}
}

// TestPlainValues: other programs read and write the same keys.
func TestPlainValues(t *testing.T) {
	addr := servertest.SharedRedis(t).Addr()
	ns := servertest.Namespace(t)
	store := opener(redis.Backend(addr))(t, kv.WithNamespace(ns))
	defer store.Close()
	other := goredis.NewClient(&goredis.Options{Addr: addr})
	defer other.Close()
	rev, _ := store.Put(t.Context(), "k", []byte("plain"), kv.TTL(time.Hour))
	if got := other.Get(t.Context(), ns+"/k").Val(); got != "plain" {
		t.Errorf("another program reads %q", got)
	}
	other.Set(t.Context(), ns+"/k", "changed", time.Minute)
	if _, err := store.Put(t.Context(), "k", []byte("x"), kv.IfRevision(rev)); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("another program's write was not seen: %v", err)
	}
	item, err := store.Get(t.Context(), "k", kv.Expiry())
	if left := time.Until(item.Expires); err != nil || string(item.Value) != "changed" || left > time.Minute || left < 50*time.Second {
		t.Errorf("got %q, %v left, %v", item.Value, left, err)
	}
	other.LPush(t.Context(), ns+"/list", "x")
	if _, err := store.Get(t.Context(), "list"); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a list gave %v, want ErrInvalid", err)
	}
	n := 0
	for _, err := range store.List(t.Context(), "") {
		if n++; err != nil {
			t.Errorf("List among other programs' keys: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("List yields %d items, want 1", n)
	}
}

// TestIdleWatch: an idle watch costs one request in ten seconds.
func TestIdleWatch(t *testing.T) {
	t.Parallel()
	store, _, p := proxied(t)
	ctx, cancel := context.WithCancel(t.Context())
	synced := make(chan struct{})
	once := sync.OnceFunc(func() { close(synced) })
	var wg sync.WaitGroup
	wg.Go(func() {
		for e, err := range store.Watch(ctx, "") {
			switch {
			case err != nil && ctx.Err() == nil:
				t.Errorf("an idle watch says %v", err)
				return
			case e.Kind == kv.EventSynced:
				once()
			}
		}
	})
	<-synced
	before := p.Rest()
	<-time.After(time.Second)
	if n := p.Counts().Requests - before.Requests; n > 0 {
		t.Errorf("%d requests in an idle second, want none", n)
	}
	for deadline := time.Now().Add(30 * time.Second); p.Counts().Requests == before.Requests; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a silent server is not asked for a sign of life")
		}
	}
	cancel()
	wg.Wait()
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t, servertest.WithAOF())
	p := netfault.New(t, server.Addr())
	kvtest.Linearizable(t, func() kv.KV {
		return opener(redis.On(connect(t, p.Addr(), engine.WithTimeout(3*time.Second))))(t)
	}, kvtest.Chaos(2*time.Second), kvtest.Trouble(p.CutReplies, p.Reset, func() { server.Kill(); server.Restart() }))
}

func contains(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

// TestWatchReadsAgainAfterALostConnection: messages that were published
// meanwhile do not come again.
func TestWatchReadsAgainAfterALostConnection(t *testing.T) {
	t.Parallel()
	store, straight, p := proxied(t)
	for _, key := range []string{"changed", "deleted", "same"} {
		if _, err := straight.Put(t.Context(), key, []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	state, events, cut := map[string]string{}, 0, false
	for e, err := range store.Watch(ctx, "") {
		switch {
		case ctx.Err() != nil:
			t.Fatalf("the watch has %v", state)
		case err != nil: // the outage
			continue
		case e.Kind == kv.EventPut:
			state[e.Item.Key] = string(e.Item.Value)
			events++
		case e.Kind == kv.EventDelete:
			delete(state, e.Item.Key)
			events++
		case !cut:
			cut = true
			p.Hold(netfault.Replies)
			_, err1 := straight.Put(t.Context(), "changed", []byte("2"))
			_, err2 := straight.Put(t.Context(), "new", []byte("1"))
			if err := errors.Join(err1, err2, straight.Delete(t.Context(), "deleted")); err != nil {
				t.Fatal(err)
			}
			p.Reset() // what was told meanwhile is lost
			p.Heal()
		}
		if e.Kind == kv.EventSynced && len(state) == 3 && state["changed"] == "2" && state["new"] == "1" && state["same"] == "1" {
			if events != 6 {
				t.Errorf("%d events, want 6: 3 for the state and one for each change", events)
			}
			return
		}
	}
}
