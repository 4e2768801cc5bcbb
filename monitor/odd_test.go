package monitor_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/monitor"
)

// oddError is an error whose nil pointer can't say what it is.
type oddError struct{ text string }

func (e *oddError) Error() string { return e.text }

// sliceError is an error that can't be compared.
type sliceError []string

func (e sliceError) Error() string { return strings.Join(e, ", ") }

// A check that returns an error of whatever kind has failed, and the monitor goes on.
func TestErrorsOfTheUsersOwn(t *testing.T) {
	var none *oddError
	for name, c := range map[string]struct {
		err  error
		want monitor.State
		text string
	}{
		"nil":           {nil, monitor.Pass, ""},
		"a pointer":     {&oddError{"bad"}, monitor.Fail, "bad"},
		"a nil pointer": {none, monitor.Fail, "panic: "},
		"a slice":       {sliceError{"bad", "worse"}, monitor.Fail, "bad, worse"},
		"degraded":      {monitor.Degraded(sliceError{"slow"}), monitor.Warn, "slow"},
	} {
		synctest.Test(t, func(t *testing.T) {
			mo := start(t)
			runs := 0
			register(t, mo, monitor.Check{Name: "odd", Interval: time.Second, FailAfter: 1, Func: func(context.Context) error { runs++; return c.err }})
			time.Sleep(time.Minute)
			res := mo.Status().Checks[0]
			if res.State != c.want || !strings.HasPrefix(res.Error, c.text) || runs < 50 {
				t.Errorf("%s: %+v after %d runs, want %v with %q", name, res, runs, c.want, c.text)
			}
		})
	}
}

// A function of WithExpected that panics does not know.
func TestExpectedMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t, monitor.WithInstance(monitor.Instance{ID: "a", Service: "orders"}),
			monitor.WithExpected(func(service string) ([]string, bool) {
				if service == "panics" {
					panic("boom")
				}
				return []string{"a"}, true
			}))
		time.Sleep(time.Second)
		for service, want := range map[string]int{"orders": 1, "panics": -1} {
			if v := mo.Cluster().View(service); v.Expected != want {
				t.Errorf("%s: %d expected, want %d", service, v.Expected, want)
			}
		}
	})
}

// swallows is a backend that takes everything and, once it is silent, answers nothing.
type swallows struct{ silent atomic.Bool }

func (d *swallows) Publish(ctx context.Context, _ monitor.Report) error {
	if !d.silent.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}
func (d *swallows) Watch(ctx context.Context, _ func(monitor.Report)) error {
	<-ctx.Done()
	return ctx.Err()
}
func (d *swallows) Ping(context.Context) error { return nil }
func (d *swallows) Close() error               { return nil }

// The goodbye to a backend that does not answer takes one interval, whatever time
// Close has.
func TestCloseWithABackendThatAnswersNothing(t *testing.T) {
	for _, c := range []struct {
		silent      bool
		time, takes time.Duration // time 0: no deadline
	}{
		{false, 0, 0}, {true, 0, 3 * time.Second}, {true, time.Minute, 3 * time.Second}, {true, time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &swallows{}
			mo, err := monitor.New(monitor.WithService("orders"), monitor.WithInterval(3*time.Second),
				monitor.WithDriver("swallows", func(context.Context) (monitor.Driver, error) { return d, nil }))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			d.silent.Store(c.silent)
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if c.time > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.time)
			}
			defer cancel()
			began := time.Now()
			err = mo.Close(ctx)
			if took := time.Since(began); took != c.takes {
				t.Errorf("%+v: Close took %s: %v", c, took, err)
			}
			if (err != nil) != c.silent {
				t.Errorf("%+v: Close: %v", c, err)
			}
		})
	}
}
