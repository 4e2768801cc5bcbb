package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutageIsCheapAndEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option(), WithRetry(50*time.Millisecond, 5*time.Second)))
		defer d.Close()
		r := must(d.Register(t.Context(), in("a")))
		asOf := must(d.Get(t.Context(), "s")).AsOf
		f.take()
		synctest.Wait()
		began := f.watches.Load()
		time.Sleep(10 * time.Minute)
		s, ok := d.Lookup("s")
		if !ok || s.State != Stale || !s.AsOf.Equal(asOf) || len(s.Instances) != 1 || !errors.Is(s.Err, ErrUnavailable) {
			t.Errorf("after 10 minutes: %+v", s)
		}
		// Waits of 2.5 s on average, at least 50 ms.
		if n := f.watches.Load() - began; n > 600 {
			t.Errorf("%d sessions in 10 minutes", n)
		}
		if err := r.Err(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Err: %v", err)
		}
		// It comes back empty: the instance expired long ago.
		f.give()
		time.Sleep(6 * time.Second)
		s, _ = d.Lookup("s")
		if s.State != Live || len(s.Instances) != 1 || s.Preserved != 0 || s.Err != nil || r.Err() != nil {
			t.Errorf("6 s after it is back: %+v, registration %v", s, r.Err())
		}
	})
}

func TestColdGetFailsFastAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		f.take()
		if _, err := New(f.option()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("New: %v", err)
		}
		if !f.closed.Load() {
			t.Error("a failed New left its driver open")
		}
		d := must(New(f.option(), WithLazy()))
		defer d.Close()
		began := time.Now()
		s, err := d.Get(t.Context(), "s")
		if !errors.Is(err, ErrUnavailable) || s.State != Cold || time.Since(began) > time.Second {
			t.Errorf("%v, %v after %v", s.State, err, time.Since(began))
		}
		if s, ok := d.Lookup("s"); ok || s.State != Cold || s.Err == nil {
			t.Errorf("Lookup: %+v, %t", s, ok)
		}
		// A watch says so and goes on.
		var states []string
		for s, err := range d.Watch(t.Context(), "s") {
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, fmt.Sprint(s.State, s.Err != nil))
			if s.State == Live {
				break
			}
			f.give()
		}
		if got := fmt.Sprint(states); got != "[cold true live false]" {
			t.Errorf("watched %s", got)
		}
		must(d.Get(t.Context(), "s"))
	})
}

func TestUpdateDuringAnOutageIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		r := must(d.Register(t.Context(), in("a")))
		must(d.Get(t.Context(), "s"))
		f.take()
		if err := r.Update(t.Context(), func(in *Instance) { in.Version = "2" }); !errors.Is(err, ErrUnavailable) {
			t.Errorf("update: %v", err)
		}
		f.give()
		time.Sleep(10 * time.Second)
		if s, _ := d.Lookup("s"); len(s.Instances) != 1 || s.Instances[0].Version != "2" {
			t.Errorf("got %+v", s.Instances)
		}
	})
}

func TestAnOutageIsOneWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		f := newFaulty()
		d := must(New(f.option(), WithLogger(slog.New(slog.NewTextHandler(&out, nil)))))
		for _, name := range []string{"a", "b", "c"} {
			must(d.Get(t.Context(), name))
		}
		for range 2 {
			f.take()
			time.Sleep(time.Minute)
			f.give()
			time.Sleep(time.Minute)
		}
		d.Close()
		if away, back := strings.Count(out.String(), "level=WARN"), strings.Count(out.String(), "level=INFO"); away != 2 || back != 2 {
			t.Errorf("%d warnings and %d of their ends for two outages of three services:\n%s", away, back, out.String())
		}
	})
}

// MaxStale says why it can't be had: what the registry said, or that it says
// nothing; then what is known is given all the same.
func TestMaxStaleWithoutTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		must(d.Get(t.Context(), "s"))
		f.take()
		synctest.Wait()
		s, err := d.Get(t.Context(), "s", MaxStale(0))
		if !errors.Is(err, ErrStale) || !errors.Is(err, ErrUnavailable) || len(s.Instances) != 1 {
			t.Errorf("it is down: %v, %v", s.Instances, err)
		}
		if s, err := d.Get(t.Context(), "s", MaxStale(time.Hour)); err != nil || s.State != Stale {
			t.Errorf("an hour is enough: %v, %v", s.State, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := &held{memoryDriver: memoryDriver{NewRegistry()}}
		d := must(New(f.option(), WithTimeout(time.Minute)))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		must(d.Get(t.Context(), "s"))
		release := f.hold()
		defer release()
		s, err := d.Get(t.Context(), "s", MaxStale(0))
		if !errors.Is(err, ErrStale) || len(s.Instances) != 1 {
			t.Errorf("no answer: %v, %v, want ErrStale and what is known", s.Instances, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err = d.Get(ctx, "s", MaxStale(0))
		if !errors.Is(err, ErrStale) || !errors.Is(err, context.DeadlineExceeded) || len(s.Instances) != 1 {
			t.Errorf("no answer in the caller's time: %v, %v", s.Instances, err)
		}
	})
}

// Who waits for a first answer when the program closes is told so.
func TestCloseEndsAGetThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &held{memoryDriver: memoryDriver{NewRegistry()}}
		d := must(New(f.option(), WithTimeout(time.Hour)))
		release := f.hold()
		defer release()
		got := make(chan error)
		go func() { _, err := d.Get(t.Context(), "s"); got <- err }()
		synctest.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}
