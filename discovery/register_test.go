package discovery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

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
			memory, said := NewRegistry(), ""
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
