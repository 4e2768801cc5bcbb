package discovery

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// oddDriver is a driver as users write them: a value that can't be compared, one of whose
// calls panics, hangs, or returns what makes no sense.
type oddDriver struct {
	memoryDriver
	now []atomic.Pointer[oddCall]
}

type oddFunc = func(ctx context.Context, deliver func(Update)) error

// oddCall is what one call does, until it ends.
type oddCall struct {
	name  string
	do    oddFunc
	ended chan struct{}
}

// does makes the call of a name do something else, in new sessions.
func (d oddDriver) does(name string, do oddFunc) {
	old := d.now[0].Swap(&oddCall{name, do, make(chan struct{})})
	if old != nil {
		close(old.ended)
	}
}

func (d oddDriver) call(ctx context.Context, name string, deliver func(Update), well func() error) error {
	if c := d.now[0].Load(); c.do != nil && c.name == name {
		return c.do(ctx, deliver)
	}
	return well()
}

func (d oddDriver) Ping(ctx context.Context) error {
	return d.call(ctx, "ping", nil, func() error { return d.memoryDriver.Ping(ctx) })
}

func (d oddDriver) Renew(ctx context.Context, e Entry) error {
	return d.call(ctx, "renew", nil, func() error { return d.memoryDriver.Renew(ctx, e) })
}

func (d oddDriver) Watch(ctx context.Context, service string, deliver func(Update)) error {
	session, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := d.now[0].Load().ended
	go func() {
		select {
		case <-ended:
			cancel()
		case <-session.Done():
		}
	}()
	return d.call(session, "watch", deliver, func() error { return d.memoryDriver.Watch(session, service, deliver) })
}

// nilError is an error whose nil pointer can't say what it is; manyErrors can't be compared.
type (
	nilError   struct{ text string }
	manyErrors []string
)

func (e *nilError) Error() string  { return e.text }
func (e manyErrors) Error() string { return strings.Join(e, ", ") }

// What a driver of the user's own does ends no process: the registration and the snapshot
// say what is wrong, in words, and both are well again once the driver is.
func TestDriversOfTheUsersOwn(t *testing.T) {
	boom := errors.New("boom")
	var none *nilError
	fails := func(err error) oddFunc { return func(context.Context, func(Update)) error { return err } }
	set := func(u Update) oddFunc {
		return func(ctx context.Context, deliver func(Update)) error {
			u.Instances = []Instance{in("a")}
			deliver(u)
			<-ctx.Done()
			return ctx.Err()
		}
	}
	for name, c := range map[string]struct {
		call  string
		do    oddFunc
		beats string // in Registration.Err while it lasts; "": none
		seen  string // in Snapshot.Err
	}{
		"well":                   {"", nil, "", ""},
		"renew, an error":        {"renew", fails(boom), "boom", ""},
		"renew, a slice":         {"renew", fails(manyErrors{"bad", "worse"}), "bad, worse", ""},
		"renew, a nil pointer":   {"renew", fails(none), "panic: ", ""},
		"renew panics":           {"renew", func(context.Context, func(Update)) error { panic(boom) }, "panic: boom", ""},
		"renew hangs":            {"renew", func(ctx context.Context, _ func(Update)) error { <-ctx.Done(); return ctx.Err() }, "deadline exceeded", ""},
		"ping panics":            {"ping", func(context.Context, func(Update)) error { panic(none) }, "", ""},
		"ping, a nil pointer":    {"ping", fails(none), "", ""},
		"watch, nothing":         {"watch", fails(nil), "", "ended the watch"},
		"watch, a slice":         {"watch", fails(manyErrors{"bad", "worse"}), "", "bad, worse"},
		"watch, a nil pointer":   {"watch", fails(none), "", "panic: "},
		"watch panics":           {"watch", func(context.Context, func(Update)) error { panic(boom) }, "", "panic: boom"},
		"watch, a TTL panics":    {"watch", set(Update{TTL: func(string) time.Duration { panic(boom) }}), "", "panic: boom"},
		"watch, stale":           {"watch", set(Update{Stale: manyErrors{"cut", "off"}}), "", "cut, off"},
		"watch, stale, nil":      {"watch", set(Update{Stale: none}), "", "panic: "},
		"watch, stale, panics":   {"watch", set(Update{Stale: boom, TTL: func(string) time.Duration { panic(none) }}), "", "panic: "},
		"watch, nothing to keep": {"watch", func(_ context.Context, deliver func(Update)) error { deliver(Update{Same: true}); return boom }, "", "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				driver := oddDriver{memoryDriver{NewRegistry()}, make([]atomic.Pointer[oddCall], 1)}
				driver.does("", nil)
				d, err := New(WithDriver("odd", func(context.Context) (Driver, error) { return driver, nil }), WithTTL(time.Minute), WithIdle(24*time.Hour), WithRetry(time.Second, time.Second))
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				r, err := d.Register(t.Context(), in("a"))
				if err != nil {
					t.Fatal(err)
				}
				if s, err := d.Get(t.Context(), "s"); err != nil || len(s.Instances) != 1 {
					t.Fatalf("%v, %v", s, err)
				}
				says := func(what string, err error, want string) {
					t.Helper()
					if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v, want %q", what, err, want)
					}
				}
				driver.does(c.call, c.do)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				says("Registration.Err", r.Err(), c.beats)
				s, ok := d.Lookup("s")
				if !ok {
					t.Fatal("it is not followed any more")
				}
				says("Snapshot.Err", s.Err, c.seen)
				driver.does("", nil)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				says("later, Registration.Err", r.Err(), "")
				s, _ = d.Lookup("s")
				says("later, Snapshot.Err", s.Err, "")
				if len(s.Instances) != 1 {
					t.Errorf("later there are %v", s.Instances)
				}
				if err := d.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		})
	}
}

func TestNoDriver(t *testing.T) {
	var none *oddPointer
	for name, opt := range map[string]Option{
		"nil":         WithDriver("odd", func(context.Context) (Driver, error) { return nil, nil }),
		"nil pointer": WithDriver("odd", func(context.Context) (Driver, error) { return none, nil }),
		"an error":    WithDriver("odd", func(context.Context) (Driver, error) { return nil, errors.New("bad") }),
		"no function": WithDriver("odd", nil),
		"no name":     WithDriver("", func(context.Context) (Driver, error) { return oddDriver{}, nil }),
		"no registry": Memory(nil),
		"no logger":   WithLogger(nil),
		"nil option":  nil,
	} {
		if d, err := New(opt); d != nil || !errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), "discovery") {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}

type oddPointer struct{ Driver }

// A function of Update that panics changes nothing, and keeps nobody else from changing.
func TestAChangeMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r, err := d.Register(t.Context(), in("a"))
		if err != nil {
			t.Fatal(err)
		}
		update := func(f func(*Instance)) (thrown any) {
			defer func() { thrown = recover() }()
			err := r.Update(t.Context(), f)
			if err != nil {
				t.Error(err)
			}
			return nil
		}
		if got := update(func(in *Instance) { in.Version = "bad"; panic("boom") }); got != "boom" {
			t.Errorf("Update threw %v", got)
		}
		if v := r.Instance().Version; v != "" {
			t.Errorf("it has the version %q of a change that panicked", v)
		}
		if got := update(func(in *Instance) { in.Version = "2" }); got != nil || r.Instance().Version != "2" {
			t.Errorf("then: %v, %+v", got, r.Instance())
		}
		s, err := d.Get(t.Context(), "s", MaxStale(0))
		if err != nil || len(s.Instances) != 1 || s.Instances[0].Version != "2" {
			t.Errorf("%+v, %v", s.Instances, err)
		}
		if _, err := d.Register(t.Context(), in("b"), nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("Register with a nil option: %v", err)
		}
		if _, err := d.Get(t.Context(), "s", nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("Get with a nil option: %v", err)
		}
	})
}
