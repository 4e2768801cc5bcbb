package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

// TestConnectionsOutliveDeadlines: that of the last call ends no connection. A
// call that misses its own costs one.
func TestConnectionsOutliveDeadlines(t *testing.T) {
	t.Parallel()
	store, _, p := proxied(t)
	before, missed := p.Counts().Accepted, 0
	for i := range 15 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := store.Put(ctx, "k", fmt.Append(nil, i)); err != nil {
			missed++
		}
		<-ctx.Done()
		cancel()
	}
	if n := p.Counts().Accepted - before; n > missed || missed > 10 {
		t.Errorf("%d new connections for 15 calls of which %d missed their deadlines", n, missed)
	}
}

// TestConnectionsAreBounded, whatever the number of callers.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const pool = 5
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	store := opener(redis.On(connect(t, p.Addr(), engine.WithMaxConns(pool), engine.WithTimeout(time.Minute))))(t,
		kv.WithNamespace(servertest.Namespace(t)), kv.WithTimeout(time.Minute)) // a busy machine is slow at all 200
	defer store.Close()
	p.Delay(5*time.Millisecond, 0)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := store.GetMany(t.Context(), keys...); err != nil {
				t.Error(err)
			}
			if _, err := store.Put(t.Context(), "large", make([]byte, 20<<10)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.Counts().Accepted; n > pool {
		t.Errorf("%d connections were made, want at most %d", n, pool)
	}
}

// TestSmallWritesDoNotWaitForLargeOnes: on a slow link, small ones keep their
// deadlines.
func TestSmallWritesDoNotWaitForLargeOnes(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	store := opener(redis.On(connect(t, p.Addr(), engine.WithTimeout(time.Minute))))(t,
		kv.WithNamespace(servertest.Namespace(t)), kv.WithTimeout(time.Minute))
	defer store.Close()
	p.Throttle(2 << 20) // all large ones take 4 s
	large := make([]byte, 512<<10)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := store.Put(t.Context(), fmt.Sprint("large", i), large); err != nil {
					t.Errorf("a large Put: %v", err)
				}
			}
		})
	}
	done, late, slowest := 0, 0, time.Duration(0)
	var mu sync.Mutex
	var small sync.WaitGroup
	for i := range 16 {
		small.Go(func() {
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
				start := time.Now()
				_, err := store.Put(ctx, fmt.Sprint("small", i), []byte("x"))
				cancel()
				mu.Lock()
				slowest = max(slowest, time.Since(start))
				if err != nil {
					late++
				} else {
					done++
				}
				mu.Unlock()
			}
		})
	}
	small.Wait()
	close(stop)
	wg.Wait()
	// A machine that does something else for so long makes one of each caller late.
	if done < 3*late {
		t.Errorf("%d small writes were done beside large ones, and %d late; the slowest took %v", done, late, slowest)
	}
}

// TestTheUsersLoggerStays: opening a store changes nothing for the client's
// other users.
func TestTheUsersLoggerStays(t *testing.T) {
	lines := &logger{}
	goredis.SetLogger(lines)
	defer goredis.SetLogger(silent{})
	closed := netfault.New(t, "127.0.0.1:1")
	closed.Refuse()
	store := opener(redis.Backend(closed.Addr()))(t, kv.WithLazy())
	defer store.Close()
	user := goredis.NewClient(&goredis.Options{Addr: closed.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer user.Close()
	_ = user.Ping(t.Context()).Err()
	if lines.count() == 0 {
		t.Error("the client's logger was taken away")
	}
}

// silent keeps the client's lines about servers that are made to fail out of
// the tests' output.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

type logger struct {
	mu sync.Mutex
	n  int
}

func (l *logger) Printf(context.Context, string, ...any) { l.mu.Lock(); l.n++; l.mu.Unlock() }
func (l *logger) count() int                             { l.mu.Lock(); defer l.mu.Unlock(); return l.n }

// TestConnectionsHaveAName, as far as the user may give one.
func TestConnectionsHaveAName(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	for name, opts := range map[string][]engine.Option{
		"go-platform": nil,
		"orders":      {engine.WithClientOptions(func(o *goredis.UniversalOptions) { o.ClientName, o.OnConnect = "orders", nil })},
	} {
		store := opener(redis.On(connect(t, server.Addr(), opts...)))(t)
		defer store.Close()
		admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
		defer admin.Close()
		list, err := admin.ClientList(t.Context()).Result()
		if err != nil || !contains(errors.New(list), " name="+name+" ") {
			t.Errorf("no connection is called %s: %v\n%s", name, err, list)
		}
	}
}
