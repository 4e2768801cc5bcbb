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

// Limiters as users write them: a function, a value that can't be compared, a pointer.
type (
	limiterFunc    func(context.Context) (limits.Permit, error)
	limiterSlice   struct{ acquire []limiterFunc }
	limiterPointer struct{ acquire limiterFunc }
)

func (f limiterFunc) Acquire(ctx context.Context) (limits.Permit, error)  { return f(ctx) }
func (s limiterSlice) Acquire(ctx context.Context) (limits.Permit, error) { return s.acquire[0](ctx) }
func (p *limiterPointer) Acquire(ctx context.Context) (limits.Permit, error) {
	return p.acquire(ctx)
}

type permitFunc func()

func (f permitFunc) Release(router.Outcome) { f() }

// What stands around a limiter takes whatever the limiter returns: a permit that there
// is not, an *Error that was never set, an error of its own, and a context that ends.
func TestLimitersOfTheUsersOwn(t *testing.T) {
	mine := errors.New("mine")
	var unset *limits.Error
	for name, c := range map[string]struct {
		acquire limiterFunc
		want    error // nil: there is a permit, which can be released
		after   time.Duration
	}{
		"a permit":             {func(context.Context) (limits.Permit, error) { return permitFunc(func() {}), nil }, nil, 0},
		"nothing":              {func(context.Context) (limits.Permit, error) { return nil, nil }, nil, 0},
		"an error not set":     {func(context.Context) (limits.Permit, error) { return nil, unset }, nil, 0},
		"its own error":        {func(context.Context) (limits.Permit, error) { return nil, mine }, mine, 0},
		"an error, no time":    {func(context.Context) (limits.Permit, error) { return nil, &limits.Error{Limiter: "x"} }, router.ErrLimited, 0},
		"waits for its caller": {func(ctx context.Context) (limits.Permit, error) { <-ctx.Done(); return nil, ctx.Err() }, context.DeadlineExceeded, time.Second},
	} {
		for kind, l := range map[string]limits.Limiter{"func": c.acquire, "slice": limiterSlice{[]limiterFunc{c.acquire}}, "pointer": &limiterPointer{c.acquire}} {
			for around, wrap := range map[string]func() (limits.Limiter, error){
				"named":   func() (limits.Limiter, error) { return limits.Named("x", l) },
				"waiting": func() (limits.Limiter, error) { return limits.Waiting(l) },
				"per key": func() (limits.Limiter, error) {
					return limits.PerKey(func(context.Context) string { return "k" }, 1, func(string) (limits.Limiter, error) { return l, nil })
				},
			} {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					w, err := wrap()
					if err != nil {
						t.Fatalf("%s, %s, %s: %v", name, kind, around, err)
					}
					p, err := w.Acquire(ctx)
					if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (p == nil) != (err != nil) || time.Since(start) != c.after {
						t.Errorf("%s, %s, %s: %v, %v after %v, want %v after %v", name, kind, around, p, err, time.Since(start), c.want, c.after)
					}
					if p != nil {
						p.Release(router.Outcome{})
					}
				})
			}
		}
	}
}

// A function that gives no limiter for a key, or panics, does so for its caller alone:
// the next key is served.
func TestPerKeyOfAFunctionThatFails(t *testing.T) {
	type key struct{}
	l, err := limits.PerKey(func(ctx context.Context) string { return ctx.Value(key{}).(string) }, 2, func(k string) (limits.Limiter, error) {
		switch k {
		case "panics":
			panic("boom")
		case "nil pointer":
			return (*limiterPointer)(nil), nil
		case "nothing":
			return nil, nil
		}
		return limits.Concurrency(1)
	})
	if err != nil {
		t.Fatal(err)
	}
	acquire := func(k string) (panicked any, err error) {
		defer func() { panicked = recover() }()
		_, err = l.Acquire(context.WithValue(t.Context(), key{}, k))
		return nil, err
	}
	for _, c := range []struct {
		key   string
		want  error
		panic any
	}{{"panics", nil, "boom"}, {"nil pointer", router.ErrInvalid, nil}, {"nothing", router.ErrInvalid, nil}, {"good", nil, nil}, {"good", router.ErrLimited, nil}} {
		if p, err := acquire(c.key); !errors.Is(err, c.want) || p != c.panic {
			t.Errorf("%s: %v, panic %v, want %v, %v", c.key, err, p, c.want, c.panic)
		}
	}
}
