package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/router"
	routerkv "github.com/micro/go-platform/router/kv"
	"github.com/micro/go-platform/router/limits"
)

// counted counts the additions, and fails while it is unavailable.
type counted struct {
	kv.KV
	adds atomic.Int64
	away atomic.Bool
}

func (c *counted) Add(ctx context.Context, key string, n int64, opts ...kv.PutOption) (int64, error) {
	c.adds.Add(1)
	if c.away.Load() {
		return 0, kv.ErrUnavailable
	}
	return c.KV.Add(ctx, key, n, opts...)
}

func store(t testing.TB) *counted {
	t.Helper()
	s, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &counted{KV: s}
}

func quota(t testing.TB, s kv.KV, perSecond float64, burst int, opts ...routerkv.QuotaOption) *routerkv.Quota {
	t.Helper()
	q, err := routerkv.NewQuota(s, "q", perSecond, burst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// demand calls each quota as often as it can, each millisecond for d, and
// counts what gets through by quota.
func demand(t testing.TB, d time.Duration, all ...*routerkv.Quota) []int {
	t.Helper()
	got := make([]int, len(all))
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for i, q := range all {
			if _, err := q.Acquire(t.Context()); err == nil {
				got[i]++
			} else if !errors.Is(err, router.ErrLimited) {
				t.Fatal(err)
			}
		}
	}
	return got
}

func sum(all []int) (n int) {
	for _, v := range all {
		n += v
	}
	return n
}

func TestQuotaIsOfAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b, c := quota(t, s, 100, 10), quota(t, s, 100, 10), quota(t, s, 100, 10)
		got := demand(t, 10*time.Second, a, b, c)
		if n := sum(got); n < 950 || n > 1010 {
			t.Errorf("%v got through in 10 s, want 1000", got)
		}
		if n := s.adds.Load(); n > 2000 {
			t.Errorf("the store was asked %d times for 1000 calls of 30000", n)
		}
		if got = demand(t, 10*time.Second, b); got[0] < 950 {
			t.Errorf("alone a process got %d of 1000", got[0])
		}
	})
}

func TestLargeQuotaAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		a, b := quota(t, s, 500, 500), quota(t, s, 500, 500)
		got := demand(t, 10*time.Second, a, b)
		if n := sum(got); n < 4900 || n > 5000 {
			t.Errorf("%v got through in 10 s, want 5000", got)
		}
		if n := s.adds.Load(); n > 300 {
			t.Errorf("the store was asked %d times for 5000 calls", n)
		}
	})
}

func TestCallThatNobodyHindersGetsThroughAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota(t, store(t), 1, 1)
		for range 5 {
			if _, err := q.Acquire(t.Context()); err != nil {
				t.Errorf("the first of a window: %v", err)
			}
			_, err := q.Acquire(t.Context())
			var limit *limits.Error
			if !errors.As(err, &limit) || limit.After <= 0 || limit.After > time.Second {
				t.Errorf("the second of a window: %v, want a wait of up to 1 s", err)
			}
			time.Sleep(time.Second)
		}
	})
}

// Other limiters let every process have the whole limit when the store dies.
func TestStoreAwayKeepsTheShareOrAsTold(t *testing.T) {
	for _, c := range []struct {
		name        string
		opt         routerkv.QuotaOption
		least, most int // of 1000 in 10 s
	}{
		{"keep share", routerkv.WithOutage(routerkv.KeepShare), 850, 1100},
		{"let through", routerkv.WithOutage(routerkv.LetThrough), 29000, 30000},
		{"refuse", routerkv.WithOutage(routerkv.Refuse), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := store(t)
				all := []*routerkv.Quota{quota(t, s, 100, 20, c.opt), quota(t, s, 100, 20, c.opt), quota(t, s, 100, 20, c.opt)}
				demand(t, 20*time.Second, all...)
				s.away.Store(true)
				demand(t, time.Second, all...) // what they had claimed
				before := s.adds.Load()
				got := demand(t, 10*time.Second, all...)
				if n := sum(got); n < c.least || n > c.most {
					t.Errorf("%v got through in 10 s without the store, want %d to %d", got, c.least, c.most)
				}
				if n := s.adds.Load() - before; n > 60 {
					t.Errorf("the store that is unavailable was asked %d times in 10 s", n)
				}
				s.away.Store(false)
				demand(t, 3*time.Second, all...)
				if n := sum(demand(t, 10*time.Second, all...)); n < 950 || n > 1020 {
					t.Errorf("%d got through in 10 s when the store was back, want 1000", n)
				}
			})
		})
	}
}

func TestProcessThatNeverSawTheStoreTakesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		s.away.Store(true)
		if got := demand(t, 10*time.Second, quota(t, s, 100, 20)); got[0] < 80 || got[0] > 120 {
			t.Errorf("%d got through in 10 s, want a tenth of 1000", got[0])
		}
		if got := demand(t, 10*time.Second, quota(t, s, 100, 20, routerkv.WithProcesses(2))); got[0] < 450 || got[0] > 550 {
			t.Errorf("%d of two processes got through in 10 s, want half of 1000", got[0])
		}
	})
}

// broken is a store that panics.
type broken struct{ kv.KV }

func (broken) Add(context.Context, string, int64, ...kv.PutOption) (int64, error) { panic("boom") }

func TestAStoreThatPanicsIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := demand(t, 10*time.Second, quota(t, broken{}, 100, 20)); got[0] < 80 || got[0] > 120 {
			t.Errorf("%d got through in 10 s, want a tenth of 1000", got[0])
		}
	})
}

// hanging is a store that answers when it is told to, not before.
type hanging struct{ kv.KV }

func (hanging) Add(ctx context.Context, _ string, _ int64, _ ...kv.PutOption) (int64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestStoreThatHangsHoldsCallsNoLongerThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota(t, hanging{}, 100, 100, routerkv.WithTimeout(50*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := q.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Millisecond {
			t.Errorf("%v after %v, want the caller's deadline", err, time.Since(began))
		}
		for range 100 {
			began := time.Now()
			q.Acquire(t.Context())
			if d := time.Since(began); d > 50*time.Millisecond {
				t.Errorf("a call was held for %v", d)
			}
		}
	})
}

func TestQuotaTellsWhereItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store(t)
		one, other := quota(t, s, 10, 600), quota(t, s, 10, 600) // 600 a minute
		time.Sleep(12 * time.Second)
		state := func(q *routerkv.Quota, remaining int64, reset time.Duration) {
			t.Helper()
			want := limits.State{Policy: "q", Limit: 600, Window: time.Minute, Remaining: remaining, Reset: reset}
			if got := limits.StateOf(t.Context(), q); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		state(one, 600, 48*time.Second)
		for n := range int64(600) {
			if _, err := one.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			state(one, 599-n, 48*time.Second)
		}
		for _, q := range []*routerkv.Quota{one, other} {
			_, err := q.Acquire(t.Context())
			limit, ok := err.(*limits.Error)
			if !ok || limit.After != 48*time.Second || limit.Limit != 600 || limit.Reset != limit.After || limit.Policy != "q" {
				t.Errorf("got %#v", err)
			}
			state(q, 0, 48*time.Second)
		}
		time.Sleep(48 * time.Second)
		state(one, 600, time.Minute)
	})
}

func TestQuotaCloses(t *testing.T) {
	q := quota(t, store(t), 100, 100)
	if _, err := q.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(q.Close(), q.Close()); err != nil {
		t.Error(err)
	}
	if _, err := q.Acquire(t.Context()); !errors.Is(err, router.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestLimitsOfQuotas(t *testing.T) {
	s := store(t)
	var none *counted
	for name, c := range map[string]struct {
		store     kv.KV
		name      string
		perSecond float64
		burst     int
		opt       routerkv.QuotaOption
		want      string // "": it is taken
	}{
		"as it should be":     {s, "q", 1, 1, routerkv.WithOutage(routerkv.KeepShare), ""},
		"no store":            {nil, "q", 1, 1, routerkv.WithProcesses(1), "nil store"},
		"a nil pointer":       {none, "q", 1, 1, routerkv.WithProcesses(1), "nil store"},
		"no name":             {s, "", 1, 1, routerkv.WithProcesses(1), "no name"},
		"no rate":             {s, "q", 0, 1, routerkv.WithProcesses(1), "0 a second"},
		"a negative rate":     {s, "q", -1, 1, routerkv.WithProcesses(1), "-1 a second"},
		"a rate that is none": {s, "q", math.NaN(), 1, routerkv.WithProcesses(1), "NaN a second"},
		"no burst":            {s, "q", 1, 0, routerkv.WithProcesses(1), "burst 0"},
		"a window of 1 ms":    {s, "q", 1000, 1, routerkv.WithProcesses(1), ""},
		"a window below":      {s, "q", 1001, 1, routerkv.WithProcesses(1), "want a window"},
		"a window of 1 h":     {s, "q", 1, 3600, routerkv.WithProcesses(1), ""},
		"a window above":      {s, "q", 1, 3601, routerkv.WithProcesses(1), "want a window"},
		"a nil option":        {s, "q", 1, 1, nil, "option 1 is nil"},
		"the last outage":     {s, "q", 1, 1, routerkv.WithOutage(routerkv.Refuse), ""},
		"one above":           {s, "q", 1, 1, routerkv.WithOutage(routerkv.Refuse + 1), "unknown way 3"},
		"a timeout":           {s, "q", 1, 1, routerkv.WithTimeout(1), ""},
		"no timeout":          {s, "q", 1, 1, routerkv.WithTimeout(0), "timeout 0s"},
		"no process":          {s, "q", 1, 1, routerkv.WithProcesses(0), "0 processes"},
	} {
		q, err := routerkv.NewQuota(c.store, c.name, c.perSecond, c.burst, c.opt)
		if (err == nil) != (c.want == "") || (q == nil) != (err != nil) || err != nil && (!errors.Is(err, router.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if q != nil {
			_ = q.Close()
		}
	}
}

// consume is a process that wants more than the quota: it prints how many
// calls got through in each second, until it is killed.
func consume(args []string) error {
	s, err := kv.New(redis.Backend(args[0]), kv.WithNamespace(args[1]))
	if err != nil {
		return err
	}
	defer s.Close()
	q, err := routerkv.NewQuota(s, "shared", 100, 100)
	if err != nil {
		return err
	}
	defer q.Close()
	var mu sync.Mutex
	seconds := map[int64]int{}
	for range 4 {
		go func() {
			for {
				p, err := q.Acquire(context.Background())
				if err == nil {
					p.Release(router.Outcome{})
					mu.Lock()
					seconds[time.Now().Unix()]++
					mu.Unlock()
				}
				backoff.Sleep(context.Background(), 5*time.Millisecond)
			}
		}()
	}
	for last := time.Now().Unix(); ; {
		now := time.Now().Unix()
		for ; last < now-1; last++ { // a second that is over for a second is complete
			mu.Lock()
			fmt.Println(last, seconds[last])
			mu.Unlock()
		}
		backoff.Sleep(context.Background(), 50*time.Millisecond)
	}
}

// second reads the count of one second, and skips those before.
func second(t testing.TB, p *servertest.Process, want int64) int {
	t.Helper()
	for {
		at, n, _ := strings.Cut(p.Line(), " ")
		s, err1 := strconv.ParseInt(at, 10, 64)
		count, err2 := strconv.Atoi(n)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if s == want {
			return count
		}
		if s > want {
			t.Fatalf("second %d was not told", want)
		}
	}
}

func TestHundredASecondOverThreeProcesses(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	var all []*servertest.Process
	for range 3 {
		all = append(all, servertest.Child(t, "consume", server.Addr(), "quota"))
	}
	count := func(from int64, seconds int) (each [3]int, total int) {
		for s := range seconds {
			for i, p := range all {
				n := second(t, p, from+int64(s))
				each[i] += n
				total += n
			}
		}
		return each, total
	}
	const seconds = 3
	for _, p := range all { // each has begun
		p.Line()
	}
	each, total := count(time.Now().Unix()+1, seconds)
	t.Logf("%v a second on average of three processes, %v of each", float64(total)/seconds, each)
	if total < 95*seconds || total > 105*seconds {
		t.Errorf("%d calls got through in %d s, want 100 ± 5 a second", total, seconds)
	}
	server.Kill()
	each, total = count(time.Now().Unix()+2, seconds)
	t.Logf("%v a second without the store, %v of each", float64(total)/seconds, each)
	if total < 50*seconds || total > 120*seconds {
		t.Errorf("%d calls got through in %d s without the store, want about as many", total, seconds)
	}
}

func BenchmarkQuota(b *testing.B) {
	s, err := kv.New()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	q := quota(b, s, 1e9, 1e9)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Acquire(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
