package wrapper_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// What a caller of another protocol shows is in its header, unless the adapter
// says otherwise.
func TestAdaptersCallersAreKnown(t *testing.T) {
	authority := auth.NewAuthority()
	a, err := auth.New(auth.Local(authority), auth.WithService("orders"), auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	token, err := authority.Issue("shop", "orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	bearer := "Bearer " + string(token.AccessToken)
	w := newWrapper(t, wrapper.WithAuth(a))
	header := func(values ...string) func(*wrapper.Call) {
		return func(c *wrapper.Call) { c.Header = trace.Header{"Authorization": values} }
	}
	shown := func(value string, ok bool, err error) func(*wrapper.Call) {
		return func(c *wrapper.Call) {
			c.Header = trace.Header{"Authorization": {bearer}} // what the adapter says goes before
			cred := auth.Credential{Scheme: "Bearer", Value: auth.Secret(value)}
			w.Adapter().Shown(c, cred, ok, err)
		}
	}
	broken := errors.New("two proofs")
	for name, c := range map[string]struct {
		show func(*wrapper.Call)
		want error
	}{
		"in the header":          {header(bearer), nil},
		"nothing":                {header(), auth.ErrUnauthenticated},
		"twice":                  {header(bearer, bearer), auth.ErrUnauthenticated},
		"another scheme":         {header("Basic YTpi"), auth.ErrUnauthenticated},
		"a forged token":         {header(bearer + "x"), auth.ErrUnauthenticated},
		"by the adapter":         {shown(string(token.AccessToken), true, nil), nil},
		"by the adapter, forged": {shown("x", true, nil), auth.ErrUnauthenticated},
		"that can't be one":      {shown("", false, broken), broken},
	} {
		call := wrapper.Call{Side: wrapper.Server, Protocol: "micro", Method: "Orders.Get", Action: "Orders.Get"}
		c.show(&call)
		ctx, err := w.Begin(t.Context(), &call)
		caller, known := auth.FromContext(ctx)
		if !errors.Is(err, c.want) || known != (c.want == nil) || known && caller.Subject != "shop" {
			t.Errorf("%s: %v, caller %v; want %v", name, err, caller, c.want)
		}
		call.Err = err
		w.End(ctx, &call)
	}
}

// A gRPC method that policies and handlers could read in two ways is refused
// before any gate is asked.
func TestStrangeMethodsAreRefused(t *testing.T) {
	var asked tally
	w := newWrapper(t, wrapper.WithGate(gateSlice{t: &asked}))
	for method, want := range map[string]error{"/a.B/C": nil, "/a.B/../C": auth.ErrPath, "a.B/C": auth.ErrPath} {
		call := wrapper.Call{Side: wrapper.Server, Protocol: "grpc", Method: method, Action: method, Header: trace.Header{}}
		before := asked.begun.Load()
		ctx, err := w.Begin(t.Context(), &call)
		if n := asked.begun.Load() - before; !errors.Is(err, want) || (n == 1) != (want == nil) {
			t.Errorf("%s: %v, and %d gates were asked; want %v", method, err, n, want)
		}
		w.End(ctx, &call)
	}
}

// A message waits where a call would be refused as one too many, until its
// context ends.
func TestMessagesWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, err := limits.Concurrency(1)
		if err != nil {
			t.Fatal(err)
		}
		w := newWrapper(t, wrapper.WithLimit(one))
		message := func() *wrapper.Call {
			return &wrapper.Call{Side: wrapper.Server, Protocol: "event", Message: true, Method: "orders", Header: trace.Header{}}
		}
		first := message()
		held, err := w.Begin(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		second := message()
		ctx, err := w.Begin(short, second)
		if took := time.Since(began); !errors.Is(err, router.ErrLimited) || took != time.Second {
			t.Errorf("with no place for a second: %v after %v, want ErrLimited after 1s", err, took)
		}
		w.End(ctx, second)
		time.AfterFunc(time.Minute, func() { w.End(held, first) })
		began = time.Now()
		third := message()
		ctx, err = w.Begin(t.Context(), third)
		if took := time.Since(began); err != nil || took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("with a place after a minute: %v after %v", err, took)
		}
		w.End(ctx, third)
		fourth := message()
		if ctx, err = w.Begin(t.Context(), fourth); err != nil {
			t.Fatal(err)
		}
		call := message()
		call.Message = false
		began = time.Now()
		refused, err := w.Begin(t.Context(), call)
		if took := time.Since(began); !errors.Is(err, router.ErrLimited) || took != 0 {
			t.Errorf("a call that is no message: %v after %v, want ErrLimited at once", err, took)
		}
		w.End(refused, call)
		w.End(ctx, fourth)
	})
}

// A span says of a call that failed the most that is known.
func TestAFailureIsCalledByWhatIsKnown(t *testing.T) {
	gone := errors.New("gone")
	for want, c := range map[string]wrapper.Call{
		"":            {Class: router.OK, Status: 200},
		"timeout":     {Class: router.Timeout},
		"status 503":  {Class: router.ServerError, Status: 503},
		"gone":        {Class: router.Timeout, Status: 503, Err: gone},
		"panic: boom": {Class: router.ServerError, Status: 500, Err: gone, Panic: "boom"},
	} {
		spans := trace.NewStore(10, time.Hour)
		tr, err := trace.New(trace.WithService("orders"), trace.Memory(spans))
		if err != nil {
			t.Fatal(err)
		}
		w := newWrapper(t, wrapper.WithTrace(tr))
		c.Side, c.Protocol, c.Method, c.Start, c.Header = wrapper.Server, "micro", "Orders.Get", time.Now(), trace.Header{}
		ctx, err := w.Begin(t.Context(), &c)
		if err != nil {
			t.Fatal(err)
		}
		w.End(ctx, &c)
		if err := tr.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := spans.Search(t.Context(), trace.Query{})
		if err != nil || len(page.Traces) != 1 || page.Traces[0].Spans[0].Err != want {
			t.Errorf("got %+v, %v; want one span with the error %q", page, err, want)
		}
	}
}
