package platform_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/wrapper"
)

// Servers, rings and drivers as users write them: values that can't be compared, whose
// methods panic.
type (
	oddServer struct {
		serve    []func(net.Listener) error
		shutdown func() error
	}
	oddRing struct {
		driver []kv.Driver
		leave  func() error
	}
	oddDriver struct {
		kv.Driver
		close []func() error
	}
)

func (oddServer) Address() string { return "127.0.0.1:0" }
func (s oddServer) Serve(l net.Listener, _ *wrapper.Wrapper, _ monitor.Monitor) error {
	return s.serve[0](l)
}
func (s oddServer) Shutdown(context.Context) error { return s.shutdown() }

func (r oddRing) Join(discovery.Discovery, *discovery.Instance, *slog.Logger) (kv.Option, error) {
	return oddStore(r.driver[0]), nil
}
func (oddRing) Handler(next http.Handler) http.Handler { return next }
func (oddRing) Listener(l net.Listener) net.Listener   { return l }
func (r oddRing) Leave(context.Context) error          { return r.leave() }
func (oddRing) Close() error                           { return nil }

func (d oddDriver) Close() error { return d.close[0]() }

func oddStore(d kv.Driver) kv.Option {
	return kv.WithDriver("odd", func(context.Context) (kv.Driver, error) { return d, nil })
}

// A program stops in order when something that it was given panics: it is no longer
// registered, its parts are closed, and Run says what happened.
func TestWhatAProgramIsGivenMayPanic(t *testing.T) {
	boom := errors.New("boom")
	blow := func() error { panic(boom) }
	well := func() error { return nil } // also as a Shutdown: Run closes what it listens on
	serve := func(l net.Listener) error {
		for {
			c, err := l.Accept()
			if err != nil {
				return nil
			}
			c.Close()
		}
	}
	stopped := func(ctx context.Context) error { <-ctx.Done(); return nil }
	memory, err := kv.NewMemoryDriver()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	type program struct {
		server oddServer
		job    func(context.Context) error
		ring   oddRing
		close  func() error
	}
	for name, c := range map[string]struct {
		change func(p *program)
		itself bool   // it ends without being told to
		want   string // in Run's error; "": none
		logged string // beside the stack; "": nothing is
	}{
		"well":     {func(*program) {}, false, "", ""},
		"a job":    {func(p *program) { p.job = func(context.Context) error { panic(boom) } }, true, "job: panic: boom", "job panicked"},
		"late job": {func(p *program) { p.job = func(ctx context.Context) error { <-ctx.Done(); panic(boom) } }, false, "a job: panic: boom", "job panicked"},
		"a server": {func(p *program) { p.server.serve[0] = func(net.Listener) error { panic(boom) } }, true, "panic: boom", "server panicked"},
		"shutdown": {func(p *program) { p.server.shutdown = blow }, false, "panic: boom", "server panicked"},
		"a ring":   {func(p *program) { p.ring.leave = blow }, false, "", "ring panicked"},
		"a driver": {func(p *program) { p.close = blow }, false, "panic: boom", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{
				server: oddServer{[]func(net.Listener) error{serve}, well}, job: stopped,
				ring: oddRing{[]kv.Driver{memory}, well}, close: well,
			}
			c.change(p)
			p.ring.driver[0] = oddDriver{memory, []func() error{p.close}}
			registry := discovery.NewRegistry()
			r := made(t, []platform.Option{
				platform.WithDiscovery(discovery.Memory(registry)), platform.WithRing(p.ring), platform.WithStopTimeout(10 * time.Second),
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { r.done <- r.Run(ctx, p.server, platform.Job(p.job)) }()
			if !c.itself {
				r.address(t, "greeter")
				cancel()
			}
			err := wait(t, r.done)
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, boom) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Run: %v, want %q", err, c.want)
			}
			logs := r.logs.String()
			if c.logged == "" && strings.Contains(logs, "panicked") || c.logged != "" && (!strings.Contains(logs, c.logged) || !strings.Contains(logs, "odd_test.go")) {
				t.Errorf("the log has %s, want %q and the stack", logs, c.logged)
			}
			if _, err := r.KV().Get(t.Context(), "x"); !errors.Is(err, kv.ErrClosed) {
				t.Errorf("the store: %v, want %v", err, kv.ErrClosed)
			}
			seen, err := discovery.New(discovery.Memory(registry))
			if err != nil {
				t.Fatal(err)
			}
			defer seen.Close()
			if s, err := seen.Get(t.Context(), "greeter"); err != nil || len(s.Instances) != 0 {
				t.Errorf("still registered: %v, %v", s.Instances, err)
			}
		})
	}
}
