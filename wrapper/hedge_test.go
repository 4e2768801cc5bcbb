package wrapper_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

func TestLateCallIsHedgedOnAnotherInstance(t *testing.T) {
	var slow atomic.Bool
	var cancelled, finished atomic.Int64
	lazy := count(t, func(w http.ResponseWriter, r *http.Request) {
		if !slow.Load() {
			io.WriteString(w, "lazy")
			return
		}
		select {
		case <-r.Context().Done():
			cancelled.Add(1)
		case <-time.After(time.Minute):
			finished.Add(1)
		}
	})
	quick := count(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "quick") })
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(lazy.addr(), quick.addr())), wrapper.WithObserver(rec),
		wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 0.95, Ratio: 1}))
	for range 40 { // it learns what is usual
		get(t, w.Client(), "http://greeter/")
		rec.last(t)
	}
	slow.Store(true)
	for range 10 {
		start := time.Now()
		if _, body := get(t, w.Client(), "http://greeter/"); body != "quick" {
			t.Fatalf("got %q", body)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Fatalf("waited %v for the lazy one", d)
		}
		if c := rec.last(t); c.Class != router.OK || c.Attempts > 2 {
			t.Errorf("recorded %+v", c)
		}
	}
	poll(t, "the losers to be cancelled", func() bool { return cancelled.Load() >= 4 })
	if finished.Load() != 0 {
		t.Error("a loser was waited for")
	}
}

// tardy is an observer that takes its time before the first attempt of a call.
type tardy struct {
	*recorder
	on atomic.Bool
}

func (o *tardy) BeginAttempt(ctx context.Context, a *wrapper.Attempt) context.Context {
	if o.on.Load() && a.Number == 1 {
		<-time.After(100 * time.Millisecond)
	}
	return ctx
}

func (o *tardy) EndAttempt(context.Context, *wrapper.Attempt) {}

// What comes before an attempt may take longer than an answer usually does.
func TestACallThatIsLateBeforeItIsSentIsHedgedToo(t *testing.T) {
	var slow atomic.Bool
	lazy := count(t, func(w http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		}
		io.WriteString(w, "lazy")
	})
	quick := count(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "quick") })
	ob := &tardy{recorder: newRecorder()}
	w := newWrapper(t, wrapper.WithRouter(instances(lazy.addr(), quick.addr())), wrapper.WithObserver(ob),
		wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 0.95, Ratio: 1}))
	for range 40 {
		get(t, w.Client(), "http://greeter/")
	}
	slow.Store(true)
	ob.on.Store(true)
	for range 4 {
		start := time.Now()
		if _, body := get(t, w.Client(), "http://greeter/"); body != "quick" || time.Since(start) > 30*time.Second {
			t.Fatalf("got %q after %v", body, time.Since(start))
		}
	}
}

func TestOnlyIdempotentCallsAreHedged(t *testing.T) {
	lazy := count(t, func(w http.ResponseWriter, r *http.Request) { <-time.After(50 * time.Millisecond) })
	w := newWrapper(t, wrapper.WithRouter(instances(lazy.addr())), wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 0.5, Ratio: 1}))
	for range 30 {
		resp, err := w.Client().Post("http://greeter/", "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := lazy.hits.Load(); n != 30 {
		t.Errorf("30 posts were sent %d times", n)
	}
}

// In an outage all calls are late. The clock and the transport are fakes: how
// many are sent twice must not depend on how busy the machine is.
func TestHedgesHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took, sent atomic.Int64
		took.Store(int64(time.Millisecond))
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			sent.Add(1)
			select {
			case <-time.After(time.Duration(took.Load())):
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithRouter(instances("a", "b")), wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 0.9, Ratio: 0.1}))
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: w.Transport(base)}
		for range 40 {
			get(t, client, "http://greeter/")
		}
		before := sent.Load()
		took.Store(int64(time.Second))
		for range 100 {
			get(t, client, "http://greeter/")
		}
		synctest.Wait()
		// What 40 calls have saved up, a tenth of 100, and one in ten seconds.
		if n := sent.Load() - before; n < 110 || n > 100+4+10+10+1 {
			t.Errorf("100 calls were sent %d times", n)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A second attempt that could not be sent has cost nothing: the budget that it
// took still pays for a retry.
func TestASecondAttemptThatIsNotSentCostsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		instances []string
		closed    bool
		want      int64 // times that the call was sent
	}{
		"it was sent":           {[]string{"a:80", "b:80"}, false, 2},
		"no other instance":     {[]string{"a:80"}, false, 2},
		"the wrapper is closed": {[]string{"a:80", "b:80"}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithRouter(instances(c.instances...)),
					wrapper.WithRetry(wrapper.RetryPolicy{Ratio: .05, PerSecond: 1e-9, Late: 100 * time.Millisecond}))
				if err != nil {
					t.Fatal(err)
				}
				var slow bool
				var sent atomic.Int64
				client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
					code := 200
					if n := sent.Add(1); slow && n == 1 {
						time.Sleep(time.Second) // late, and then it fails
						code = 503
					} else {
						time.Sleep(time.Millisecond)
					}
					return &http.Response{StatusCode: code, Body: http.NoBody, Request: r}, nil
				}))}
				for range 20 { // what is usual, and one retry in the budget
					get(t, client, "http://greeter/")
				}
				if c.closed {
					if err := w.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				slow = true
				sent.Store(0)
				if resp, _ := get(t, client, "http://greeter/"); resp.StatusCode != 200 || sent.Load() != c.want {
					t.Errorf("got %d after %d times, want 200 after %d", resp.StatusCode, sent.Load(), c.want)
				}
				w.Close(t.Context())
			})
		})
	}
}
