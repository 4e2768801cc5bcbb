package grpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// attempts hands on attempts that ended.
type attempts struct{ ended chan wrapper.Attempt }

func newAttempts() *attempts { return &attempts{make(chan wrapper.Attempt, 1000)} }

func (a *attempts) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (a *attempts) End(context.Context, *wrapper.Call)                         {}
func (a *attempts) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context {
	return ctx
}
func (a *attempts) EndAttempt(_ context.Context, t *wrapper.Attempt) { a.ended <- *t }

func (a *attempts) next(t *testing.T) wrapper.Attempt {
	t.Helper()
	select {
	case v := <-a.ended:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("no attempt ended within 30 s")
		panic("unreachable")
	}
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	end := time.After(30 * time.Second)
	for !f() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-end:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func answering(s string) *echo {
	return &echo{
		unary:  func(context.Context, string) (string, error) { return s, nil },
		stream: func(st grpc.ServerStream) error { return st.SendMsg(wrapperspb.String(s)) },
	}
}

func TestLoadReportsReachTheClient(t *testing.T) { both(t, loadReportsReachTheClient) }

func loadReportsReachTheClient(t *testing.T, dial dialer) {
	e := answering("x")
	addr, _ := serve(t, e, newWrapper(t, "echo", wrapper.WithLoadReport()))
	rec := newAttempts()
	c := dial(t, with(t, wrapper.WithObserver(rec)), []string{addr})
	if _, err := say(t.Context(), c, "x"); err != nil {
		t.Fatal(err)
	}
	if a := rec.next(t); !a.Load.Reported || a.Load.InFlight != 1 || a.Instance == nil || a.Instance.Address != addr {
		t.Errorf("a call: %+v, want a load of 1", a)
	}
	s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
	if err != nil {
		t.Fatal(err)
	}
	s.CloseSend()
	for err == nil {
		err = s.RecvMsg(new(text))
	}
	if a := rec.next(t); err != io.EOF || !a.Load.Reported || a.Load.InFlight != 1 {
		t.Errorf("a stream: %v, %+v, want a load of 1", err, a)
	}
}

func TestOutcomesReachTheRouter(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, *wrapper.Wrapper) grpc.ClientConnInterface{
		"Balancer": func(t *testing.T, w *wrapper.Wrapper) grpc.ClientConnInterface { return balanced(t, w) },
		"Client": func(t *testing.T, w *wrapper.Wrapper) grpc.ClientConnInterface {
			c, err := wgrpc.NewClient(w, "echo", grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			good := answering("good")
			bad := &echo{unary: func(context.Context, string) (string, error) { return "", status.Error(codes.Internal, "broken") }}
			a, _ := serve(t, good, newWrapper(t, "echo"))
			b, _ := serve(t, bad, newWrapper(t, "echo"))
			r := newRouter(t, []string{a, b}, router.WithEjection(router.Ejection{Consecutive: 3, Base: time.Hour, Max: time.Hour, Cap: 0.5}))
			c := dial(t, newWrapper(t, "edge", wrapper.WithRouter(r)))
			failed := 0
			for range 30 {
				if _, err := say(t.Context(), c, "x"); err != nil {
					failed++
				}
			}
			s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				err = s.RecvMsg(new(text))
			}
			if failed != 3 || bad.calls.Load() != 3 {
				t.Errorf("%d of 30 calls failed after %d at the broken one, want 3: it is ejected then", failed, bad.calls.Load())
			}
			for _, n := range r.Stats("echo") {
				want, class := uint64(28), router.OK
				if n.ID == b {
					want, class = 3, router.ServerError
				}
				if n.Outcomes[class] != want || n.InFlight != 0 || n.Ejected != (n.ID == b) {
					t.Errorf("the router has %+v, want %d %v and nothing in flight", n, want, class)
				}
			}
		})
	}
}

func TestBalancerFollowsInstancesThatComeAndDie(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()); d.Close() })
	w := newWrapper(t, "edge", wrapper.WithRouter(r), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000}))
	cc := balanced(t, w, wgrpc.WithIdempotent(func(string) bool { return true }))
	if _, err := say(t.Context(), cc, "x"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no instances") {
		t.Errorf("nobody there: %v", err)
	}
	register := func(addr string) discovery.Registration {
		reg, err := d.Register(t.Context(), discovery.Instance{ID: addr, Service: "echo", Address: addr})
		if err != nil {
			t.Fatal(err)
		}
		return reg
	}
	all := func(want ...string) func() bool {
		return func() bool {
			seen := map[string]bool{}
			for range 10 {
				s, err := say(t.Context(), cc, "x")
				if err != nil {
					t.Fatalf("a call failed: %v", err)
				}
				seen[s] = true
			}
			for _, s := range want {
				if !seen[s] {
					return false
				}
			}
			return len(seen) == len(want)
		}
	}
	one, _ := serve(t, answering("one"), newWrapper(t, "echo"))
	two, dying := serve(t, answering("two"), newWrapper(t, "echo"))
	register(one)
	await(t, "the first", func() bool { _, err := say(t.Context(), cc, "x"); return err == nil })
	register(two)
	await(t, "two", all("one", "two"))

	// Calls go on while one dies, and while nobody but the router's own
	// experience says so.
	var calling sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		calling.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := say(t.Context(), cc, "x"); err != nil {
					t.Errorf("while one dies: %v", err)
					return
				}
			}
		})
	}
	dying.Stop()
	await(t, "one alone", all("one"))
	close(stop)
	calling.Wait()

	l, err := net.Listen("tcp", two)
	if err != nil {
		t.Skip("somebody else has the port now:", err)
	}
	s := grpc.NewServer(wgrpc.ServerOptions(newWrapper(t, "echo"))...)
	e := answering("two again")
	s.RegisterService(e.desc(), e)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	await(t, "it is back", all("one", "two again"))
	if state := cc.GetState(); state != connectivity.Ready {
		t.Errorf("the connection is %v, want ready", state)
	}
}

func TestBalancerTellsTheRouterWhoCanNotBeReached(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	addr, _ := serve(t, answering("x"), newWrapper(t, "echo"))
	r := newRouter(t, []string{dead, addr}, router.WithEjection(router.Ejection{Consecutive: 3, Base: time.Hour, Max: time.Hour, Cap: 0.5}))
	cc := balanced(t, newWrapper(t, "edge", wrapper.WithRouter(r)))
	await(t, "the dead one is ejected", func() bool {
		if out, err := say(t.Context(), cc, "x"); err != nil || out != "x" {
			t.Fatalf("%q, %v", out, err)
		}
		for _, n := range r.Stats("echo") {
			if n.ID == dead {
				return n.Ejected && n.Outcomes[router.Unsent] == 3
			}
		}
		return false
	})
	alone := balanced(t, newWrapper(t, "edge", wrapper.WithRouter(newRouter(t, []string{dead}))))
	if _, err := say(t.Context(), alone, "x"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "refused") {
		t.Errorf("only the dead one: %v", err)
	}
}

func TestBalancerServesPlainConnections(t *testing.T) {
	addr, _ := serve(t, answering("x"), newWrapper(t, "echo"))
	r := newRouter(t, []string{addr})
	name := balancerName()
	if err := wgrpc.RegisterBalancer(name, newWrapper(t, "edge", wrapper.WithRouter(r))); err != nil {
		t.Fatal(err)
	}
	cc, err := grpc.NewClient("router:///echo", append(wgrpc.Balanced(name), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	cc.Connect()
	await(t, "connected without a call", func() bool { return cc.GetState() == connectivity.Ready })
	if out, err := say(t.Context(), cc, "x"); err != nil || out != "x" {
		t.Errorf("got %q, %v", out, err)
	}
	if n := r.Stats("echo")[0]; n.Outcomes[router.OK] != 1 || n.InFlight != 0 {
		t.Errorf("the router has %+v", n)
	}
}

func TestBalancerIsRegisteredOnce(t *testing.T) {
	w := newWrapper(t, "edge", wrapper.WithRouter(newRouter(t, nil)))
	once := balancerName()
	if err := wgrpc.RegisterBalancer(once, w); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"twice":      func() error { return wgrpc.RegisterBalancer(once, w) },
		"gRPC's own": func() error { return wgrpc.RegisterBalancer("round_robin", w) },
		"no name":    func() error { return wgrpc.RegisterBalancer("", w) },
		"no wrapper": func() error { return wgrpc.RegisterBalancer("test_none", nil) },
		"no router":  func() error { return wgrpc.RegisterBalancer("test_none", newWrapper(t, "edge")) },
	} {
		if err := f(); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestTimeoutsBoundCalls(t *testing.T) { both(t, timeoutsBoundCalls) }

func timeoutsBoundCalls(t *testing.T, dial dialer) {
	slow := &echo{unary: func(ctx context.Context, in string) (string, error) {
		<-ctx.Done() // ends by what the client, or the server's wrapper, allows
		return "", ctx.Err()
	}}
	a, _ := serve(t, slow, newWrapper(t, "echo"))
	b, _ := serve(t, answering("fast"), newWrapper(t, "echo"))
	c := dial(t, with(t, wrapper.WithClientTimeout(50*time.Millisecond)), []string{a})
	if _, err := say(t.Context(), c, "x"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("with a client's timeout: %v", err)
	}
	again := wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 8, PerSecond: 1000}) // on a busy machine the quick one may be late too
	c = dial(t, with(t, wrapper.WithAttemptTimeout(50*time.Millisecond), again), []string{a, b}, wgrpc.WithIdempotent(func(string) bool { return true }))
	for range 2 { // one of them begins with the slow one
		if out, err := say(t.Context(), c, "x"); err != nil || out != "fast" {
			t.Errorf("with an attempt's timeout: %q, %v", out, err)
		}
	}
	s, _ := serve(t, slow, newWrapper(t, "echo", wrapper.WithServerTimeout(50*time.Millisecond)))
	c = dial(t, with(t), []string{s})
	if _, err := say(t.Context(), c, "x"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("with a server's timeout: %v", err)
	}
}
