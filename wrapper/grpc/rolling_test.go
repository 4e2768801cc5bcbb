package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// fleet is a service that is deployed again, one instance after the other.
type fleet struct {
	d    discovery.Discovery
	next atomic.Int64
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &fleet{d: d}
}

// start starts an instance and returns what stops it as a deploy does: callers
// hear of it first, then calls in progress end, while ctx lasts. What still
// goes on then is cut.
func (f *fleet) start(t *testing.T) (addr string, stop func(ctx context.Context) error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	self, err := f.d.Register(t.Context(), discovery.Instance{ID: fmt.Sprint("i", f.next.Add(1)), Service: "echo", Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	e := slowEcho(addr)
	server := wgrpc.NewServer("", func(s grpc.ServiceRegistrar) { s.RegisterService(e.desc(), e) })
	w, err := wrapper.New(wrapper.WithName("echo"), wrapper.WithRegistration(self), wrapper.WithDrain(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l, w, nil) }()
	end := func(ctx context.Context) error {
		closed := make(chan error, 1)
		go func() { closed <- w.Close(ctx) }()
		<-time.After(100 * time.Millisecond) // as platform.Run: new calls are refused when callers have heard
		err := errors.Join(server.Shutdown(ctx), <-served)
		<-closed
		return err
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { end(t.Context()) }) }) // whose time is over then
	return addr, func(ctx context.Context) (err error) {
		once.Do(func() { err = end(ctx) })
		return err
	}
}

// slowEcho answers with its name, and takes its time for each message.
func slowEcho(name string) *echo {
	const took = 40 * time.Millisecond // a stream takes longer than callers need to hear
	return &echo{
		unary: func(context.Context, string) (string, error) { <-time.After(took); return name, nil },
		stream: func(s grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(s)
			for n := 0; ; n++ {
				m := new(text)
				err := s.RecvMsg(m)
				<-time.After(took)
				switch {
				case err == io.EOF && method == "/test.Echo/Up":
					return s.SendMsg(wrapperspb.String(name))
				case err == io.EOF:
					return nil
				case err != nil:
					return err
				case method == "/test.Echo/Up":
				case method == "/test.Echo/Down":
					for range 5 {
						<-time.After(took)
						if err := s.SendMsg(wrapperspb.String(name)); err != nil {
							return err
						}
					}
				default:
					if err := s.SendMsg(wrapperspb.String(name)); err != nil {
						return err
					}
				}
			}
		},
	}
}

// converse opens a stream, sends and receives as many messages as are said, each
// side by turns if both do, and returns what came.
func converse(ctx context.Context, cc grpc.ClientConnInterface, method string, up, down int) ([]string, error) {
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: up != 1, ServerStreams: down != 1}, method)
	if err != nil {
		return nil, err
	}
	var got []string
	receive := func() error {
		m := new(text)
		err := s.RecvMsg(m)
		if err == nil {
			got = append(got, m.GetValue())
		}
		return err
	}
	for range up {
		if err := s.SendMsg(wrapperspb.String("x")); err != nil && err != io.EOF {
			return got, err
		}
		if up == down {
			if err := receive(); err != nil {
				return got, err
			}
		}
	}
	if err := s.CloseSend(); err != nil {
		return got, err
	}
	for err == nil && (down != 1 || len(got) < 1) {
		err = receive()
	}
	if err == io.EOF {
		err = nil
	}
	if err == nil && len(got) != down {
		err = fmt.Errorf("%d messages came, want %d", len(got), down)
	}
	return got, err
}

// While all instances are replaced, none of the four kinds of calls fails: they
// end where they began, and new ones go to the instances that stay.
func TestNoCallFailsWhileAllInstancesAreReplaced(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, *wrapper.Wrapper) grpc.ClientConnInterface{
		"Client": func(t *testing.T, w *wrapper.Wrapper) grpc.ClientConnInterface {
			c, err := wgrpc.NewClient(w, "echo", grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		},
		"Balancer": func(t *testing.T, w *wrapper.Wrapper) grpc.ClientConnInterface { return balanced(t, w) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			var stops []func(context.Context) error
			start := func() string {
				addr, stop := f.start(t)
				stops = append(stops, stop)
				return addr
			}
			for range 3 {
				start()
			}
			r, err := router.New(router.WithDiscovery(f.d))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(context.Background()) })
			cc := dial(t, newWrapper(t, "edge", wrapper.WithRouter(r)))

			kinds := map[string]func(context.Context) ([]string, error){
				"unary":            func(ctx context.Context) ([]string, error) { s, err := say(ctx, cc, "x"); return []string{s}, err },
				"server streaming": func(ctx context.Context) ([]string, error) { return converse(ctx, cc, "/test.Echo/Down", 1, 5) },
				"client streaming": func(ctx context.Context) ([]string, error) { return converse(ctx, cc, "/test.Echo/Up", 5, 1) },
				"both":             func(ctx context.Context) ([]string, error) { return converse(ctx, cc, "/test.Echo/Both", 5, 5) },
			}
			var mu sync.Mutex
			made, servers := map[string]int{}, map[string]int{}
			over := make(chan struct{})
			var calling sync.WaitGroup
			for kind, call := range kinds {
				for range 8 {
					calling.Go(func() {
						for {
							select {
							case <-over:
								return
							default:
							}
							ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
							got, err := call(ctx)
							cancel()
							mu.Lock()
							made[kind]++
							for _, s := range got {
								servers[s]++
							}
							if err != nil {
								t.Errorf("%s, call %d: %v", kind, made[kind], err)
							}
							mu.Unlock()
						}
					})
				}
			}
			used := func(addr string) func() bool {
				return func() bool { mu.Lock(); defer mu.Unlock(); return servers[addr] > 20 }
			}
			for i := range 6 { // all of them, twice
				await(t, "the new one to be used", used(start()))
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				if err := stops[i](ctx); err != nil {
					t.Errorf("instance %d did not end by itself: %v", i, err)
				}
				cancel()
			}
			close(over)
			calling.Wait()
			for kind := range kinds {
				if made[kind] < 20 {
					t.Errorf("%s: %d calls are too few to show anything", kind, made[kind])
				}
			}
			t.Log(made)
		})
	}
}

// A stream that doesn't end is cut when the time to drain is over; opened again
// it is at an instance that stays.
func TestLongStreamsMoveAtTheDrainTime(t *testing.T) {
	both := map[string]func(*testing.T, *wrapper.Wrapper) grpc.ClientConnInterface{
		"Client": func(t *testing.T, w *wrapper.Wrapper) grpc.ClientConnInterface {
			c, err := wgrpc.NewClient(w, "echo", grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		},
		"Balancer": func(t *testing.T, w *wrapper.Wrapper) grpc.ClientConnInterface { return balanced(t, w) },
	}
	for name, dial := range both {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			old, stop := f.start(t)
			r, err := router.New(router.WithDiscovery(f.d))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(context.Background()) })
			cc := dial(t, newWrapper(t, "edge", wrapper.WithRouter(r)))
			open := func() (exchange func() (string, error)) {
				s, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Both")
				if err != nil {
					t.Fatal(err)
				}
				return func() (string, error) {
					m := new(text)
					if err := s.SendMsg(wrapperspb.String("x")); err != nil && err != io.EOF {
						return "", err
					}
					err := s.RecvMsg(m)
					return m.GetValue(), err
				}
			}
			exchange := open()
			if at, err := exchange(); err != nil || at != old {
				t.Fatalf("%q, %v", at, err)
			}
			young, _ := f.start(t)
			await(t, "the new one to be known", func() bool { return len(r.Stats("echo")) == 2 })
			ctx, over := context.WithCancel(t.Context())
			defer over()
			stopped := make(chan error, 1)
			go func() { stopped <- stop(ctx) }()
			for n := 0; ; n++ {
				at, err := exchange()
				if err != nil {
					if c := status.Code(err); c != codes.Unavailable {
						t.Errorf("cut with %v, want Unavailable", err)
					}
					if ctx.Err() == nil {
						t.Errorf("the stream was cut after %d exchanges, before the time to drain was over", n)
					}
					break
				}
				if at != old {
					t.Fatalf("the stream is at %s", at)
				}
				if n == 12 { // longer than callers take to hear
					over()
				}
				if n == 500 {
					t.Fatal("the stream was never cut")
				}
			}
			if at, err := open()(); err != nil || at != young {
				t.Errorf("opened again: %q, %v, want it at %s", at, err, young)
			}
			if err := <-stopped; !errors.Is(err, context.Canceled) {
				t.Errorf("the server ended with %v, want it to say that it cut something", err)
			}
		})
	}
}
