package limits_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

func TestMain(m *testing.M) { leak.Main(m) }

func limiter(t testing.TB) func(limits.Limiter, error) limits.Limiter {
	return func(l limits.Limiter, err error) limits.Limiter {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func admitted(l limits.Limiter, n int) (yes int) {
	for range n {
		if p, err := l.Acquire(context.Background()); err == nil {
			yes++
			p.Release(router.Outcome{})
		}
	}
	return yes
}

func TestTokenBucketLetsItsRateThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.TokenBucket(100, 10))
		if n := admitted(l, 50); n != 10 {
			t.Errorf("%d at once, want the burst of 10", n)
		}
		n := 0
		for range 1000 {
			time.Sleep(time.Millisecond)
			n += admitted(l, 3)
		}
		if n != 100 {
			t.Errorf("%d in a second, want 100", n)
		}
		admitted(l, 100)
		_, err := l.Acquire(t.Context())
		var limit *limits.Error
		if !errors.Is(err, router.ErrLimited) || !errors.As(err, &limit) || limit.After <= 0 || limit.After > 10*time.Millisecond {
			t.Errorf("got %v, want a wait of up to 10 ms", err)
		}
	})
}

func TestTokenBucketIsExactUnderContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.TokenBucket(1, 100))
		var mu sync.Mutex
		var wg sync.WaitGroup
		total := 0
		for range 8 {
			wg.Go(func() {
				n := admitted(l, 100)
				mu.Lock()
				total += n
				mu.Unlock()
			})
		}
		wg.Wait()
		if total != 100 {
			t.Errorf("%d of 800 got through, want 100", total)
		}
	})
}

func TestWaitObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.TokenBucket(1, 1))
		start := time.Now()
		for range 3 {
			if _, err := limits.Wait(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("three took %v, want 2s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, err := limits.Wait(ctx, l); !errors.Is(err, router.ErrLimited) || time.Since(start) != 0 {
			t.Errorf("a wait in vain: %v after %v, want ErrLimited at once", err, time.Since(start))
		}
		gone, stop := context.WithCancel(t.Context())
		go func() { time.Sleep(100 * time.Millisecond); stop() }()
		if _, err := limits.Wait(gone, l); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
	})
}

type keyName struct{}

func TestKeyedLimitsEachKeyAndBoundsTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.Keyed(func(ctx context.Context) string { s, _ := ctx.Value(keyName{}).(string); return s }, 1, 2, 3))
		try := func(key string) bool {
			_, err := l.Acquire(context.WithValue(t.Context(), keyName{}, key))
			return err == nil
		}
		for _, key := range []string{"a", "b", "c"} {
			if first, second, third := try(key), try(key), try(key); !first || !second || third {
				t.Errorf("key %s is not limited to its burst of 2", key)
			}
		}
		for i := range 10 {
			try(fmt.Sprint(i))
		}
		if !try("a") {
			t.Error("a key that was forgotten does not begin again")
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	l := limiter(t)(limits.Concurrency(2))
	a, err1 := l.Acquire(t.Context())
	_, err2 := l.Acquire(t.Context())
	if _, err := l.Acquire(t.Context()); err1 != nil || err2 != nil || !errors.Is(err, router.ErrLimited) {
		t.Fatalf("got %v, %v, %v", err1, err2, err)
	}
	a.Release(router.Outcome{})
	if _, err := l.Acquire(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.Acquire(t.Context()); err == nil {
		t.Error("one Release made two places")
	}
}

// queue is a server that works at up to 10 calls at a time without delay.
func TestGradientFindsWhatTheServerCanTake(t *testing.T) {
	l := limiter(t)(limits.Gradient(1, 1000))
	const capacity = 40
	var limit int
	for range 2000 {
		var open []limits.Permit
		for range 200 {
			p, err := l.Acquire(t.Context())
			if err != nil {
				break
			}
			open = append(open, p)
		}
		limit = len(open)
		for _, p := range open {
			latency := 10 * time.Millisecond
			if limit > capacity { // the rest waits
				latency = latency * time.Duration(limit) / capacity
			}
			p.Release(router.Outcome{Latency: latency})
		}
	}
	if limit < capacity/2 || limit > 4*capacity {
		t.Errorf("the limit settled at %d for a server that takes %d", limit, capacity)
	}
	for range 100 {
		if p, err := l.Acquire(t.Context()); err == nil {
			p.Release(router.Outcome{Class: router.Overload})
		}
	}
	n := 0
	for ; ; n++ {
		if _, err := l.Acquire(t.Context()); err != nil {
			break
		}
	}
	if n > 2 {
		t.Errorf("after 100 refusals %d calls get through at once, want the least", n)
	}
}

// gradientLimit is how many calls get through at the same time.
func gradientLimit(l limits.Limiter) int {
	var open []limits.Permit
	for {
		p, err := l.Acquire(context.Background())
		if err != nil {
			break
		}
		open = append(open, p)
	}
	for _, p := range open { // which teaches nothing
		p.Release(router.Outcome{Class: router.Cancelled})
	}
	return len(open)
}

// A batch is as many calls as the limit. It moves the limit if all were in progress
// together and say something of the server.
func TestWhatMovesAGradient(t *testing.T) {
	const usual, slow = 10 * time.Millisecond, 40 * time.Millisecond
	for name, c := range map[string]struct {
		together, rounds int
		o                router.Outcome
		want             int // of 20 at first
	}{
		"nothing":                    {20, 0, router.Outcome{}, 20},
		"a batch":                    {20, 1, router.Outcome{Latency: usual}, 21},
		"one less than a batch":      {19, 1, router.Outcome{Latency: usual}, 20},
		"never at the limit":         {19, 20, router.Outcome{Latency: usual}, 20},
		"no latency":                 {20, 10, router.Outcome{}, 20},
		"failures, which are quick":  {20, 10, router.Outcome{Latency: usual, Class: router.ServerError}, 20},
		"callers that gave up":       {20, 10, router.Outcome{Latency: usual, Class: router.Cancelled}, 20},
		"mistakes of callers":        {20, 10, router.Outcome{Latency: usual, Class: router.ClientError}, 20},
		"a refusal":                  {1, 1, router.Outcome{Latency: usual, Class: router.Overload}, 18},
		"a call that took too long":  {1, 1, router.Outcome{Latency: usual, Class: router.Timeout}, 18},
		"two batches":                {20, 2, router.Outcome{Latency: usual}, 21}, // the second began below its limit
		"many refusals, to the last": {1, 100, router.Outcome{Class: router.Overload}, 2},
	} {
		l := limiter(t)(limits.Gradient(2, 1000))
		for range c.rounds {
			var open []limits.Permit
			for range c.together {
				p, err := l.Acquire(t.Context())
				if err != nil {
					break
				}
				open = append(open, p)
			}
			for _, p := range open {
				p.Release(c.o)
			}
		}
		if got := gradientLimit(l); got != c.want {
			t.Errorf("%s: the limit is %d, want %d", name, got, c.want)
		}
	}

	batch := func(l limits.Limiter, together int, latency time.Duration) {
		for done := 0; done < 20; done += together {
			var open []limits.Permit
			for range together {
				open = append(open, acquired(t, l))
			}
			for _, p := range open {
				p.Release(router.Outcome{Latency: latency})
			}
		}
	}
	// What is slow at the limit shrinks it. What is slow without the limit's doing
	// becomes the usual.
	l := limiter(t)(limits.Gradient(2, 1000))
	batch(l, 10, usual)
	batch(l, 20, slow)
	if got := gradientLimit(l); got != 19 {
		t.Errorf("after a slow batch the limit is %d, want 19", got)
	}
	l = limiter(t)(limits.Gradient(2, 1000))
	batch(l, 10, usual)
	for range 100 {
		batch(l, 10, slow)
	}
	batch(l, 20, slow)
	if got := gradientLimit(l); got != 21 {
		t.Errorf("where all is slow the limit is %d, want 21", got)
	}
	// At its least the limit is not what makes calls slow.
	l = limiter(t)(limits.Gradient(20, 1000))
	batch(l, 10, usual)
	for range 100 {
		batch(l, 20, slow)
		if gradientLimit(l) > 20 {
			return
		}
	}
	t.Error("after 100 slow batches at its least the limit is still there")
}

func TestThrottleSparesABackendInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.Throttle(2, 8))
		through := func(class router.Class) (n int) {
			for range 1000 {
				time.Sleep(10 * time.Millisecond)
				if p, err := l.Acquire(t.Context()); err == nil {
					n++
					p.Release(router.Outcome{Class: class})
				}
			}
			return n
		}
		if n := through(router.OK); n != 1000 {
			t.Errorf("%d of 1000 calls to a healthy backend got through, want all", n)
		}
		through(router.ServerError)
		if n := through(router.ServerError); n > 50 {
			t.Errorf("%d of 1000 calls to a dead backend got through, want a few", n)
		}
		for range 8 { // what gets through at most doubles in the 10 s of a window
			through(router.OK)
		}
		if n := through(router.OK); n != 1000 {
			t.Errorf("%d of 1000 calls got through after it came back, want all", n)
		}
	})
}

// Callers who give up say nothing of the backend, neither good nor bad.
func TestThrottleIgnoresCallsThatWereCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.Throttle(2, 8))
		through := func(n int, class router.Class) (got int) {
			for range n {
				time.Sleep(time.Millisecond)
				if p, err := l.Acquire(t.Context()); err == nil {
					got++
					p.Release(router.Outcome{Class: class})
				}
			}
			return got
		}
		if n := through(3000, router.Cancelled); n != 3000 {
			t.Errorf("%d of 3000 calls got through while callers give up, want all", n)
		}
		through(2000, router.ServerError) // the backend dies
		if n := through(500, router.ServerError); n > 50 {
			t.Errorf("%d of 500 calls to a dead backend got through after callers gave up, want a few", n)
		}
		if n := through(500, router.Cancelled); n > 50 {
			t.Errorf("%d of 500 calls to a dead backend got through while callers give up, want a few", n)
		}
	})
}

func TestThrottleSurvivesCallsThatAreCancelledLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.Throttle(2, 0))
		var late []limits.Permit
		for range 20 {
			p, err := l.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.Release(router.Outcome{}) // accepted, so that the others pass
			if p, err = l.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			late = append(late, p)
		}
		time.Sleep(time.Minute)
		for _, p := range late {
			p.Release(router.Outcome{Class: router.Cancelled})
		}
		if _, err := l.Acquire(t.Context()); err != nil {
			t.Errorf("after they ended: %v", err)
		}
	})
}

func TestBadLimitsAreRefused(t *testing.T) {
	key := func(context.Context) string { return "" }
	for name, f := range map[string]func() (limits.Limiter, error){
		"rate":          func() (limits.Limiter, error) { return limits.TokenBucket(0, 1) },
		"negative rate": func() (limits.Limiter, error) { return limits.TokenBucket(-1, 1) },
		"NaN":           func() (limits.Limiter, error) { return limits.TokenBucket(math.NaN(), 1) },
		"too fast":      func() (limits.Limiter, error) { return limits.TokenBucket(1e9+1, 1) },
		"burst":         func() (limits.Limiter, error) { return limits.TokenBucket(1, 0) },
		"too slow":      func() (limits.Limiter, error) { return limits.TokenBucket(1e-12, 1) },
		"too large":     func() (limits.Limiter, error) { return limits.TokenBucket(0.5, 1_600_000_001) },
		"key":           func() (limits.Limiter, error) { return limits.Keyed(nil, 1, 1, 1) },
		"keys":          func() (limits.Limiter, error) { return limits.Keyed(key, 1, 1, 0) },
		"rate of keys":  func() (limits.Limiter, error) { return limits.Keyed(key, 0, 1, 1) },
		"concurrency":   func() (limits.Limiter, error) { return limits.Concurrency(0) },
		"gradient":      func() (limits.Limiter, error) { return limits.Gradient(5, 4) },
		"no gradient":   func() (limits.Limiter, error) { return limits.Gradient(0, 4) },
		"throttle":      func() (limits.Limiter, error) { return limits.Throttle(0.9, 8) },
		"pad":           func() (limits.Limiter, error) { return limits.Throttle(1, -0.1) },
	} {
		if _, err := f(); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	for name, f := range map[string]func() (limits.Limiter, error){
		"the fastest":        func() (limits.Limiter, error) { return limits.TokenBucket(1e9, 1) },
		"the largest":        func() (limits.Limiter, error) { return limits.TokenBucket(0.5, 1_600_000_000) },
		"one key":            func() (limits.Limiter, error) { return limits.Keyed(key, 1, 1, 1) },
		"the least gradient": func() (limits.Limiter, error) { return limits.Gradient(1, 1) },
		"the least throttle": func() (limits.Limiter, error) { return limits.Throttle(1, 0) },
	} {
		l, err := f()
		if err != nil || admitted(l, 1) != 1 {
			t.Errorf("%s: %v, or it lets nothing through", name, err)
		}
	}
}

// One call in almost a century, or a burst that takes as long to come back: the
// slowest buckets let through what they hold, and no more.
func TestTheSlowestBuckets(t *testing.T) {
	one := limiter(t)(limits.TokenBucket(1/3e9, 1))
	acquired(t, one)
	if _, err := one.Acquire(t.Context()); !errors.Is(err, router.ErrLimited) {
		t.Errorf("a second call: %v, want ErrLimited", err)
	}
	many := limiter(t)(limits.TokenBucket(1./3600, 800_000))
	for range 10 {
		acquired(t, many)
	}
}

func BenchmarkLimiters(b *testing.B) {
	ctx := context.Background()
	for name, l := range map[string]limits.Limiter{
		"token":       limiter(b)(limits.TokenBucket(1e9, 1000)),
		"concurrency": limiter(b)(limits.Concurrency(1000)),
		"gradient":    limiter(b)(limits.Gradient(1, 1000)),
		"throttle":    limiter(b)(limits.Throttle(2, 8)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p, err := l.Acquire(ctx); err == nil {
					p.Release(router.Outcome{Latency: time.Millisecond})
				}
			}
		})
	}
}
