package router_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

type limitKey struct{}

func TestStateOfLimits(t *testing.T) {
	must := func(l router.Limiter, err error) router.Limiter {
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	bucket := func() router.Limiter { return must(router.TokenBucket(2, 3)) } // full after 1.5 s
	byUser := func(ctx context.Context) string { s, _ := ctx.Value(limitKey{}).(string); return s }
	const half = 500 * time.Millisecond
	for name, c := range map[string]struct {
		make           func() router.Limiter
		fresh, spent   router.LimitState // before anything, and when the third call has got through
		later, refused router.LimitState // 600 ms after that, and of the fourth call's error
	}{
		"token bucket": {bucket,
			router.LimitState{Limit: 3, Window: 3 * half, Remaining: 3}, router.LimitState{Limit: 3, Window: 3 * half, Reset: half},
			router.LimitState{Limit: 3, Window: 3 * half, Remaining: 1, Reset: 400 * time.Millisecond}, router.LimitState{Limit: 3, Window: 3 * half, Reset: half}},
		"fills within a second": {func() router.Limiter { return must(router.TokenBucket(10, 3)) },
			router.LimitState{Limit: 10, Window: time.Second, Remaining: 3}, router.LimitState{Limit: 10, Window: time.Second, Reset: 100 * time.Millisecond},
			router.LimitState{Limit: 10, Window: time.Second, Remaining: 3}, router.LimitState{Limit: 10, Window: time.Second, Reset: 100 * time.Millisecond}},
		"waiting and named": {func() router.Limiter { return must(router.Waiting(must(router.Named("gold", bucket())))) },
			router.LimitState{Policy: "gold", Limit: 3, Window: 3 * half, Remaining: 3}, router.LimitState{Policy: "gold", Limit: 3, Window: 3 * half, Reset: half},
			router.LimitState{Policy: "gold", Limit: 3, Window: 3 * half, Remaining: 1, Reset: 400 * time.Millisecond}, router.LimitState{Policy: "gold", Limit: 3, Window: 3 * half, Reset: half}},
		"keyed": {func() router.Limiter { return must(router.Keyed(byUser, 2, 3, 10)) },
			router.LimitState{}, router.LimitState{Limit: 3, Window: 3 * half, Reset: half}, // a key that wasn't seen has no bucket yet
			router.LimitState{Limit: 3, Window: 3 * half, Remaining: 1, Reset: 400 * time.Millisecond}, router.LimitState{Limit: 3, Window: 3 * half, Reset: half}},
		"concurrency": {func() router.Limiter { return must(router.Concurrency(3)) },
			router.LimitState{}, router.LimitState{}, router.LimitState{}, router.LimitState{Limit: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, l := context.WithValue(t.Context(), limitKey{}, "ann"), c.make()
				check := func(when string, got, want router.LimitState) {
					t.Helper()
					if got != want {
						t.Errorf("%s: got %+v, want %+v", when, got, want)
					}
				}
				check("fresh", router.StateOf(ctx, l), c.fresh)
				for range 3 {
					if _, err := l.Acquire(ctx); err != nil {
						t.Fatal(err)
					}
				}
				check("spent", router.StateOf(ctx, l), c.spent)
				short, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				_, err := l.Acquire(short)
				var limit *router.LimitError
				if !errors.As(err, &limit) || !errors.Is(err, router.ErrLimited) {
					t.Fatalf("the fourth: %v", err)
				}
				check("refused", limit.LimitState, c.refused)
				check("asking takes nothing", router.StateOf(ctx, l), c.spent)
				time.Sleep(600 * time.Millisecond)
				check("later", router.StateOf(ctx, l), c.later)
			})
		})
	}
}

func TestStateIsTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{0.3, 7, 1000} {
			l, err := router.TokenBucket(rate, 5)
			if err != nil {
				t.Fatal(err)
			}
			for range 200 {
				s := router.StateOf(t.Context(), l)
				_, err := l.Acquire(t.Context())
				if (err == nil) != (s.Remaining > 0) {
					t.Fatalf("at %v a second: %+v, then %v", rate, s, err)
				}
				after := router.StateOf(t.Context(), l)
				if err == nil && (after.Remaining != s.Remaining-1 || after.Reset <= 0) {
					t.Fatalf("at %v a second: %+v, then %+v", rate, s, after)
				}
				time.Sleep(after.Reset) // a token more, and not a moment sooner
				if got := router.StateOf(t.Context(), l); got.Remaining != after.Remaining+1 && after.Reset > 0 {
					t.Fatalf("at %v a second: %+v, after its reset %+v", rate, after, got)
				}
				if s.Remaining > 1 {
					continue
				}
				time.Sleep(time.Duration(float64(time.Second) / rate * 2.4))
			}
		}
	})
}

func TestNamedIsChecked(t *testing.T) {
	l, err := router.Concurrency(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]func() (router.Limiter, error){
		"no name":     func() (router.Limiter, error) { return router.Named("", l) },
		"nil limiter": func() (router.Limiter, error) { return router.Named("gold", nil) },
		"unprintable": func() (router.Limiter, error) { return router.Named("gold\n", l) },
		"not ASCII":   func() (router.Limiter, error) { return router.Named("größe", l) },
	} {
		if _, err := bad(); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := router.Named(`a "plan"`, l); err != nil {
		t.Error(err)
	}
}
