package wrapper_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

type (
	enterFunc   func(context.Context) (context.Context, error)
	acquireFunc func(context.Context) (limits.Permit, error)
)

func (f enterFunc) Enter(ctx context.Context, _ *wrapper.Call) (context.Context, error) {
	return f(ctx)
}
func (enterFunc) Leave(context.Context, *wrapper.Call)                   {}
func (f acquireFunc) Acquire(ctx context.Context) (limits.Permit, error) { return f(ctx) }

// Gates and limiters that panic, return nothing, or wait for the caller: the
// call is answered, the parts before them get back what they gave, and Close
// has nothing to wait for.
func TestPartsOfTheUsersOwnMayMisbehave(t *testing.T) {
	for name, c := range map[string]struct {
		part  wrapper.Option
		want  int
		panic bool
	}{
		"gate panics":                  {wrapper.WithGate(enterFunc(func(context.Context) (context.Context, error) { panic("boom") })), 500, true},
		"gate panics with an error":    {wrapper.WithGate(enterFunc(func(context.Context) (context.Context, error) { panic(http.ErrAbortHandler) })), 500, true},
		"gate returns no context":      {wrapper.WithGate(enterFunc(func(context.Context) (context.Context, error) { return nil, nil })), 200, false},
		"gate refuses with no context": {wrapper.WithGate(enterFunc(func(context.Context) (context.Context, error) { return nil, errors.New("no") })), 500, false},
		"gate waits":                   {wrapper.WithGate(enterFunc(func(ctx context.Context) (context.Context, error) { <-ctx.Done(); return ctx, ctx.Err() })), 504, false},
		"limiter panics":               {wrapper.WithLimit(acquireFunc(func(context.Context) (limits.Permit, error) { panic("boom") })), 500, true},
		"limiter returns no permit":    {wrapper.WithLimit(acquireFunc(func(context.Context) (limits.Permit, error) { return nil, nil })), 200, false},
		"limiter waits":                {wrapper.WithLimit(acquireFunc(func(ctx context.Context) (limits.Permit, error) { <-ctx.Done(); return nil, ctx.Err() })), 504, false},
		"well":                         {wrapper.WithGate(enterFunc(func(ctx context.Context) (context.Context, error) { return ctx, nil })), 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			var before tally
			rec := newRecorder()
			timeout := time.Minute
			if c.want == http.StatusGatewayTimeout {
				timeout = 100 * time.Millisecond
			}
			w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithLimit(limitValue{&before}), c.part, wrapper.WithObserver(rec), wrapper.WithServerTimeout(timeout))
			if err != nil {
				t.Fatal(err)
			}
			srv, client := serve(t, w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				io.WriteString(rw, "ok")
			})), false)
			for range 3 {
				if resp, _ := get(t, client, srv.URL); resp.StatusCode != c.want {
					t.Errorf("got %d, want %d", resp.StatusCode, c.want)
				}
				if call := rec.last(t); (call.Panic != nil) != c.panic || c.panic && len(call.Stack) == 0 {
					t.Errorf("recorded panic %v with a stack of %d bytes, want one: %v", call.Panic, len(call.Stack), c.panic)
				}
			}
			poll(t, "all to be released", func() bool { return before.ended.Load() == before.begun.Load() })
			if err := w.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}
