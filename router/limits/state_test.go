package limits_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

type limitKey struct{}

func TestStateOfLimits(t *testing.T) {
	must := func(l limits.Limiter, err error) limits.Limiter {
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	bucket := func() limits.Limiter { return must(limits.TokenBucket(2, 3)) } // full after 1.5 s
	byUser := func(ctx context.Context) string { s, _ := ctx.Value(limitKey{}).(string); return s }
	const half = 500 * time.Millisecond
	for name, c := range map[string]struct {
		make           func() limits.Limiter
		fresh, spent   limits.State // before anything, and when the third call has got through
		later, refused limits.State // 600 ms after that, and of the fourth call's error
	}{
		"token bucket": {bucket,
			limits.State{Limit: 3, Window: 3 * half, Remaining: 3}, limits.State{Limit: 3, Window: 3 * half, Reset: half},
			limits.State{Limit: 3, Window: 3 * half, Remaining: 1, Reset: 400 * time.Millisecond}, limits.State{Limit: 3, Window: 3 * half, Reset: half}},
		"fills within a second": {func() limits.Limiter { return must(limits.TokenBucket(10, 3)) },
			limits.State{Limit: 10, Window: time.Second, Remaining: 3}, limits.State{Limit: 10, Window: time.Second, Reset: 100 * time.Millisecond},
			limits.State{Limit: 10, Window: time.Second, Remaining: 3}, limits.State{Limit: 10, Window: time.Second, Reset: 100 * time.Millisecond}},
		"waiting and named": {func() limits.Limiter { return must(limits.Waiting(must(limits.Named("gold", bucket())))) },
			limits.State{Policy: "gold", Limit: 3, Window: 3 * half, Remaining: 3}, limits.State{Policy: "gold", Limit: 3, Window: 3 * half, Reset: half},
			limits.State{Policy: "gold", Limit: 3, Window: 3 * half, Remaining: 1, Reset: 400 * time.Millisecond}, limits.State{Policy: "gold", Limit: 3, Window: 3 * half, Reset: half}},
		"keyed": {func() limits.Limiter { return must(limits.Keyed(byUser, 2, 3, 10)) },
			limits.State{}, limits.State{Limit: 3, Window: 3 * half, Reset: half}, // a key that wasn't seen has no bucket yet
			limits.State{Limit: 3, Window: 3 * half, Remaining: 1, Reset: 400 * time.Millisecond}, limits.State{Limit: 3, Window: 3 * half, Reset: half}},
		"concurrency": {func() limits.Limiter { return must(limits.Concurrency(3)) },
			limits.State{}, limits.State{}, limits.State{}, limits.State{Limit: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, l := context.WithValue(t.Context(), limitKey{}, "ann"), c.make()
				check := func(when string, got, want limits.State) {
					t.Helper()
					if got != want {
						t.Errorf("%s: got %+v, want %+v", when, got, want)
					}
				}
				check("fresh", limits.StateOf(ctx, l), c.fresh)
				for range 3 {
					if _, err := l.Acquire(ctx); err != nil {
						t.Fatal(err)
					}
				}
				check("spent", limits.StateOf(ctx, l), c.spent)
				short, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				_, err := l.Acquire(short)
				var limit *limits.Error
				if !errors.As(err, &limit) || !errors.Is(err, router.ErrLimited) {
					t.Fatalf("the fourth: %v", err)
				}
				check("refused", limit.State, c.refused)
				check("asking takes nothing", limits.StateOf(ctx, l), c.spent)
				time.Sleep(600 * time.Millisecond)
				check("later", limits.StateOf(ctx, l), c.later)
			})
		})
	}
}

func TestStateBetweenTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t)(limits.TokenBucket(2, 3))
		for range 3 {
			acquired(t, l)
		}
		began := time.Now()
		const ms = time.Millisecond
		for _, c := range []struct {
			after     time.Duration
			remaining int64
			reset     time.Duration
		}{{0, 0, 500 * ms}, {100 * ms, 0, 400 * ms}, {499 * ms, 0, ms}, {500 * ms, 1, 500 * ms}, {501 * ms, 1, 499 * ms},
			{1000 * ms, 2, 500 * ms}, {1499 * ms, 2, ms}, {1500 * ms, 3, 0}, {time.Hour, 3, 0}} {
			time.Sleep(c.after - time.Since(began))
			if s := limits.StateOf(t.Context(), l); s.Remaining != c.remaining || s.Reset != c.reset {
				t.Errorf("after %v: %d remain, %v until the next, want %d and %v", c.after, s.Remaining, s.Reset, c.remaining, c.reset)
			}
		}
	})
}

func TestStateIsTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{0.3, 7, 1000} {
			l, err := limits.TokenBucket(rate, 5)
			if err != nil {
				t.Fatal(err)
			}
			for range 200 {
				s := limits.StateOf(t.Context(), l)
				_, err := l.Acquire(t.Context())
				if (err == nil) != (s.Remaining > 0) {
					t.Fatalf("at %v a second: %+v, then %v", rate, s, err)
				}
				after := limits.StateOf(t.Context(), l)
				if err == nil && (after.Remaining != s.Remaining-1 || after.Reset <= 0) {
					t.Fatalf("at %v a second: %+v, then %+v", rate, s, after)
				}
				time.Sleep(after.Reset) // a token more, and not a moment sooner
				if got := limits.StateOf(t.Context(), l); got.Remaining != after.Remaining+1 && after.Reset > 0 {
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
	l, err := limits.Concurrency(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]func() (limits.Limiter, error){
		"no name":     func() (limits.Limiter, error) { return limits.Named("", l) },
		"nil limiter": func() (limits.Limiter, error) { return limits.Named("gold", nil) },
		"unprintable": func() (limits.Limiter, error) { return limits.Named("gold\n", l) },
		"delete":      func() (limits.Limiter, error) { return limits.Named("\x7f", l) },
		"not ASCII":   func() (limits.Limiter, error) { return limits.Named("größe", l) },
	} {
		if _, err := bad(); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	for _, name := range []string{`a "plan"`, " ", "~"} {
		if _, err := limits.Named(name, l); err != nil {
			t.Error(err)
		}
	}
	broken := errors.New("broken")
	l, err = limits.Named("gold", &script{[]error{broken}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquire(t.Context()); err != broken {
		t.Errorf("got %v, want the limiter's own error", err)
	}
}
