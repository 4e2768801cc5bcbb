package micro_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go-micro.dev/v5/broker"
	"go-micro.dev/v5/client"
	merrors "go-micro.dev/v5/errors"
	"go-micro.dev/v5/logger"
	"go-micro.dev/v5/metadata"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/selector"
	"go-micro.dev/v5/server"
	"go-micro.dev/v5/transport"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/micro"
)

// go-micro leaves goroutines behind (its registry's among them), so that they
// aren't counted here.

type Text struct{ S string }

// Echo is the service.
type Echo struct {
	say   func(ctx context.Context, in string) (string, error)
	calls atomic.Int64
}

func (e *Echo) Say(ctx context.Context, in *Text, out *Text) error {
	e.calls.Add(1)
	s, err := e.say(ctx, in.S)
	out.S = s
	return err
}

// Both answers each message until "end". It sends nothing before the next
// one came: go-micro would write over what it has not sent yet.
func (e *Echo) Both(ctx context.Context, s server.Stream) error {
	for {
		in := new(Text)
		if err := s.Recv(in); err != nil {
			return err
		}
		if in.S == "end" {
			return nil
		}
		if err := s.Send(&Text{"got " + in.S}); err != nil {
			return err
		}
	}
}

func (e *Echo) Fail(ctx context.Context, s server.Stream) error {
	return merrors.Forbidden("echo", "no")
}

// world is what the services of one test share.
type world struct {
	registry  registry.Registry
	broker    broker.Broker
	transport transport.Transport
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{registry.NewMemoryRegistry(), broker.NewMemoryBroker(), newMemoryTransport()}
	if err := w.broker.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.broker.Disconnect() })
	return w
}

var silent = logger.NewLogger(logger.WithLevel(logger.FatalLevel))

// serve starts an instance of the service "echo" and returns its address.
func (x *world) serve(t *testing.T, e *Echo, w *wrapper.Wrapper, opts ...server.Option) (server.Server, string) {
	t.Helper()
	s := server.NewRPCServer(append([]server.Option{server.Name("echo"), server.Address("127.0.0.1:0"), server.Registry(x.registry), server.Broker(x.broker),
		server.Transport(x.transport), server.WithLogger(silent), server.RegisterInterval(time.Hour),
		server.WrapHandler(micro.Handler(w)), server.WrapSubscriber(micro.Subscriber(w))}, opts...)...)
	if err := s.Handle(s.NewHandler(e)); err != nil {
		t.Fatal(err)
	}
	return s, x.start(t, s)
}

func (x *world) start(t *testing.T, s server.Server) string {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s.Options().Address
}

// client returns a go-micro client behind w.
func (x *world) client(w *wrapper.Wrapper, opts ...micro.Option) client.Client {
	return client.NewClient(client.Registry(x.registry), client.Broker(x.broker), client.Transport(x.transport),
		client.Selector(selector.NewSelector(selector.Registry(x.registry))), client.WithLogger(silent),
		client.ContentType("application/json"), client.Wrap(micro.Client(w, opts...)))
}

// router reads the registry.
func (x *world) router(t *testing.T) router.Router {
	t.Helper()
	d, err := discovery.New(micro.Registry(x.registry))
	if err != nil {
		t.Fatal(err)
	}
	return newRouter(t, d)
}

func newRouter(t *testing.T, d discovery.Discovery) router.Router {
	t.Helper()
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(context.Background()), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// fixed routes to the addresses given.
func fixed(t *testing.T, addrs ...string) router.Router {
	t.Helper()
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if _, err := d.Register(t.Context(), discovery.Instance{ID: a, Service: "echo", Address: a}); err != nil {
			t.Fatal(err)
		}
	}
	return newRouter(t, d)
}

func newWrapper(t *testing.T, name string, opts ...wrapper.Option) *wrapper.Wrapper {
	t.Helper()
	w, err := wrapper.New(append([]wrapper.Option{wrapper.WithName(name)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

func say(ctx context.Context, c client.Client, in string, opts ...client.CallOption) (string, error) {
	out := new(Text)
	err := c.Call(ctx, c.NewRequest("echo", "Echo.Say", &Text{in}), out, opts...)
	return out.S, err
}

func codeOf(err error) int {
	if err == nil {
		return 0
	}
	return int(merrors.Parse(err.Error()).Code)
}

// recorder hands on calls that ended.
type recorder struct{ ended chan wrapper.Call }

func newRecorder() *recorder { return &recorder{make(chan wrapper.Call, 1000)} }

func (r *recorder) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (r *recorder) End(_ context.Context, c *wrapper.Call)                     { r.ended <- *c }

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
		panic("unreachable")
	}
}

func TestCallsCarryEverything(t *testing.T) {
	x, spans, authority := newWorld(t), trace.NewStore(100, time.Hour), auth.NewAuthority()
	newAuth := func(service string) auth.Auth {
		a, err := auth.New(auth.Local(authority), auth.WithService(service), auth.WithRules(
			auth.Rule{ID: "edge", Effect: auth.Allow, Subjects: []string{"edge"}, Services: []string{"echo"}, Actions: []string{"Echo.Say"}}))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var tracers []trace.Tracer
	newTrace := func(service string) trace.Tracer {
		tr, err := trace.New(trace.WithService(service), trace.Memory(spans))
		if err != nil {
			t.Fatal(err)
		}
		tracers = append(tracers, tr)
		return tr
	}
	rec := newRecorder()
	sw := newWrapper(t, "echo", wrapper.WithAuth(newAuth("echo")), wrapper.WithTrace(newTrace("echo")), wrapper.WithObserver(rec))
	e := &Echo{say: func(ctx context.Context, in string) (string, error) {
		token, _ := auth.FromContext(ctx)
		call, _ := wrapper.FromContext(ctx)
		end, bounded := ctx.Deadline()
		return fmt.Sprint(in, " ", token.Subject, " ", call.RequestID, " ", wrapper.LabelsFromContext(ctx)["tenant"], " ", bounded && time.Until(end) > 30*time.Second), nil
	}}
	_, addr := x.serve(t, e, sw)
	cw := newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addr)), wrapper.WithAuth(newAuth("edge")), wrapper.WithTrace(newTrace("edge")))
	c := x.client(cw)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx = metadata.NewContext(ctx, metadata.Metadata{"X-Request-Id": "abc", "X-Micro-Label-Tenant": "y"})
	got, err := say(ctx, c, "hi")
	if err != nil || got != "hi edge abc y true" {
		t.Errorf("got %q, %v", got, err)
	}
	if call := receive(t, rec.ended); call.Protocol != "micro" || call.Method != "Echo.Say" || call.Class != router.OK {
		t.Errorf("recorded %+v", call)
	}
	if md, _ := metadata.FromContext(ctx); len(md) != 2 {
		t.Errorf("the caller's metadata was changed: %v", md)
	}
	for _, tr := range tracers {
		if err := tr.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	page, err := spans.Search(t.Context(), trace.Query{})
	if err != nil || len(page.Traces) != 1 || len(page.Traces[0].Spans) != 2 {
		t.Errorf("%v, want one trace of call and server: %+v", err, page)
	}
	// A method that the rules don't allow, and a caller without a token.
	s, err := c.Stream(t.Context(), c.NewRequest("echo", "Echo.Both", &Text{}))
	if err == nil {
		err = s.Recv(new(Text))
		s.Close()
	}
	if codeOf(err) != 403 {
		t.Errorf("a method that isn't allowed: %v, want 403", err)
	}
	bare := x.client(newWrapper(t, "bare", wrapper.WithRouter(fixed(t, addr))))
	if _, err := say(t.Context(), bare, "hi"); codeOf(err) != 401 || strings.Contains(err.Error(), "token") {
		t.Errorf("without a token: %v, want 401 and no details", err)
	}
}

func TestRouterReadsGoMicrosRegistry(t *testing.T) {
	x := newWorld(t)
	name := func(s string) *Echo {
		return &Echo{say: func(context.Context, string) (string, error) { return s, nil }}
	}
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(x.router(t))))
	if _, err := say(t.Context(), c, ""); !errors.Is(err, router.ErrNoInstances) {
		t.Errorf("nobody there: %v, want ErrNoInstances", err)
	}
	one, _ := x.serve(t, name("one"), newWrapper(t, "echo"), server.Id("1"))
	x.serve(t, name("two"), newWrapper(t, "echo"), server.Id("2"))
	await(t, func() bool {
		seen := map[string]bool{}
		for range 4 {
			s, _ := say(t.Context(), c, "")
			seen[s] = true
		}
		return seen["one"] && seen["two"]
	})
	if err := one.Stop(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		for range 4 {
			if s, err := say(t.Context(), c, ""); err != nil || s != "two" {
				return false
			}
		}
		return true
	})
}

func await(t *testing.T, f func() bool) {
	t.Helper()
	end := time.After(30 * time.Second)
	for !f() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-end:
			t.Fatal("not within 30 s")
		}
	}
}

func TestWithoutARouterGoMicrosSelectorPicks(t *testing.T) {
	x := newWorld(t)
	x.serve(t, &Echo{say: func(_ context.Context, in string) (string, error) { return in, nil }}, newWrapper(t, "echo"))
	if out, err := say(t.Context(), x.client(newWrapper(t, "edge")), "x"); err != nil || out != "x" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestUnsentCallsGoToAnotherInstanceAndOthersOnlyIfIdempotent(t *testing.T) {
	x := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	good := &Echo{say: func(_ context.Context, in string) (string, error) { return in, nil }}
	busy := &Echo{say: func(context.Context, string) (string, error) { return "", merrors.New("echo", "busy", 503) }}
	_, goodAddr := x.serve(t, good, newWrapper(t, "echo"))
	_, busyAddr := x.serve(t, busy, newWrapper(t, "echo"))
	for name, c := range map[string]struct {
		addrs []string
		opts  []micro.Option
		ok    bool
	}{
		"dead":             {[]string{dead, goodAddr}, nil, true},
		"busy":             {[]string{busyAddr, goodAddr}, nil, false},
		"busy, nil":        {[]string{busyAddr, goodAddr}, []micro.Option{{}, micro.WithIdempotent(nil)}, false},
		"busy, idempotent": {[]string{busyAddr, goodAddr}, []micro.Option{micro.WithIdempotent(func(string, string) bool { return true })}, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, c.addrs...)), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000})), c.opts...)
			failed := 0
			for range 10 {
				if _, err := say(t.Context(), conn, "x"); err != nil {
					failed++
				}
			}
			if c.ok != (failed == 0) {
				t.Errorf("%d of 10 calls failed", failed)
			}
		})
	}
}

func TestErrorIsSentOnceAndComesAsItIs(t *testing.T) {
	x, rec := newWorld(t), newRecorder()
	e := &Echo{}
	e.say = func(_ context.Context, in string) (string, error) {
		switch in {
		case "plain":
			return "", errors.New("out of order")
		case "panic":
			panic("secret")
		}
		return "", merrors.NotFound("echo", "no %s", in)
	}
	_, addr := x.serve(t, e, newWrapper(t, "echo"))
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addr)), wrapper.WithObserver(rec)), micro.WithIdempotent(func(string, string) bool { return true }))
	for in, want := range map[string]struct {
		code  int
		text  string
		class router.Class
	}{
		"plain": {0, "out of order", router.ServerError},
		"panic": {500, "internal error", router.ServerError},
		"x":     {404, "no x", router.ClientError},
	} {
		e.calls.Store(0)
		_, err := say(t.Context(), c, in)
		if codeOf(err) != want.code || !strings.Contains(fmt.Sprint(err), want.text) || e.calls.Load() != 1 {
			t.Errorf("%s: %v after %d calls, want %d %q after one", in, err, e.calls.Load(), want.code, want.text)
		}
		if call := receive(t, rec.ended); call.Class != want.class || call.Status != want.code || call.Err == nil {
			t.Errorf("%s: recorded %+v", in, call)
		}
	}
}

func TestLimitRefusesWith429(t *testing.T) {
	x := newWorld(t)
	none, err := limits.TokenBucket(1e-6, 1)
	if err != nil {
		t.Fatal(err)
	}
	e := &Echo{say: func(_ context.Context, in string) (string, error) { return in, nil }}
	_, addr := x.serve(t, e, newWrapper(t, "echo", wrapper.WithLimit(none)))
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addr))))
	say(t.Context(), c, "x")
	if _, err := say(t.Context(), c, "x"); codeOf(err) != 429 || e.calls.Load() != 1 {
		t.Errorf("%v after %d calls, want 429 after one", err, e.calls.Load())
	}
}

func TestDeadlineIsKeptAndCallerWhoLeftBlamesNobody(t *testing.T) {
	x, rec := newWorld(t), newRecorder()
	started, ended, over := make(chan struct{}, 10), make(chan error, 10), make(chan struct{})
	e := &Echo{say: func(ctx context.Context, _ string) (string, error) {
		started <- struct{}{}
		<-ctx.Done() // ends by the deadline that came along
		ended <- ctx.Err()
		<-over // go-micro's client reads and resets one buffer when an answer comes as it gives up
		return "", ctx.Err()
	}}
	_, addr := x.serve(t, e, newWrapper(t, "echo"))
	t.Cleanup(func() { close(over) })
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addr)), wrapper.WithObserver(rec)))
	arrived := false
	for within := 50 * time.Millisecond; !arrived; within *= 2 { // on a busy machine one may not arrive before its deadline
		ctx, cancel := context.WithTimeout(t.Context(), within)
		if _, err := say(ctx, c, "x"); err == nil {
			t.Error("no error after the deadline")
		}
		cancel()
		if call := receive(t, rec.ended); call.Class != router.Timeout {
			t.Errorf("recorded %+v, want a timeout", call)
		}
		select {
		case <-started:
			arrived = true
		case <-time.After(within):
		}
	}
	if err := receive(t, ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handler's context ended by %v, want its caller's deadline", err)
	}
	gone := false
	for within := time.Second; !gone; within *= 2 { // go-micro's client waits for its deadline all the same
		ctx, cancel := context.WithTimeout(t.Context(), within)
		leaving, leave := context.WithCancel(ctx)
		left := make(chan bool, 1)
		go func() {
			select {
			case <-started:
			case <-ctx.Done(): // on a busy machine
			}
			leave()
			left <- errors.Is(leaving.Err(), context.Canceled)
		}()
		say(leaving, c, "x")
		gone = <-left
		if call := receive(t, rec.ended); gone && call.Class != router.Cancelled {
			t.Errorf("recorded %+v, want cancelled", call)
		}
		cancel()
	}
}

func TestAttemptThatWasGivenUpDoesNotTouchTheAnswer(t *testing.T) {
	x := newWorld(t)
	slow := make(chan struct{})
	_, a := x.serve(t, &Echo{say: func(context.Context, string) (string, error) { <-slow; return "slow", nil }}, newWrapper(t, "echo"))
	_, b := x.serve(t, &Echo{say: func(context.Context, string) (string, error) { return "fast", nil }}, newWrapper(t, "echo"))
	r := fixed(t, a, b)
	w := newWrapper(t, "edge", wrapper.WithRouter(r), wrapper.WithAttemptTimeout(100*time.Millisecond), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 8, PerSecond: 1000}))
	c := x.client(w, micro.WithIdempotent(func(string, string) bool { return true }))
	var outs []*Text
	for range 2 { // one of them begins with the slow instance
		out := new(Text)
		if err := c.Call(t.Context(), c.NewRequest("echo", "Echo.Say", &Text{}), out); err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
	}
	close(slow)
	// go-micro still reads the late answer now: the race detector sees where to.
	if _, err := say(t.Context(), c, ""); err != nil {
		t.Fatal(err)
	}
	for _, out := range outs {
		if out.S != "fast" {
			t.Errorf("the answer is %q", out.S)
		}
	}
}

func TestStreamsEndTheirCallOnce(t *testing.T) {
	x, srec, crec := newWorld(t), newRecorder(), newRecorder()
	_, addr := x.serve(t, &Echo{}, newWrapper(t, "echo", wrapper.WithObserver(srec)))
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addr)), wrapper.WithObserver(crec)))
	s, err := c.Stream(t.Context(), c.NewRequest("echo", "Echo.Both", &Text{})) // go-micro's server drops the message that opens
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"a", "b"} {
		out := new(Text)
		if err := errors.Join(s.Send(&Text{in}), s.Recv(out)); err != nil || out.S != "got "+in {
			t.Errorf("got %q, %v", out.S, err)
		}
	}
	if err := s.Send(&Text{"end"}); err != nil {
		t.Error(err)
	}
	if err := s.Recv(new(Text)); err != io.EOF {
		t.Errorf("the end: %v, want io.EOF", err)
	}
	s.Close()
	for _, r := range []*recorder{srec, crec} {
		if call := receive(t, r.ended); call.Class != router.OK || call.Method != "Echo.Both" {
			t.Errorf("recorded %+v", call)
		}
	}
	f, err := c.Stream(t.Context(), c.NewRequest("echo", "Echo.Fail", &Text{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Recv(new(Text)); codeOf(err) != 403 {
		t.Errorf("got %v, want 403", err)
	}
	f.Close()
	for _, r := range []*recorder{srec, crec} {
		if call := receive(t, r.ended); call.Class != router.ClientError || call.Status != 403 {
			t.Errorf("recorded %+v", call)
		}
	}
	// One that nobody reads ends with its context.
	ctx, cancel := context.WithCancel(t.Context())
	g, err := c.Stream(ctx, c.NewRequest("echo", "Echo.Both", &Text{}))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if call := receive(t, crec.ended); call.Class != router.Cancelled {
		t.Errorf("recorded %+v, want cancelled", call)
	}
	g.Close()
	if n := len(crec.ended); n != 0 {
		t.Errorf("%d more calls recorded", n)
	}
}

func TestMessagesAreOneTrace(t *testing.T) {
	x, spans, rec := newWorld(t), trace.NewStore(100, time.Hour), newRecorder()
	tr, err := trace.New(trace.WithService("echo"), trace.Memory(spans))
	if err != nil {
		t.Fatal(err)
	}
	w := newWrapper(t, "echo", wrapper.WithTrace(tr), wrapper.WithObserver(rec))
	s := server.NewRPCServer(server.Name("echo"), server.Address("127.0.0.1:0"), server.Registry(x.registry), server.Broker(x.broker),
		server.WithLogger(silent), server.WrapSubscriber(micro.Subscriber(w)))
	handled := make(chan string, 10)
	if err := s.Subscribe(s.NewSubscriber("orders", func(ctx context.Context, in *Text) error {
		call, _ := wrapper.FromContext(ctx)
		handled <- in.S + " " + call.RequestID
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	x.start(t, s)
	c := x.client(w)
	ctx := metadata.NewContext(t.Context(), metadata.Metadata{"X-Request-Id": "abc", "Authorization": "secret"})
	if err := c.Publish(ctx, c.NewMessage("orders", &Text{"hi"})); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, handled); got != "hi abc" {
		t.Errorf("got %q", got)
	}
	for range 2 {
		if call := receive(t, rec.ended); call.Method != "orders" || !call.Message || call.Class != router.OK || call.Header.Get("Authorization") != "" {
			t.Errorf("recorded %+v", call)
		}
	}
	await(t, func() bool {
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := spans.Search(t.Context(), trace.Query{})
		return err == nil && len(page.Traces) == 1 && len(page.Traces[0].Spans) == 2 && page.Traces[0].Spans[1].Kind == trace.Consumer
	})
}

func TestTokenOfACallerIsNotPassedOn(t *testing.T) {
	x := newWorld(t)
	saw := make(chan string, 1)
	_, back := x.serve(t, &Echo{say: func(ctx context.Context, _ string) (string, error) {
		md, _ := metadata.FromContext(ctx)
		saw <- md["Authorization"] + "|" + md["X-Attempt"]
		return "", nil
	}}, newWrapper(t, "echo"))
	inner := x.client(newWrapper(t, "front", wrapper.WithRouter(fixed(t, back))))
	_, front := x.serve(t, &Echo{say: func(ctx context.Context, _ string) (string, error) { return say(ctx, inner, "") }}, newWrapper(t, "front"))
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, front))))
	ctx := metadata.NewContext(t.Context(), metadata.Metadata{"Authorization": "Bearer mine", "X-Attempt": "2"})
	if _, err := say(ctx, c, ""); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, saw); got != "|" {
		t.Errorf("the second service was shown %q", got)
	}
}

func TestManyCallsOnOneContext(t *testing.T) {
	x := newWorld(t)
	e := &Echo{say: func(_ context.Context, in string) (string, error) { return in, nil }}
	_, a := x.serve(t, e, newWrapper(t, "echo"))
	_, b := x.serve(t, e, newWrapper(t, "echo"))
	c := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, a, b))))
	ctx := metadata.NewContext(t.Context(), metadata.Metadata{"Own": "1"})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 50 {
				if _, err := say(ctx, c, "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := e.calls.Load(); n != 500 {
		t.Errorf("%d calls arrived, want 500", n)
	}
}

// Over HTTP go-micro v5.3.0 loses about one answer of fifty by itself: its
// caller waits until the timeout. What may be sent again arrives nevertheless.
func TestNoIdempotentCallFailsOverHTTP(t *testing.T) {
	x := newWorld(t)
	x.transport = transport.NewHTTPTransport(transport.Logger(silent))
	e := &Echo{say: func(_ context.Context, in string) (string, error) { return in, nil }}
	_, a := x.serve(t, e, newWrapper(t, "echo"))
	_, b := x.serve(t, e, newWrapper(t, "echo"))
	w := newWrapper(t, "edge", wrapper.WithRouter(fixed(t, a, b)), wrapper.WithAttemptTimeout(500*time.Millisecond), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 8, PerSecond: 1000}))
	c := x.client(w, micro.WithIdempotent(func(string, string) bool { return true }))
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if out, err := say(ctx, c, fmt.Sprint(i)); err != nil || out != fmt.Sprint(i) {
			t.Errorf("%q, %v", out, err)
		}
		cancel()
	}
}
