package monitor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// skewed is a backend on which everybody else's clock is wrong by some time.
type skewed struct {
	Driver
	by time.Duration
}

func (s skewed) Watch(ctx context.Context, f func(Report)) error {
	return s.Driver.Watch(ctx, func(r Report) {
		r.At = r.At.Add(s.by).UTC().Round(0)
		r.Status.Since = r.Status.Since.Add(s.by).UTC().Round(0)
		f(r)
	})
}

func TestClocksThatDifferMakeNoDifference(t *testing.T) {
	for _, by := range []time.Duration{-365 * 24 * time.Hour, 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := NewReports()
			open := func(id string) Monitor {
				mo, err := New(WithInstance(Instance{ID: id, Service: "orders"}), WithExpected(func(string) ([]string, bool) { return []string{"a", "b"}, true }),
					WithDriver("skewed", func(context.Context) (Driver, error) { return skewed{m.Driver(), by}, nil }))
				if err != nil {
					t.Fatal(err)
				}
				return mo
			}
			a, b := open("a"), open("b")
			time.Sleep(time.Minute)
			if v := a.Cluster().View("orders"); v.Verdict != Pass || v.Pass != 2 {
				t.Errorf("clocks that differ by %v: %+v, want two that pass", by, v)
			}
			if err := errors.Join(a.Close(t.Context()), b.Close(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInstanceWhoseClockWasSetBackIsSeenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(Instance{ID: "me", Service: "orders"}, Policy{}, func(string) ([]string, bool) { return []string{"b"}, true })
		report := func(start, n uint64, phase Phase) Report {
			return Report{Status: Status{Instance: Instance{ID: "b", Service: "orders"}, Phase: phase, Ready: true, State: Pass}, Seq: start<<seqBits + n, TTL: 15 * time.Second}
		}
		phase := func() Phase { return c.View("orders").Members[0].Status.Phase }
		c.take(report(1000, 7, Draining))
		c.take(report(1000, 6, Starting)) // late
		c.take(report(900, 1, Running))   // of the process before, late
		if p := phase(); p != Draining {
			t.Errorf("late reports count: %v", p)
		}
		time.Sleep(15 * time.Second)
		c.take(report(900, 1, Running)) // just not silent
		if p := phase(); p != Draining {
			t.Errorf("one of the process before counts before there was silence: %v", p)
		}
		time.Sleep(time.Nanosecond)
		c.take(report(1000, 6, Starting))
		if p := phase(); p != Draining {
			t.Errorf("late reports count after silence: %v", p)
		}
		c.take(report(900, 2, Running)) // it began again, an hour earlier by its clock
		if p := phase(); p != Running {
			t.Errorf("the instance that began again is ignored: %v", p)
		}
	})
}

// A clock that is set while the process runs moves wall times only. What ages
// are measured from must therefore have Go's monotonic reading, which String
// shows as "m=".
func TestAgesDoNotDependOnTheWallClock(t *testing.T) {
	r := newRunner(Check{Name: "db", Func: func(context.Context) error { return nil }, Interval: time.Minute, Timeout: time.Second}, func() {})
	r.finish(nil, 0)
	c := newCluster(Instance{ID: "a", Service: "orders"}, Policy{}, nil)
	c.take(Report{Status: Status{Instance: Instance{ID: "b", Service: "orders"}}, Seq: 1, TTL: time.Second})
	for what, at := range map[string]time.Time{
		"freshness of a check":     r.fresh,
		"when a check was made":    r.made,
		"when a loop was made":     newLoop("l", time.Second).epoch,
		"when a report was heard":  c.services["orders"]["b"].at,
		"the beginning of numbers": newRecorder(1).start,
	} {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s is %v, without a monotonic reading", what, at)
		}
	}
}

// stuck is a backend that never answers.
type stuck struct{}

func (stuck) Publish(ctx context.Context, _ Report) error     { <-ctx.Done(); return ctx.Err() }
func (stuck) Watch(ctx context.Context, _ func(Report)) error { <-ctx.Done(); return ctx.Err() }
func (stuck) Ping(context.Context) error                      { return nil }
func (stuck) Close() error                                    { return nil }

func TestBackendThatHangsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err := New(WithService("orders"), WithDriver("stuck", func(context.Context) (Driver, error) { return stuck{}, nil }))
		if err != nil {
			t.Fatal(err)
		}
		if err := mo.Register(Check{Name: "db", Func: func(context.Context) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		before := time.Now()
		mo.Observe(Endpoint{Method: "m"}, time.Millisecond, nil)
		if s := mo.Status(); !s.Ready || s.State != Pass {
			t.Errorf("status %+v, want ready", s)
		}
		mo.SetPhase(Draining)
		if mo.Status().Ready || len(mo.Stats().Endpoints) != 1 {
			t.Error("the phase, or an observation, was lost")
		}
		if d := time.Since(before); d != 0 { // the clock of synctest moves only when everybody waits
			t.Errorf("it took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		mo.Close(ctx)
	})
}
