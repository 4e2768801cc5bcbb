package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/relay"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func Example() {
	ctx := context.Background()
	source, _ := discovery.New()
	defer source.Close()
	source.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "10.0.0.7:8080"})
	h, err := relay.Handler(source)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/discovery/", http.StripPrefix("/discovery", h))
	server := httptest.NewServer(mux)
	defer server.Close()

	d, err := discovery.New(relay.Backend(server.URL + "/discovery"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	s, err := d.Get(ctx, "greeter")
	fmt.Println(s.Instances[0].Address, s.State, err)
	// Output: 10.0.0.7:8080 live <nil>
}

func handler(t *testing.T, d discovery.Discovery, opts ...relay.HandlerOption) http.Handler {
	t.Helper()
	h, err := relay.Handler(d, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// cut is a driver over a shared memory registry that can be cut off.
type cut struct {
	discovery.Driver
	off     atomic.Pointer[chan struct{}] // closed while it is cut off
	watches atomic.Int32
	open    atomic.Int32 // sessions in progress
}

func newSource(t *testing.T) (*cut, discovery.Discovery, *httptest.Server) {
	t.Helper()
	c := &cut{Driver: &mapDriver{change: make(chan struct{}), all: map[string]discovery.Instance{}}}
	on := make(chan struct{})
	c.off.Store(&on)
	d, err := discovery.New(discovery.WithDriver("cut", func(context.Context) (discovery.Driver, error) { return c, nil }),
		discovery.WithRetry(time.Millisecond, 10*time.Millisecond), discovery.WithNamespace("shop"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler(t, d))
	t.Cleanup(func() { d.Close(); s.Close() })
	return c, d, s
}

func (c *cut) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	c.watches.Add(1)
	c.open.Add(1)
	defer c.open.Add(-1)
	off := *c.off.Load()
	select {
	case <-off:
		return fault.Markf(fault.Unavailable, "cut off")
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-off:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := c.Driver.Watch(ctx, service, deliver)
	select {
	case <-off:
		return fault.Markf(fault.Unavailable, "cut off")
	default:
		return err
	}
}

func open(t *testing.T, address string, opts ...discovery.Option) discovery.Discovery {
	t.Helper()
	d, err := discovery.New(append(opts, relay.Backend(address), discovery.WithRetry(5*time.Millisecond, 50*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func await(t *testing.T, d discovery.Discovery, what string, ok func(s discovery.Snapshot) bool) discovery.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range d.Watch(ctx, "s") {
		if err == nil {
			last = s
		}
		if err == nil && ok(s) {
			return s
		}
	}
	t.Fatalf("never saw %s, but %+v", what, last)
	return last
}

func in(id string) discovery.Instance {
	return discovery.Instance{Service: "s", ID: id, Address: "h:1", Labels: map[string]string{"k": "v"}, Status: discovery.Draining}
}

func TestManyReadersAreOneWatch(t *testing.T) {
	c, source, s := newSource(t)
	r, err := source.Register(t.Context(), in("a"))
	if err != nil {
		t.Fatal(err)
	}
	var readers []discovery.Discovery
	for range 8 {
		readers = append(readers, open(t, s.URL))
	}
	for _, d := range readers {
		got := await(t, d, "a", func(s discovery.Snapshot) bool { return len(s.Instances) == 1 })
		if !got.Instances[0].Equal(in("a")) {
			t.Errorf("got %+v", got.Instances[0])
		}
	}
	if n := c.watches.Load(); n != 1 {
		t.Errorf("the registry has %d watches, want 1", n)
	}
	if names, err := readers[0].Services(t.Context()); err != nil || fmt.Sprint(names) != "[s]" {
		t.Errorf("Services: %v, %v", names, err)
	}
	if err := r.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range readers {
		await(t, d, "an empty set", func(s discovery.Snapshot) bool { return len(s.Instances) == 0 && s.State == discovery.Live })
	}
	if _, err := readers[0].Register(t.Context(), in("b")); !errors.Is(err, discovery.ErrUnsupported) {
		t.Errorf("register: %v, want ErrUnsupported", err)
	}
}

func TestAStaleRelayMakesStaleReaders(t *testing.T) {
	c, source, s := newSource(t)
	if _, err := source.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	d := open(t, s.URL)
	await(t, d, "a", func(s discovery.Snapshot) bool { return len(s.Instances) == 1 && s.State == discovery.Live })
	close(*c.off.Load())
	await(t, d, "stale", func(s discovery.Snapshot) bool {
		return s.State == discovery.Stale && len(s.Instances) == 1 && strings.Contains(s.Err.Error(), "cut off")
	})
	// A process that starts now gets the same, and as old as it is.
	began := time.Now()
	late := open(t, s.URL)
	got := await(t, late, "stale from the start", func(s discovery.Snapshot) bool { return s.State == discovery.Stale && len(s.Instances) == 1 })
	of, _ := source.Lookup("s")
	if d := got.AsOf.Sub(of.AsOf).Abs(); d > time.Second+time.Since(began) { // it comes as an age
		t.Errorf("as of %v after the relay's", d)
	}
	on := make(chan struct{})
	c.off.Store(&on)
	await(t, d, "live again", func(s discovery.Snapshot) bool { return s.State == discovery.Live })
}

func TestAReaderOutlivesItsRelayAndFindsAnother(t *testing.T) {
	_, source, one := newSource(t)
	two := httptest.NewServer(handler(t, source))
	defer two.Close()
	if _, err := source.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	// A dead first address costs nothing.
	d := open(t, "http://127.0.0.1:1,"+one.URL+","+two.URL)
	await(t, d, "a", func(s discovery.Snapshot) bool { return len(s.Instances) == 1 })
	one.CloseClientConnections()
	one.Config.Close()
	if _, err := source.Register(t.Context(), in("b")); err != nil {
		t.Fatal(err)
	}
	await(t, d, "b by the other relay", func(s discovery.Snapshot) bool { return len(s.Instances) == 2 && s.State == discovery.Live })
	two.CloseClientConnections()
	two.Config.Close()
	await(t, d, "stale", func(s discovery.Snapshot) bool { return len(s.Instances) == 2 && s.State == discovery.Stale })
}

func TestWhatTheRelayKeepsIsKeptByANewReader(t *testing.T) {
	c, source, s := newSource(t)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		i := in(id)
		i.Status = discovery.Up
		if _, err := source.Register(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	old := open(t, s.URL)
	await(t, old, "five", func(s discovery.Snapshot) bool { return len(s.Instances) == 5 })
	c.Driver.(*mapDriver).expire("b", "d", "e")
	for _, d := range []discovery.Discovery{source, old, open(t, s.URL)} {
		await(t, d, "three of five kept", func(s discovery.Snapshot) bool { return len(s.Instances) == 5 && s.Preserved == 3 })
	}
}

func TestBadAddresses(t *testing.T) {
	for _, a := range []string{"", "127.0.0.1:1", "ftp://a", "http://", "http://a,b"} {
		if d, err := discovery.New(relay.Backend(a)); !errors.Is(err, discovery.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", a, err)
			if err == nil {
				d.Close()
			}
		}
	}
	_, err := discovery.New(relay.Backend("http://user:secret@127.0.0.1:1"))
	if !errors.Is(err, discovery.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want ErrUnavailable without the password", err)
	}
}

func TestStreamsOfForeignersAreErrors(t *testing.T) {
	for _, answer := range []string{"", "<html>", `{"preserved":3}`, `{"preserved":-1}`, `[1]`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, answer) }))
		d := open(t, s.URL)
		if got, err := d.Get(t.Context(), "s"); !errors.Is(err, discovery.ErrUnavailable) {
			t.Errorf("%s: %v, %v, want ErrUnavailable", answer, got, err)
		}
		d.Close()
		s.Close()
	}
}
