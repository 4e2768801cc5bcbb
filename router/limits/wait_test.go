package limits_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

func TestQueueServesInOrderAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.Queue(2, 3))
		first, second := acquired(t, l), acquired(t, l)
		var mu sync.Mutex
		var order []int
		served := func() []int {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(order)
		}
		for i := range 3 {
			go func() {
				p, err := l.Acquire(t.Context())
				if err != nil {
					t.Errorf("the %d. that waits: %v", i, err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
				p.Release(router.Outcome{})
			}()
			synctest.Wait()
		}
		if _, err := l.Acquire(t.Context()); !errors.Is(err, router.ErrLimited) {
			t.Errorf("one more than may wait: %v, want ErrLimited", err)
		}
		first.Release(router.Outcome{})
		synctest.Wait()
		if n := len(served()); n != 1 {
			t.Errorf("after one has ended %d that waited are through, want 1", n)
		}
		time.Sleep(5 * time.Second) // one after the other, in the place of the first
		if got := served(); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("served in the order %v, want 0, 1, 2", got)
		}
		second.Release(router.Outcome{})

		acquired(t, l)
		acquired(t, l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited in vain: %v, want the context's error", err)
		}
		if ctx.Err() == nil {
			t.Error("gave up before its context ended")
		}
		for range 3 { // who gave up left its place
			go l.Acquire(t.Context())
		}
		synctest.Wait()
		if _, err := l.Acquire(t.Context()); !errors.Is(err, router.ErrLimited) {
			t.Errorf("one more than may wait, after another gave up: %v, want ErrLimited", err)
		}
		acquiredBy := l.(limits.Permit)
		for range 5 { // lets those that wait go
			acquiredBy.Release(router.Outcome{})
		}
	})
}

func acquired(t testing.TB, l limits.Limiter) limits.Permit {
	t.Helper()
	p, err := l.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWaitingWaitsForTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.Waiting(limiter(t)(limits.TokenBucket(10, 1))))
		began := time.Now()
		for range 11 {
			acquired(t, l)
		}
		if took := time.Since(began); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("11 calls of 10 a second took %v, want 1 s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := l.Acquire(ctx); !errors.Is(err, router.ErrLimited) || ctx.Err() != nil {
			t.Errorf("a call that would wait in vain: %v, want ErrLimited at once", err)
		}
	})
}

// A queue of nobody is Concurrency.
func TestQueueOfNobody(t *testing.T) {
	l := limiter(t)(limits.Queue(1, 0))
	p := acquired(t, l)
	if _, err := l.Acquire(t.Context()); !errors.Is(err, router.ErrLimited) {
		t.Errorf("a second call: %v, want ErrLimited", err)
	}
	p.Release(router.Outcome{})
	acquired(t, l)
}

// script is a limiter that says one thing after another.
type script struct{ say []error }

func (s *script) Acquire(context.Context) (limits.Permit, error) {
	err := s.say[0]
	s.say = s.say[1:]
	return nil, err
}

// Only a limiter that says how long is waited for; what else it says is returned.
func TestWhatIsNotWaitedFor(t *testing.T) {
	broken := errors.New("broken")
	soon, unknown := &limits.Error{After: time.Second}, &limits.Error{}
	for name, c := range map[string]struct {
		say  []error
		want error
		took time.Duration
	}{
		"nobody knows how long":     {[]error{unknown}, unknown, 0},
		"an error of another kind":  {[]error{broken}, broken, 0},
		"first how long, then not":  {[]error{soon, unknown}, unknown, time.Second},
		"first how long, then fine": {[]error{soon, soon, nil}, nil, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := limits.Wait(t.Context(), &script{c.say})
			if err != c.want || time.Since(began) != c.took {
				t.Errorf("%s: %v after %v, want %v after %v", name, err, time.Since(began), c.want, c.took)
			}
		})
	}
}

func TestPerKeyGivesEachKeyALimiterOfItsOwn(t *testing.T) {
	type service struct{}
	errNoService := errors.New("no such service")
	made := 0
	l := limiter(t)(limits.PerKey(func(ctx context.Context) string { s, _ := ctx.Value(service{}).(string); return s }, 2,
		func(key string) (limits.Limiter, error) {
			if made++; key == "bad" {
				return nil, errNoService
			}
			if key == "nil" {
				return nil, nil
			}
			return limits.Concurrency(1)
		}))
	call := func(name string) (limits.Permit, error) {
		return l.Acquire(context.WithValue(t.Context(), service{}, name))
	}
	a, err := call("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call("a"); !errors.Is(err, router.ErrLimited) {
		t.Errorf("a second call at the same time: %v, want ErrLimited", err)
	}
	if _, err := call("b"); err != nil {
		t.Errorf("another key: %v", err)
	}
	if _, err := call("bad"); !errors.Is(err, errNoService) {
		t.Errorf("a key without a limiter: %v, want its error", err)
	}
	if _, err := call("nil"); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("a key with a nil limiter: %v, want ErrInvalid", err)
	}
	a.Release(router.Outcome{})
	if _, err := call("a"); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	if made != 4 {
		t.Errorf("%d limiters were asked for, want 4", made)
	}
	call("c") // b is forgotten
	if _, err := call("a"); !errors.Is(err, router.ErrLimited) {
		t.Errorf("the key used last is forgotten: %v", err)
	}
	if _, err := call("b"); err != nil {
		t.Errorf("a key that was forgotten: %v, want it to begin again", err)
	}
}

func TestBadWaitingLimitsAreRefused(t *testing.T) {
	key := func(context.Context) string { return "" }
	for name, make := range map[string]func() (limits.Limiter, error){
		"nil limiter":        func() (limits.Limiter, error) { return limits.Waiting(nil) },
		"no calls":           func() (limits.Limiter, error) { return limits.Queue(0, 1) },
		"less than no queue": func() (limits.Limiter, error) { return limits.Queue(1, -1) },
		"no key": func() (limits.Limiter, error) {
			return limits.PerKey(nil, 1, func(string) (limits.Limiter, error) { return nil, nil })
		},
		"no keys": func() (limits.Limiter, error) {
			return limits.PerKey(key, 0, func(string) (limits.Limiter, error) { return nil, nil })
		},
		"no limiter": func() (limits.Limiter, error) { return limits.PerKey(key, 1, nil) },
	} {
		if _, err := make(); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
