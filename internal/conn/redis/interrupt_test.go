package redis_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

func open(t *testing.T, c redis.Config) *redis.Client {
	t.Helper()
	client, err := redis.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func get(ctx context.Context, c *redis.Client, key string) error {
	_, err := redis.Do(ctx, c, func(ctx context.Context) (string, error) { return c.Get(ctx, key).Result() })
	return err
}

// TestDoReturnsWhenItsContextEnds: by a deadline or a cancel, with a client of
// ours or the user's.
func TestDoReturnsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	user := goredis.NewClient(&goredis.Options{Addr: p.Addr(), ContextTimeoutEnabled: true, ReadTimeout: time.Hour})
	defer user.Close()
	for name, client := range map[string]*redis.Client{
		"ours": open(t, redis.Config{Address: p.Addr(), Timeout: time.Hour}), "the user's": open(t, redis.Config{Client: user}),
	} {
		t.Run(name, func(t *testing.T) {
			if err := get(t.Context(), client, "none"); !errors.Is(err, goredis.Nil) {
				t.Fatal(err)
			}
			p.Hold(netfault.Replies)
			defer p.Heal()
			for _, how := range []struct {
				name string
				end  func(context.Context) (context.Context, context.CancelFunc)
				want error
			}{
				{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeout(ctx, 50*time.Millisecond)
				}, context.DeadlineExceeded},
				{"cancel", func(ctx context.Context) (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancel(ctx)
					time.AfterFunc(50*time.Millisecond, cancel)
					return ctx, cancel
				}, context.Canceled},
			} {
				ctx, cancel := how.end(t.Context())
				start := time.Now()
				err := get(ctx, client, "none")
				cancel()
				if took := time.Since(start); !errors.Is(err, how.want) || took > time.Minute { // without it, an answer is waited for for an hour
					t.Errorf("%s: %v after %v, want %v after 50ms", how.name, err, took, how.want)
				}
			}
		})
	}
}

// TestInterruptsMeetTheirOwnCall: calls that end while others use the same few
// connections do not end those.
func TestInterruptsMeetTheirOwnCall(t *testing.T) {
	t.Parallel()
	client := open(t, redis.Config{Address: servertest.SharedRedis(t).Addr(), PoolSize: 2})
	deadline := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := 0; time.Now().Before(deadline); n++ {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Duration(n%200)*time.Microsecond, cancel)
				if err := get(ctx, client, "none"); !errors.Is(err, goredis.Nil) && !errors.Is(err, context.Canceled) {
					t.Errorf("a call that is cancelled: %v", err)
				}
				cancel()
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for time.Now().Before(deadline) {
				if err := get(ctx, client, "none"); !errors.Is(err, goredis.Nil) {
					t.Errorf("a call that is not: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
