package wrapper_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// Limiters, gates and observers as users write them: functions, values,
// pointers, and values that can't be compared.
type (
	tally struct{ begun, ended atomic.Int64 }

	limitFunc  func() limits.Permit
	limitValue struct{ t *tally }
	limitSlice struct {
		t    *tally
		tags []string
	}
	limitPointer struct{ t *tally }

	permit struct{ t *tally }

	gateFunc  func() *tally
	gateSlice struct {
		t    *tally
		tags []string
	}

	observerFunc  func() *tally
	observerSlice struct {
		t    *tally
		tags []string
	}
)

func (p permit) Release(router.Outcome) { p.t.ended.Add(1) }

func (t *tally) acquire() (limits.Permit, error) { t.begun.Add(1); return permit{t}, nil }

func (f limitFunc) Acquire(context.Context) (limits.Permit, error)     { return f(), nil }
func (l limitValue) Acquire(context.Context) (limits.Permit, error)    { return l.t.acquire() }
func (l limitSlice) Acquire(context.Context) (limits.Permit, error)    { return l.t.acquire() }
func (l *limitPointer) Acquire(context.Context) (limits.Permit, error) { return l.t.acquire() }

func (f gateFunc) Enter(ctx context.Context, _ *wrapper.Call) (context.Context, error) {
	f().begun.Add(1)
	return ctx, nil
}
func (f gateFunc) Leave(context.Context, *wrapper.Call) { f().ended.Add(1) }
func (g gateSlice) Enter(ctx context.Context, _ *wrapper.Call) (context.Context, error) {
	g.t.begun.Add(1)
	return ctx, nil
}
func (g gateSlice) Leave(context.Context, *wrapper.Call) { g.t.ended.Add(1) }

func (f observerFunc) Begin(ctx context.Context, _ *wrapper.Call) context.Context {
	f().begun.Add(1)
	return ctx
}
func (f observerFunc) End(context.Context, *wrapper.Call) { f().ended.Add(1) }
func (o observerSlice) Begin(ctx context.Context, _ *wrapper.Call) context.Context {
	o.t.begun.Add(1)
	return ctx
}
func (o observerSlice) End(context.Context, *wrapper.Call) { o.t.ended.Add(1) }
func (o observerSlice) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context {
	return ctx
}
func (o observerSlice) EndAttempt(context.Context, *wrapper.Attempt) {}

func TestPartsOfTheUsersOwnMayBeOfAnyType(t *testing.T) {
	const calls = 10
	for name, part := range map[string]func(t *tally) wrapper.Option{
		"limiter func": func(t *tally) wrapper.Option {
			return wrapper.WithLimit(limitFunc(func() limits.Permit { p, _ := t.acquire(); return p }))
		},
		"limiter value":   func(t *tally) wrapper.Option { return wrapper.WithLimit(limitValue{t}) },
		"limiter slice":   func(t *tally) wrapper.Option { return wrapper.WithLimit(limitSlice{t, []string{"a"}}) },
		"limiter pointer": func(t *tally) wrapper.Option { return wrapper.WithLimit(&limitPointer{t}) },
		"gate func":       func(t *tally) wrapper.Option { return wrapper.WithGate(gateFunc(func() *tally { return t })) },
		"gate slice":      func(t *tally) wrapper.Option { return wrapper.WithGate(gateSlice{t, []string{"a"}}) },
		"observer func":   func(t *tally) wrapper.Option { return wrapper.WithObserver(observerFunc(func() *tally { return t })) },
		"observer slice":  func(t *tally) wrapper.Option { return wrapper.WithObserver(observerSlice{t, []string{"a"}}) },
	} {
		for n := range 3 { // one, two and three equal ones
			t.Run(fmt.Sprint(name, " ", n+1), func(t *testing.T) {
				var sum tally
				var opts []wrapper.Option
				for range n + 1 {
					opts = append(opts, part(&sum))
				}
				w := newWrapper(t, opts...)
				srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })), false)
				for range calls {
					if resp, body := get(t, c, srv.URL); resp.StatusCode != 200 || body != "ok" {
						t.Fatalf("got %d %q", resp.StatusCode, body)
					}
				}
				want := int64(calls * (n + 1))
				poll(t, "all to be released", func() bool { return sum.ended.Load() == want })
				if sum.begun.Load() != want {
					t.Errorf("%d begun, want %d", sum.begun.Load(), want)
				}
			})
		}
	}
}

// Each limiter gets back its own permits, once, also when a later one refuses.
func TestPermitsGoBackToTheirLimiter(t *testing.T) {
	var a, b tally
	refuse := limitRefuse{}
	w := newWrapper(t, wrapper.WithLimit(limitValue{&a}), wrapper.WithLimit(limitValue{&b}), wrapper.WithLimit(refuse))
	srv, c := serve(t, w.Handler(nil), false)
	for range 5 {
		if resp, _ := get(t, c, srv.URL); resp.StatusCode != 429 {
			t.Fatalf("got %d", resp.StatusCode)
		}
	}
	for name, l := range map[string]*tally{"first": &a, "second": &b} {
		if l.begun.Load() != 5 || l.ended.Load() != 5 {
			t.Errorf("%s: %d acquired, %d released, want 5", name, l.begun.Load(), l.ended.Load())
		}
	}
}

type limitRefuse struct{ _ []int }

func (limitRefuse) Acquire(context.Context) (limits.Permit, error) { return nil, &limits.Error{} }
