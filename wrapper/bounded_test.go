package wrapper_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// inside runs f as a handler with a deadline 5 s ahead, or with none, whose
// server ends the request's context by leave.
func inside(t *testing.T, bounded bool, f func(ctx context.Context, leave context.CancelFunc)) {
	t.Helper()
	opts := []wrapper.Option{wrapper.WithName("greeter")}
	if bounded {
		opts = append(opts, wrapper.WithServerTimeout(5*time.Second))
	}
	w, err := wrapper.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	parent, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	h := w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r.Context(), leave) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(parent))
}

type userKey struct{}

// The context of a handler is what those of the standard library are, however
// and in whatever order it is asked.
func TestTheContextOfAHandlerKeepsTheRulesOfContexts(t *testing.T) {
	asks := map[string]func(ctx context.Context){
		"nothing":       func(context.Context) {},
		"Err":           func(ctx context.Context) { _ = ctx.Err() },
		"Done":          func(ctx context.Context) { _ = ctx.Done() },
		"Err then Done": func(ctx context.Context) { _, _ = ctx.Err(), ctx.Done() },
	}
	for _, c := range []struct {
		name    string
		bounded bool
		after   time.Duration
		leave   bool
		want    error
	}{
		{"before the deadline", true, 5*time.Second - 1, false, nil},
		{"at the deadline", true, 5 * time.Second, false, context.DeadlineExceeded},
		{"without a deadline", false, time.Hour, false, nil},
		{"the caller left", true, time.Second, true, context.Canceled},
		{"the caller left, without a deadline", false, time.Second, true, context.Canceled},
		{"the caller left after the deadline", true, 6 * time.Second, true, context.DeadlineExceeded},
	} {
		for first, ask := range asks {
			t.Run(c.name+"/"+first, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					inside(t, c.bounded, func(ctx context.Context, leave context.CancelFunc) {
						ask(ctx)
						time.Sleep(c.after)
						if c.bounded && c.after > 5*time.Second {
							_ = ctx.Err() // what it says once holds
						}
						if c.leave {
							leave()
						}
						synctest.Wait()
						done := false
						select {
						case <-ctx.Done():
							done = true
						default:
						}
						if err := ctx.Err(); err != c.want || done != (c.want != nil) || !errors.Is(context.Cause(ctx), c.want) {
							t.Errorf("done %v with %v, cause %v, want %v", done, err, context.Cause(ctx), c.want)
						}
					})
				})
			})
		}
	}
}

func TestTheContextOfAHandlerEndsWithIt(t *testing.T) {
	for _, bounded := range []bool{true, false} {
		for _, waits := range []bool{true, false} {
			var kept context.Context
			var done <-chan struct{}
			inside(t, bounded, func(ctx context.Context, _ context.CancelFunc) {
				if kept = ctx; waits {
					done = ctx.Done()
				}
				if ctx.Err() != nil {
					t.Errorf("over while the handler runs: %v", ctx.Err())
				}
			})
			if kept.Err() != context.Canceled {
				t.Errorf("with a deadline %v: %v after the handler returned, want %v", bounded, kept.Err(), context.Canceled)
			}
			if !waits {
				done = kept.Done()
			}
			select {
			case <-done:
			default:
				t.Errorf("with a deadline %v: Done is open after the handler returned", bounded)
			}
		}
	}
}

// Children of a context that the standard library does not know cost a
// goroutine each, which an hour of a stream's messages would feel.
func TestChildrenOfAHandlersContextNeedNoGoroutine(t *testing.T) {
	inside(t, true, func(ctx context.Context, leave context.CancelFunc) {
		before := runtime.NumGoroutine()
		ctx = context.WithValue(ctx, userKey{}, 1)
		var children []context.Context
		for range 100 {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			children = append(children, child)
		}
		if n := runtime.NumGoroutine(); n > before+10 {
			t.Errorf("100 children made %d goroutines", n-before)
		}
		leave()
		for _, c := range children {
			<-c.Done()
		}
	})
}

// A transport waits for one context, whatever bounds the call that it sends.
func TestTheContextOfAnAttemptEndsWithTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		opts []wrapper.Option
		end  func(cancel context.CancelFunc)
		at   time.Duration
		want error
	}{
		"the call's deadline":     {at: 5 * time.Second, want: context.DeadlineExceeded},
		"the caller leaves":       {end: func(cancel context.CancelFunc) { time.AfterFunc(time.Second, cancel) }, at: time.Second, want: context.Canceled},
		"an observer's own bound": {opts: []wrapper.Option{wrapper.WithObserver(hurried{})}, at: 2 * time.Second, want: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr, err := trace.New()
				if err != nil {
					t.Fatal(err)
				}
				w, err := wrapper.New(append(c.opts, wrapper.WithName("edge"), wrapper.WithTrace(tr), wrapper.WithClientTimeout(5*time.Second),
					wrapper.WithHedge(wrapper.HedgePolicy{Quantile: .5}), wrapper.WithRouter(instances("a:80", "b:80")))...)
				if err != nil {
					t.Fatal(err)
				}
				wait := false
				base := roundTripper(func(r *http.Request) (*http.Response, error) {
					if !wait {
						time.Sleep(10 * time.Millisecond)
						return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
					}
					ctx, cancel := context.WithCancel(r.Context()) // as net/http does
					defer cancel()
					if ctx.Value(userKey{}) != "value" || !trace.FromContext(ctx).Context().IsValid() {
						t.Error("the transport does not find the values of the call")
					}
					<-ctx.Done()
					if ctx.Err() != r.Context().Err() || context.Cause(ctx) == nil {
						t.Errorf("the context ended with %v, and one below it with %v", r.Context().Err(), ctx.Err())
					}
					return nil, ctx.Err()
				})
				client := &http.Client{Transport: w.Transport(base)}
				for range 30 { // what is usual, so that attempts can be cut short
					get(t, client, "http://greeter/")
				}
				wait = true
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), userKey{}, "value"))
				defer cancel()
				if c.end != nil {
					c.end(cancel)
				}
				start := time.Now()
				r, _ := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
				_, err = client.Do(r)
				if took := time.Since(start); !errors.Is(err, c.want) || took != c.at {
					t.Errorf("after %v: %v, want %v after %v", took, err, c.want, c.at)
				}
				if err := errors.Join(w.Close(t.Context()), tr.Close(t.Context())); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// hurried bounds each call by itself.
type hurried struct{}

type stopKey struct{}

func (hurried) Begin(ctx context.Context, _ *wrapper.Call) context.Context {
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	return context.WithValue(ctx, stopKey{}, stop)
}

func (hurried) End(ctx context.Context, _ *wrapper.Call) {
	ctx.Value(stopKey{}).(context.CancelFunc)()
}
