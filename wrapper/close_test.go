package wrapper_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/wrapper"
)

// swallowed is a registration in a registry that accepts everything and, if it is
// silent, answers nothing.
type swallowed struct {
	*listed
	silent bool
}

func (s swallowed) Deregister(ctx context.Context) error {
	if !s.silent {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// A silent registry took all the time that Close had, one registration after the
// other, and the calls in progress were cut off.
func TestCloseWithARegistryThatAnswersNothing(t *testing.T) {
	const none = time.Duration(0)
	for name, c := range map[string]struct {
		silent            bool
		time, call, takes time.Duration
	}{
		"it answers":                  {false, 20 * time.Second, 4 * time.Second, 4 * time.Second},
		"silent, no deadline":         {true, none, none, 5 * time.Second},
		"silent, much time":           {true, time.Minute, none, 5 * time.Second},
		"silent, 20 s":                {true, 20 * time.Second, none, 5 * time.Second},
		"silent, a quarter of 8 s":    {true, 8 * time.Second, none, 2 * time.Second},
		"silent, and a call of 10 s":  {true, 20 * time.Second, 10 * time.Second, 10 * time.Second},
		"silent, the call just ends":  {true, 20 * time.Second, 18 * time.Second, 18 * time.Second},
		"silent, and a call too long": {true, 20 * time.Second, 19 * time.Second, 18500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := []wrapper.Option{wrapper.WithName("orders"), wrapper.WithDrain(1)}
				for range 3 {
					opts = append(opts, wrapper.WithRegistration(swallowed{&listed{in: discovery.Instance{Service: "orders"}}, c.silent}))
				}
				w, err := wrapper.New(opts...)
				if err != nil {
					t.Fatal(err)
				}
				served := w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(c.call) }))
				go served.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				synctest.Wait()
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if c.time != none {
					ctx, cancel = context.WithTimeout(ctx, c.time)
				}
				defer cancel()
				began := time.Now()
				err = w.Close(ctx)
				if took := time.Since(began).Round(time.Millisecond); took != c.takes {
					t.Errorf("Close took %s, want %s", took, c.takes)
				}
				said := err != nil && strings.Contains(err.Error(), "no answer within")
				if said != c.silent {
					t.Errorf("Close: %v, want it to say that the registry does not answer: %t", err, c.silent)
				}
				if cut := err != nil && strings.Contains(err.Error(), "1 calls in progress"); cut != (c.call > c.takes) {
					t.Errorf("Close: %v, want the call cut off: %t", err, c.call > c.takes)
				}
				synctest.Wait()
				time.Sleep(time.Minute)
			})
		})
	}
}

// stuck is a monitor with a check that does not return.
type stuck struct{ phases }

func (stuck) Close(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// flushed is a log that notes whether it had time to flush.
type flushed struct {
	log.Log
	left time.Duration
}

func (f *flushed) Close(ctx context.Context) error {
	end, _ := ctx.Deadline()
	f.left = time.Until(end)
	return errors.Join(ctx.Err(), f.Log.Close(ctx))
}

// A part that does not close in time takes half of it, not that of the log.
func TestCloseLeavesTimeForTheOtherParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := log.New(log.ToWriter(&strings.Builder{}, log.JSON()))
		if err != nil {
			t.Fatal(err)
		}
		l := &flushed{Log: inner}
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithDrain(1), wrapper.WithLog(l), wrapper.WithMonitor(stuck{phases{ready: make(chan bool)}}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want one that says what did not close", err)
		}
		if l.left.Round(time.Millisecond) != 4*time.Second {
			t.Errorf("the log had %s left, want 4s", l.left)
		}
	})
}

// Calls that have no time left are counted before what WithOnDrain gave, such as a
// server's Shutdown, cuts them off.
func TestCallsAreCountedBeforeTheyAreCutOff(t *testing.T) {
	for range 200 { // the order of two goroutines
		synctest.Test(t, func(t *testing.T) {
			cut := make(chan struct{})
			w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithDrain(1), wrapper.WithOnDrain(func(ctx context.Context) error {
				<-ctx.Done()
				close(cut)
				synctest.Wait() // the call has ended
				return ctx.Err()
			}))
			if err != nil {
				t.Fatal(err)
			}
			served := w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-cut }))
			go served.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err = w.Close(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 calls in progress") {
				t.Fatalf("Close: %v, want it to say that one call was in progress", err)
			}
		})
	}
}
