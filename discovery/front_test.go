package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// faulty is a memory registry that can be taken away and counts what is asked.
type faulty struct {
	memoryDriver
	down    atomic.Bool
	lost    atomic.Pointer[chan struct{}] // closed: sessions fail
	watches atomic.Int32                  // sessions begun
	open    atomic.Int32                  // sessions in progress
	writes  atomic.Int32
	closed  atomic.Bool
}

func newFaulty() *faulty {
	d := &faulty{memoryDriver: memoryDriver{NewMemory()}}
	d.give()
	return d
}

func (d *faulty) option() Option {
	return WithDriver("faulty", func(context.Context) (Driver, error) { return d, nil })
}

func (d *faulty) err() error {
	if d.down.Load() {
		return fault.Markf(fault.Unavailable, "down")
	}
	return nil
}

func (d *faulty) Ping(context.Context) error { return d.err() }
func (d *faulty) Close() error               { d.closed.Store(true); return nil }

func (d *faulty) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	d.writes.Add(1)
	if err := d.err(); err != nil {
		return err
	}
	return d.memoryDriver.Register(ctx, e, replace)
}

func (d *faulty) Renew(ctx context.Context, e Entry) error {
	d.writes.Add(1)
	if err := d.err(); err != nil {
		return err
	}
	return d.memoryDriver.Renew(ctx, e)
}

func (d *faulty) Watch(ctx context.Context, service string, deliver func(Update)) error {
	d.watches.Add(1)
	if err := d.err(); err != nil {
		return err
	}
	d.open.Add(1)
	defer d.open.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := *d.lost.Load()
	go func() {
		select {
		case <-lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := d.memoryDriver.Watch(ctx, service, deliver)
	if e := d.err(); e != nil {
		return e
	}
	return err
}

// take takes the registry away, give brings it back.
func (d *faulty) take() { d.down.Store(true); close(*d.lost.Load()) }
func (d *faulty) give() { c := make(chan struct{}); d.lost.Store(&c); d.down.Store(false) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func in(id string) Instance { return Instance{Service: "s", ID: id, Address: "h:1"} }

func TestLookupDoesNotAllocate(t *testing.T) {
	d := must(New())
	defer d.Close()
	must(d.Register(t.Context(), in("a")))
	must(d.Get(t.Context(), "s"))
	name := strings.Clone("s")
	if n := testing.AllocsPerRun(1000, func() {
		if s, ok := d.Lookup(name); !ok || len(s.Instances) != 1 {
			t.Fatal("not there")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryoneInAProcessSharesOneWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		ctx, cancel := context.WithCancel(t.Context())
		for range 10 {
			go func() {
				for range d.Watch(ctx, "s") {
				}
			}()
			for range 100 {
				must(d.Get(t.Context(), "s"))
				d.Lookup("s")
			}
		}
		synctest.Wait()
		if n := f.watches.Load(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
		if s, ok := d.Lookup("other"); ok || f.watches.Load() != 1 {
			t.Errorf("Lookup of another service: %v, or it began to watch", s)
		}
		cancel()
	})
}

func TestWhatNobodyAsksForIsNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option(), WithIdle(time.Minute)))
		defer d.Close()
		for _, name := range []string{"got", "looked-up", "watched"} {
			must(d.Get(t.Context(), name))
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range d.Watch(ctx, "watched") {
			}
		}()
		for range 20 {
			time.Sleep(10 * time.Second)
			d.Lookup("looked-up")
		}
		if n := f.open.Load(); n != 2 {
			t.Errorf("%d sessions after 200 s, want those of what is asked for, 2", n)
		}
		if _, ok := d.Lookup("got"); ok {
			t.Error("an idle service is still there")
		}
		cancel()
		time.Sleep(2 * time.Minute)
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d sessions, want none", n)
		}
		if s := must(d.Get(t.Context(), "got")); s.State != Live {
			t.Errorf("asked again: %v", s.State)
		}
	})
}

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

func TestCallersCannotReachIntoARegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := must(New())
		defer d.Close()
		given := in("a")
		given.Labels, given.Endpoints = map[string]string{"k": "v"}, []string{"e"}
		r := must(d.Register(t.Context(), given))
		given.Labels["k"], given.Endpoints[0] = "changed", "changed"
		r.Instance().Labels["k"] = "changed"
		if err := r.Update(t.Context(), func(in *Instance) { in.Labels["k"] = "bad"; in.Weight = -1 }); !errors.Is(err, ErrInvalid) {
			t.Errorf("a bad update: %v", err)
		}
		s := must(d.Get(t.Context(), "s"))
		if got := s.Instances[0]; got.Labels["k"] != "v" || got.Endpoints[0] != "e" {
			t.Errorf("got %+v", got)
		}
		// A snapshot never changes.
		if err := r.Update(t.Context(), func(in *Instance) { in.Labels["k"] = "v2" }); err != nil {
			t.Fatal(err)
		}
		if s.Instances[0].Labels["k"] != "v" {
			t.Error("an old snapshot changed")
		}
	})
}

func TestIdleRegistrationSendsFiveHeartbeatsInTwoTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option(), WithTTL(30*time.Second)))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		must(d.Get(t.Context(), "s"))
		time.Sleep(10 * time.Minute)
		if n := f.writes.Load(); n < 49 || n > 52 {
			t.Errorf("%d writes in 10 minutes, want 50 with a twentieth of jitter", n)
		}
		if n := f.watches.Load(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
	})
}

func TestManyWaitersOfMaxStaleShareOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(f.option()))
		defer d.Close()
		must(d.Get(t.Context(), "s"))
		before := f.watches.Load()
		time.Sleep(time.Minute)
		done := make(chan error)
		for range 50 {
			go func() {
				_, err := d.Get(t.Context(), "s", MaxStale(time.Second))
				done <- err
			}()
		}
		for range 50 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := f.watches.Load() - before; n > 2 {
			t.Errorf("%d sessions for 50 callers", n)
		}
	})
}

func TestBadOptionsAreErrors(t *testing.T) {
	for what, opts := range map[string][]Option{
		"nil":               {nil},
		"no memory":         {WithMemory(nil)},
		"two backends":      {WithMemory(NewMemory()), WithMemory(NewMemory())},
		"no driver":         {WithDriver("x", nil)},
		"a namespace":       {WithNamespace("a/b")},
		"an empty one":      {WithNamespace("")},
		"a TTL":             {WithTTL(time.Millisecond)},
		"a timeout":         {WithTimeout(0)},
		"a dial timeout":    {WithDialTimeout(-1)},
		"an idle time":      {WithIdle(0)},
		"a share":           {WithPreservation(2, time.Second)},
		"a limit":           {WithPreservation(0.5, 0)},
		"retry":             {WithRetry(time.Second, time.Millisecond)},
		"a logger":          {WithLogger(nil)},
		"open's own":        {WithDriver("x", func(context.Context) (Driver, error) { return nil, errors.New("malformed") })},
		"a later one":       {WithLazy(), nil},
		"a logger that is.": {WithLogger(slog.New(slog.DiscardHandler)), nil},
	} {
		d, err := New(opts...)
		if !errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), "discovery") {
			t.Errorf("%s: got %v, want an ErrInvalid of discovery", what, err)
		}
		if err == nil {
			d.Close()
		}
	}
}

func TestStatusText(t *testing.T) {
	for s := Up; s <= Down; s++ {
		text, err := s.MarshalText()
		var back Status
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v: %s, %v, %v", s, text, err, back)
		}
	}
	var s Status
	if s.UnmarshalText([]byte("odd")) == nil {
		t.Error("an unknown status is read")
	}
}

func BenchmarkLookup(b *testing.B) {
	d := must(New())
	defer d.Close()
	for i := range 200 {
		must(d.Get(b.Context(), fmt.Sprintf("service-%d", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := d.Lookup("service-77"); !ok {
			b.Fatal("not there")
		}
	}
}

func BenchmarkLookupParallel(b *testing.B) {
	d := must(New())
	defer d.Close()
	must(d.Get(b.Context(), "service-77"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Lookup("service-77")
		}
	})
}

// unsure applies registrations and loses the answers.
type unsure struct{ *faulty }

func (d unsure) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	if err := d.faulty.Register(ctx, e, replace); err != nil {
		return err
	}
	return fault.Markf(fault.UnknownOutcome, "the answer is lost")
}

func TestARegistrationOfUnknownOutcomeIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaulty()
		d := must(New(WithDriver("unsure", func(context.Context) (Driver, error) { return unsure{f}, nil }), WithTTL(time.Hour)))
		defer d.Close()
		if _, err := d.Register(t.Context(), in("a")); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("register: %v", err)
		}
		synctest.Wait()
		if s := must(d.Get(t.Context(), "s")); len(s.Instances) != 0 {
			t.Errorf("left behind: %v", s.Instances)
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

// broken is a memory registry one of whose calls fails, without an effect.
type broken struct {
	memoryDriver
	fails string // "register 2" is the second
	calls map[string]int
}

func (d *broken) call(what string) error {
	d.calls[what]++
	if fmt.Sprint(what, " ", d.calls[what]) == d.fails {
		return fault.Markf(fault.Unavailable, "%s fails", d.fails)
	}
	return nil
}

func (d *broken) Ping(context.Context) error { return d.call("ping") }

func (d *broken) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	if err := d.call("register"); err != nil {
		return err
	}
	return d.memoryDriver.Register(ctx, e, replace)
}

func (d *broken) Deregister(ctx context.Context, e Entry) error {
	if err := d.call("deregister"); err != nil {
		return err
	}
	return d.memoryDriver.Deregister(ctx, e)
}

func (d *broken) Services(ctx context.Context) ([]string, error) {
	if err := d.call("services"); err != nil {
		return nil, err
	}
	return d.memoryDriver.Services(ctx)
}

// Each call of the driver fails once: the caller's call says so and no other
// does, and what is left in the registry is what was not removed.
func TestTheFailureOfEachCall(t *testing.T) {
	for _, c := range []struct{ fails, says string }{
		{"ping 1", "open"}, {"register 1", "register"}, {"register 2", "update"}, {"services 1", "services"},
		{"deregister 1", "deregister"}, {"register 4", "drain"}, {"deregister 2", "drain"}, {"deregister 3", "close"}, {"nothing", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			memory, said := NewMemory(), ""
			f := &broken{memoryDriver{memory}, c.fails, map[string]int{}}
			try := func(what string, call func() error) {
				if err := call(); err != nil {
					if said += what; !errors.Is(err, ErrUnavailable) {
						t.Errorf("%s fails: %s says %v", c.fails, what, err)
					}
				}
			}
			var d Discovery
			open := func() (err error) {
				d, err = New(WithDriver("broken", func(context.Context) (Driver, error) { return f, nil }))
				return err
			}
			if try("open", open); d == nil {
				try("open", open)
			}
			var r Registration
			register := func(id string) {
				enter := func() (err error) { r, err = d.Register(t.Context(), in(id)); return err }
				if try("register", enter); r == nil {
					try("register", enter)
				}
			}
			left := func(what string, want int) {
				if got := len(memory.services); got != want {
					t.Errorf("%s fails: %d services after %s, want %d", c.fails, got, what, want)
				}
			}
			register("a")
			try("update", func() error { return r.Update(t.Context(), func(in *Instance) { in.Version = "2" }) })
			try("services", func() error { _, err := d.Services(t.Context()); return err })
			try("deregister", func() error { return r.Deregister(t.Context()) })
			if said == "deregister" {
				left("a failed deregister", 1)
			}
			try("deregister again", func() error { return r.Deregister(t.Context()) })
			left("deregister", 0)
			register("b")
			try("drain", func() error { return r.Drain(t.Context(), time.Second) })
			try("deregister after drain", func() error { return r.Deregister(t.Context()) })
			left("drain", 0)
			register("c")
			try("close", d.Close)
			left("close", map[bool]int{true: 1}[said == "close"])
			if said != c.says {
				t.Errorf("%s fails: %q said so, want %q", c.fails, said, c.says)
			}
		})
	}
}
