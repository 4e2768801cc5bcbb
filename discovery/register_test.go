package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// A call that has to wait for another's write gives up with its caller, or after
// WithTimeout, and what it would have done is not done.
func TestCallsThatWaitForAWriteGiveUp(t *testing.T) {
	for _, c := range []struct {
		what  string
		ended bool // the caller's context
		call  func(ctx context.Context, r Registration) error
		want  []error
	}{
		{"update", true, func(ctx context.Context, r Registration) error {
			return r.Update(ctx, func(in *Instance) { in.Version = "3" })
		}, []error{context.Canceled}},
		{"update", false, func(ctx context.Context, r Registration) error {
			return r.Update(ctx, func(in *Instance) { in.Version = "3" })
		}, []error{ErrUnavailable}},
		{"deregister", true, func(ctx context.Context, r Registration) error { return r.Deregister(ctx) }, []error{context.Canceled}},
		{"deregister", false, func(ctx context.Context, r Registration) error { return r.Deregister(ctx) }, []error{ErrUnavailable}},
		{"drain", true, func(ctx context.Context, r Registration) error { return r.Drain(ctx, time.Hour) }, []error{context.Canceled, ErrUnavailable}},
	} {
		t.Run(fmt.Sprint(c.what, ", ended ", c.ended), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &held{memoryDriver: memoryDriver{NewRegistry()}}
				d := must(New(f.option(), WithTTL(time.Hour), WithTimeout(time.Minute)))
				defer d.Close()
				r := must(d.Register(t.Context(), in("a")))
				f.deaf.Store(true)
				release := f.hold()
				first := make(chan error)
				go func() { first <- r.Update(t.Context(), func(in *Instance) { in.Version = "2" }) }()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.ended {
					cancel()
				}
				err := c.call(ctx, r)
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				}
				release()
				if err := <-first; err != nil {
					t.Errorf("the first: %v", err)
				}
				if s := must(d.Get(t.Context(), "s")); len(s.Instances) != 1 || s.Instances[0].Version != "2" {
					t.Errorf("the registry has %v, want what the first wrote", s.Instances)
				}
			})
		})
	}
}

func TestADrainThatIsGivenUpStillDeregisters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := must(New())
		defer d.Close()
		r := must(d.Register(t.Context(), in("a")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := r.Drain(ctx, time.Hour)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("got %v after %v, want the end of the context after a minute", err, time.Since(began))
		}
		began = time.Now()
		if err := r.Drain(t.Context(), time.Hour); !errors.Is(err, ErrClosed) || time.Since(began) != 0 {
			t.Errorf("once more: %v after %v, want ErrClosed at once", err, time.Since(began))
		}
		if s := must(d.Get(t.Context(), "s")); len(s.Instances) != 0 {
			t.Errorf("left behind: %v", s.Instances)
		}
	})
}

// Who registers while Close takes its time is told, and leaves nothing behind.
func TestRegisteringWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &held{memoryDriver: memoryDriver{NewRegistry()}}
		d := must(New(f.option(), WithTimeout(time.Minute)))
		silent := must(d.Register(t.Context(), in("silent"), NoHeartbeat()))
		must(d.Register(t.Context(), in("a")))
		release := f.hold()
		closed := make(chan error)
		go func() { closed <- d.Close() }()
		synctest.Wait()
		if _, err := d.Register(t.Context(), in("b")); !errors.Is(err, ErrClosed) {
			t.Errorf("Register: %v, want ErrClosed", err)
		}
		if _, err := d.Get(t.Context(), "s"); !errors.Is(err, ErrClosed) {
			t.Errorf("Get: %v, want ErrClosed", err)
		}
		release()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if left := f.m.services["s"].entries; len(left) != 1 || left["silent"].ID != "silent" {
			t.Errorf("the registry has %v, want the one without heartbeats", left)
		}
		if err := silent.Deregister(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Deregister after Close: %v, want ErrClosed", err)
		}
	})
}

// A driver that answers after Close has given up on it has registered for nobody.
func TestARegistrationThatOutlivesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &held{memoryDriver: memoryDriver{NewRegistry()}}
		f.deaf.Store(true)
		d := must(New(f.option(), WithTimeout(time.Minute)))
		release := f.hold()
		entered, closed := make(chan error), make(chan error)
		go func() { _, err := d.Register(t.Context(), in("a")); entered <- err }()
		synctest.Wait()
		go func() { closed <- d.Close() }()
		time.Sleep(2 * time.Minute)
		release()
		if err := <-entered; !errors.Is(err, ErrClosed) {
			t.Errorf("Register: %v, want ErrClosed", err)
		}
		if err := <-closed; !errors.Is(err, ErrUnavailable) {
			t.Errorf("Close: %v, want ErrUnavailable", err)
		}
	})
}

// A call that Close cuts off says so. One that the registry does not answer says for
// how long.
func TestCallsThatAreNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &held{memoryDriver: memoryDriver{NewRegistry()}}
		d := must(New(f.option(), WithTimeout(time.Minute)))
		r := must(d.Register(t.Context(), in("a"), TTL(time.Hour)))
		release := f.hold()
		defer release()
		if _, err := d.Register(t.Context(), in("b")); !errors.Is(err, ErrUnknownOutcome) || !strings.Contains(err.Error(), "no answer within 1m0s") {
			t.Errorf("Register: %v, want ErrUnknownOutcome after a minute", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Register(ctx, in("b")); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Register in the caller's time: %v, want ErrUnknownOutcome and its own deadline", err)
		}
		patient, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		updated := make(chan error)
		go func() { updated <- r.Update(patient, func(in *Instance) { in.Version = "2" }) }()
		synctest.Wait()
		d.Close()
		if err := <-updated; !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "while waiting") {
			t.Errorf("Update: %v, want ErrClosed", err)
		}
	})
}

// Close says what it could not deregister: three of them, and how many more.
func TestCloseNamesAFewThatAreLeft(t *testing.T) {
	for n, want := range map[int]string{2: "", 3: "", 4: "and 1 more", 6: "and 3 more"} {
		f := newFaulty()
		d := must(New(WithDriver("left", func(context.Context) (Driver, error) { return stays{f}, nil })))
		for i := range n {
			must(d.Register(t.Context(), in(fmt.Sprint("i", i))))
		}
		err := d.Close()
		if !errors.Is(err, ErrUnavailable) || strings.Count(err.Error(), "deregister") != min(n, 3) || !strings.HasSuffix(err.Error(), want) || (want == "") != !strings.Contains(err.Error(), "more") {
			t.Errorf("%d are left: %v, want three named, %q", n, err, want)
		}
	}
}

// stays is a registry that forgets nobody.
type stays struct{ *faulty }

func (stays) Deregister(context.Context, Entry) error { return fault.Markf(fault.Unavailable, "down") }

// One id is registered once in a process, whoever else would replace it.
func TestAnIDIsRegisteredOnceInAProcess(t *testing.T) {
	d := must(New())
	defer d.Close()
	r := must(d.Register(t.Context(), in("a")))
	for what, opts := range map[string][]RegisterOption{"again": nil, "to replace it": {Replace()}} {
		if _, err := d.Register(t.Context(), in("a"), opts...); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v, want ErrExists", what, err)
		}
	}
	if err := r.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Register(t.Context(), in("a")); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

// The registry in memory does nothing for a caller who has gone.
func TestMemoryHeedsItsCaller(t *testing.T) {
	m := memoryDriver{NewRegistry()}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	e := Entry{Owner: "o", TTL: time.Hour, Instance: in("a")}
	if err := m.Register(ended, e, never); !errors.Is(err, context.Canceled) || len(m.m.services) != 0 {
		t.Errorf("Register: %v, and %v is there", err, m.m.services)
	}
	if err := m.Register(t.Context(), e, never); err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"Renew": func() error { return m.Renew(ended, e) }, "Deregister": func() error { return m.Deregister(ended, e) },
		"Ping": func() error { return m.Ping(ended) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, ok := m.m.services["s"].held("a", time.Now()); !ok {
		t.Error("it was removed")
	}
	if err := m.Deregister(t.Context(), e); err != nil {
		t.Error(err)
	}
}

// Without heartbeats a registration is good for its TTL: not at its end, but until
// just before.
func TestARegistrationWithoutHeartbeatsSaysWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := must(New())
		defer d.Close()
		r := must(d.Register(t.Context(), in("a"), TTL(time.Minute), NoHeartbeat()))
		time.Sleep(time.Minute - 1)
		if err := r.Err(); err != nil {
			t.Errorf("within its TTL: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := r.Err(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "not confirmed for 1m0s") {
			t.Errorf("at its end: %v", err)
		}
		if err := r.Update(t.Context(), func(*Instance) {}); err != nil || r.Err() != nil {
			t.Errorf("written again: %v, %v", err, r.Err())
		}
	})
}

// A registry that has lost all it knew gets it again with the next heartbeat.
func TestARegistryThatForgotIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewRegistry()
		d := must(New(Memory(m), WithTTL(30*time.Second)))
		defer d.Close()
		must(d.Register(t.Context(), in("a")))
		m.mu.Lock()
		clear(m.services)
		m.mu.Unlock()
		time.Sleep(15 * time.Second)
		if s := must(d.Get(t.Context(), "s")); len(s.Instances) != 1 {
			t.Errorf("got %v", s.Instances)
		}
	})
}

func TestBadRegistrationsAreRefused(t *testing.T) {
	d := must(New())
	for what, c := range map[string]struct {
		in  Instance
		opt RegisterOption
	}{
		"no service": {Instance{ID: "a", Address: "h:1"}, Replace()}, "no address": {Instance{Service: "s"}, Replace()},
		"nil option": {in("a"), nil}, "TTL": {in("a"), TTL(time.Second - 1)},
	} {
		if _, err := d.Register(t.Context(), c.in, c.opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	if _, err := d.Register(t.Context(), in("a"), TTL(time.Second)); err != nil {
		t.Errorf("the least TTL: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Register(gone, in("c")); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if s := must(d.Get(t.Context(), "s")); len(s.Instances) != 1 || s.Instances[0].ID != "a" {
		t.Errorf("the registry has %v, want a", s.Instances)
	}
	if _, err := d.Get(t.Context(), "s", MaxStale(-1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a negative MaxStale: %v, want ErrInvalid", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Register(t.Context(), in("b")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
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

// Close waits once for a registry that does not answer, however much is registered.
func TestCloseWithARegistryThatDoesNotAnswer(t *testing.T) {
	for _, c := range []struct {
		silent bool
		want   time.Duration
	}{{false, 0}, {true, 7 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			f := &held{memoryDriver: memoryDriver{NewRegistry()}}
			d := must(New(f.option(), WithTimeout(7*time.Second)))
			for i := range 40 {
				must(d.Register(t.Context(), in(fmt.Sprint(i))))
			}
			release := f.hold()
			if !c.silent {
				release()
			}
			began := time.Now()
			err := d.Close()
			if took := time.Since(began); took != c.want {
				t.Errorf("silent %t: Close took %s, want %s", c.silent, took, c.want)
			}
			if (err != nil) != c.silent || c.silent && !errors.Is(err, ErrUnavailable) {
				t.Errorf("silent %t: Close: %v", c.silent, err)
			}
			s := f.m.services["s"]
			if there := s != nil && len(s.entries) == 40; there != c.silent {
				t.Errorf("silent %t: all are left in the registry: %t", c.silent, there)
			}
		})
	}
}
