package wrapper_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// panics is a part of every kind, of which the method panics that is named.
type panics string

func (p panics) at(method string) {
	if string(p) == method {
		panic("boom")
	}
}

func (p panics) Begin(ctx context.Context, _ *wrapper.Call) context.Context {
	p.at("Begin")
	if p == "nil Begin" {
		return nil
	}
	return ctx
}
func (p panics) End(context.Context, *wrapper.Call) { p.at("End") }
func (p panics) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context {
	p.at("BeginAttempt")
	if p == "nil BeginAttempt" {
		return nil
	}
	return ctx
}
func (p panics) EndAttempt(context.Context, *wrapper.Attempt) { p.at("EndAttempt") }
func (p panics) Enter(ctx context.Context, _ *wrapper.Call) (context.Context, error) {
	return ctx, nil
}
func (p panics) Leave(context.Context, *wrapper.Call) { p.at("Leave") }

// panicLimit gives permits of a tally.
type panicLimit struct {
	panics
	*tally
}

func (l panicLimit) Acquire(context.Context) (limits.Permit, error) {
	l.begun.Add(1)
	return l, nil
}
func (l panicLimit) Release(router.Outcome) { l.ended.Add(1); l.at("Release") }
func (l panicLimit) State(context.Context) limits.State {
	l.at("State")
	return limits.State{Limit: 1, Remaining: 1, Window: time.Second}
}

// A part of the user's own that panics where it has no say fails no call, keeps
// nothing that others gave, and is reported.
func TestPartsOfTheUsersOwnMayPanic(t *testing.T) {
	var own tally
	for name, part := range map[string]wrapper.Option{
		"observer, Begin":        wrapper.WithObserver(panics("Begin")),
		"observer, no context":   wrapper.WithObserver(panics("nil Begin")),
		"observer, End":          wrapper.WithObserver(panics("End")),
		"observer, BeginAttempt": wrapper.WithObserver(panics("BeginAttempt")),
		"attempt, no context":    wrapper.WithObserver(panics("nil BeginAttempt")),
		"observer, EndAttempt":   wrapper.WithObserver(panics("EndAttempt")),
		"gate, Leave":            wrapper.WithGate(panics("Leave")),
		"limiter, Release":       wrapper.WithLimit(panicLimit{"Release", &own}),
		"limiter, State":         wrapper.WithLimit(panicLimit{"State", &own}),
		"trusted by WithEdge":    wrapper.WithEdge(func(context.Context, *wrapper.Call) bool { panic("boom") }),
		"well":                   wrapper.WithLimit(panicLimit{"", &own}),
	} {
		t.Run(name, func(t *testing.T) {
			var before tally
			lines := &strings.Builder{}
			lg, err := log.New(log.ToWriter(lines, log.JSON()))
			if err != nil {
				t.Fatal(err)
			}
			rec := newRecorder()
			backend := count(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Request-Id")) })
			w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithLog(lg), wrapper.WithLimit(limitValue{&before}), part, wrapper.WithObserver(rec),
				wrapper.WithRouter(realRouter(t, []string{backend.addr()})))
			if err != nil {
				t.Fatal(err)
			}
			srv, client := serve(t, w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				q, _ := http.NewRequestWithContext(r.Context(), "GET", "http://greeter/", nil)
				resp, err := w.Client().Do(q)
				if err != nil {
					http.Error(rw, err.Error(), http.StatusBadGateway)
					return
				}
				defer resp.Body.Close()
				io.WriteString(rw, "ok ")
				io.Copy(rw, resp.Body)
			})), false)
			const calls = 3
			for range calls {
				r, _ := http.NewRequest("GET", srv.URL, nil)
				r.Header.Set("X-Request-Id", "mine")
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				trusted := name != "trusted by WithEdge"
				if resp.StatusCode != 200 || !strings.HasPrefix(string(b), "ok ") || (string(b) == "ok mine") != trusted {
					t.Errorf("got %d %q, trusted: %v", resp.StatusCode, b, trusted)
				}
				for range 2 { // the call that went out, and the one that came in
					if c := rec.last(t); c.Class != router.OK || c.Panic != nil {
						t.Errorf("recorded %v, panic %v", c.Class, c.Panic)
					}
				}
			}
			if err := w.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
			if before.begun.Load() != calls || before.ended.Load() != calls || own.begun.Load() != own.ended.Load() {
				t.Errorf("permits: %d and %d acquired, %d and %d released", before.begun.Load(), own.begun.Load(), before.ended.Load(), own.ended.Load())
			}
			quiet := name == "well" || strings.Contains(name, "no context")
			if reported := strings.Contains(lines.String(), "panicked") && strings.Contains(lines.String(), "guard_test.go"); reported == quiet {
				t.Errorf("reported: %v, log:\n%s", reported, lines)
			}
		})
	}
}

// What panics on the way of a call that goes out panics for its caller, and the
// call ends for everybody else.
func TestACallThatPanicsEnds(t *testing.T) {
	backend := count(t, func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		part wrapper.Option
		base http.RoundTripper
	}{
		"a key":       {wrapper.WithKey(func(context.Context) string { panic("boom") }), nil},
		"a transport": {wrapper.WithSlow(time.Hour), roundTripper(func(*http.Request) (*http.Response, error) { panic("boom") })},
	} {
		t.Run(name, func(t *testing.T) {
			rec, r := newRecorder(), realRouter(t, []string{backend.addr()})
			w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithObserver(rec), c.part, wrapper.WithPolicies(wrapper.Policy{Limit: &wrapper.Limit{Concurrency: 1}}))
			client := &http.Client{Transport: w.Transport(c.base)}
			for range 3 { // each has the one place of the limit
				func() {
					defer func() {
						if v := recover(); v != "boom" {
							t.Errorf("panicked with %v", v)
						}
					}()
					_, err := client.Get("http://greeter/")
					t.Errorf("returned %v", err)
				}()
				if call := rec.last(t); call.Panic != "boom" || len(call.Stack) == 0 || !call.Class.Failed() && call.Class != router.ClientError {
					t.Errorf("recorded %v, panic %v", call.Class, call.Panic)
				}
			}
			if n := outcomes(r, backend.addr()).InFlight; n != 0 {
				t.Errorf("%d picks are open", n)
			}
		})
	}
}

// A second attempt has no caller: its panic must not end the process.
func TestASecondAttemptThatPanicsLosesToTheFirst(t *testing.T) {
	slow := func(http.ResponseWriter, *http.Request) { <-time.After(50 * time.Millisecond) }
	a, b := count(t, slow), count(t, slow)
	var sent atomic.Int64
	var warm atomic.Bool
	r := realRouter(t, []string{a.addr(), b.addr()})
	w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 0.01, Ratio: 1}))
	client := &http.Client{Transport: w.Transport(roundTripper(func(q *http.Request) (*http.Response, error) {
		if warm.Load() && sent.Add(1)%2 == 0 {
			panic("boom")
		}
		if !warm.Load() {
			return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}, Request: q}, nil
		}
		return http.DefaultTransport.RoundTrip(q)
	}))}
	for range 30 { // at once, so that any real answer is late
		get(t, client, "http://greeter/")
	}
	warm.Store(true)
	for range 5 {
		if resp, _ := get(t, client, "http://greeter/"); resp.StatusCode != 200 {
			t.Errorf("got %d", resp.StatusCode)
		}
		poll(t, "the second to be sent", func() bool { return sent.Load()%2 == 0 })
	}
	if sent.Load() != 10 {
		t.Errorf("%d attempts, want a second for each of 5 calls", sent.Load())
	}
	poll(t, "all picks to be done", func() bool {
		return outcomes(r, a.addr()).InFlight+outcomes(r, b.addr()).InFlight == 0
	})
}

// brokenTracer is a tracer whose Close panics.
type brokenTracer struct{ trace.Tracer }

func (b brokenTracer) Close(ctx context.Context) error {
	_ = b.Tracer.Close(ctx)
	panic("broken")
}

// A function of WithOnClose or a part that panics keeps nothing from being closed.
func TestCloseGoesOnAfterAPanic(t *testing.T) {
	lines := &strings.Builder{}
	lg, err := log.New(log.ToWriter(lines, log.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	later := false
	tr, err := trace.New()
	if err != nil {
		t.Fatal(err)
	}
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithLog(lg), wrapper.WithTrace(brokenTracer{tr}),
		wrapper.WithOnClose(func(context.Context) error { panic("boom") }),
		wrapper.WithOnClose(func(context.Context) error { later = true; return nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "boom") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("Close: %v, want both panics", err)
	}
	if !later {
		t.Error("the function after it was not called")
	}
	lg.Logger("x").Error("late")
	if strings.Contains(lines.String(), "late") {
		t.Error("the log was not closed")
	}
}
