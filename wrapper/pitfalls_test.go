package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// What other stacks got wrong, and this one must not: each test is named for
// what has to hold.

// realRouter routes to the addresses in turn.
func realRouter(t *testing.T, addrs []string, opts ...router.Option) router.Router {
	t.Helper()
	d, err := discovery.New(static.Backend(static.Addresses("greeter", addrs...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	r, err := router.New(append([]router.Option{router.WithDiscovery(d), router.WithStrategy(router.RoundRobin())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func outcomes(r router.Router, id string) router.NodeStats {
	for _, n := range r.Stats("greeter") {
		if n.ID == id {
			return n
		}
	}
	return router.NodeStats{}
}

// A balancer for which a plain 500 is as good as 200, or a cancelled call as
// bad as a failure, sends traffic to what is broken and away from what is not.
func TestServerErrorsAreBlamedAndCallersFaultsAreNot(t *testing.T) {
	left := make(chan struct{}, 100)
	srv := count(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			left <- struct{}{}
			<-r.Context().Done()
		case "/500":
			w.WriteHeader(500)
		case "/404":
			w.WriteHeader(404)
		}
	})
	other := count(t, answer(200))
	for path, want := range map[string]struct {
		class   router.Class
		ejected bool
	}{"/500": {router.ServerError, true}, "/404": {router.ClientError, false}, "/slow": {router.Cancelled, false}} {
		t.Run(path, func(t *testing.T) {
			r := realRouter(t, []string{srv.addr(), other.addr()}, router.WithEjection(router.Ejection{Consecutive: 5, Base: time.Hour, Max: time.Hour, Cap: 0.5}))
			w := newWrapper(t, wrapper.WithRouter(r))
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				stop := make(chan struct{})
				go func() {
					select {
					case <-left:
						cancel()
					case <-stop:
					}
				}()
				q, _ := http.NewRequestWithContext(ctx, "GET", "http://greeter"+path, nil)
				if resp, err := w.Client().Do(q); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				close(stop)
				cancel()
			}
			n := outcomes(r, srv.addr())
			if n.Ejected != want.ejected || n.Outcomes[want.class] == 0 || n.Outcomes[router.OK] != 0 || n.InFlight != 0 {
				t.Errorf("the router has %+v, want %v and ejected: %v", n, want.class, want.ejected)
			}
		})
	}
}

// Comparing errors with == judges a cancellation that somebody wrapped as a
// failure.
func TestWrappedCancellationIsNoFailure(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want router.Class
	}{
		"cancelled": {fmt.Errorf("round trip: %w", context.Canceled), router.Cancelled},
		"deadline":  {fmt.Errorf("round trip: %w", context.DeadlineExceeded), router.Timeout},
		"eof":       {fmt.Errorf("round trip: %w", io.ErrUnexpectedEOF), router.Connect},
		"limited":   {fmt.Errorf("round trip: %w", &limits.Error{}), router.Connect}, // it says nothing of what was sent
	} {
		rec := newRecorder()
		w := newWrapper(t, wrapper.WithObserver(rec), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
		client := &http.Client{Transport: w.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, c.err }))}
		if _, err := client.Get("http://example.com/"); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v", name, err)
		}
		if call := rec.last(t); call.Class != c.want {
			t.Errorf("%s: class %v, want %v", name, call.Class, c.want)
		}
	}
}

// A breaker of the router's holds for calls of the client, and what is left of
// the traffic is right.
func TestBreakersHoldInTheClient(t *testing.T) {
	bad, good := count(t, answer(500)), count(t, answer(200))
	open := router.Breakers{BreakerPolicy: router.BreakerPolicy{Consecutive: 3, Open: time.Hour, Longest: time.Hour}, FailFast: true}
	r := realRouter(t, []string{bad.addr(), good.addr()}, router.WithBreakers(open))
	w := newWrapper(t, wrapper.WithRouter(r))
	for range 40 {
		get(t, w.Client(), "http://greeter/")
	}
	if n := bad.hits.Load(); n != 3 {
		t.Errorf("the broken one was called %d times, want 3", n)
	}
	rec := newRecorder()
	alone := newWrapper(t, wrapper.WithRouter(realRouter(t, []string{bad.addr()}, router.WithBreakers(open))), wrapper.WithObserver(rec))
	for range 3 {
		get(t, alone.Client(), "http://greeter/")
		rec.last(t)
	}
	if resp, err := alone.Client().Get("http://greeter/"); !errors.Is(err, router.ErrOpen) {
		t.Errorf("got %v, %v; want ErrOpen", resp, err)
	}
	if call := rec.last(t); call.Class != router.Unsent {
		t.Errorf("recorded %+v, want unsent", call)
	}
}

// The latency of long polls and streams poisons an average that counts them to
// their end.
func TestAnswerThatStreamsIsAsFastAsItsHeaders(t *testing.T) {
	go1 := make(chan struct{})
	srv := count(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-go1
	})
	var attempt atomic.Int64
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(rec), wrapper.WithObserver(latencies{&attempt}))
	resp, err := w.Client().Get("http://greeter/")
	if err != nil {
		t.Fatal(err)
	}
	headers := time.Now()
	for time.Since(headers) < 50*time.Millisecond {
		<-time.After(10 * time.Millisecond)
	}
	close(go1)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if call := rec.last(t); attempt.Load() <= 0 || call.Duration-time.Duration(attempt.Load()) < 50*time.Millisecond {
		t.Errorf("the call took %v, of which %v count as the instance's latency; want 50 ms less", call.Duration, time.Duration(attempt.Load()))
	}
}

type latencies struct{ last *atomic.Int64 }

func (latencies) Begin(ctx context.Context, _ *wrapper.Call) context.Context           { return ctx }
func (latencies) End(context.Context, *wrapper.Call)                                   {}
func (latencies) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context { return ctx }
func (l latencies) EndAttempt(_ context.Context, a *wrapper.Attempt)                   { l.last.Store(int64(a.Latency)) }

// A budget that counts a retry when it is sent lets all those pass that wait
// for their backoff.
func TestRetriesThatWaitCountAgainstTheBudget(t *testing.T) {
	var hits atomic.Int64
	all := make(chan struct{})
	srv := count(t, func(w http.ResponseWriter, r *http.Request) {
		if hits.Add(1) == 100 {
			close(all) // no answer before all calls have been sent once
		}
		<-all
		w.WriteHeader(503)
	})
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 2, PerSecond: 1e-9, Min: 50 * time.Millisecond, Max: 50 * time.Millisecond}))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if resp, err := w.Client().Get("http://greeter/"); err == nil {
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	if n := hits.Load(); n < 110 || n > 121 {
		t.Errorf("100 calls were sent %d times, want about a fifth more", n)
	}
}
