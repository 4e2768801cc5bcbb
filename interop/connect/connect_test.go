package connect

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

type text = wrapperspb.StringValue

// calls hands on the calls that ended.
type calls chan wrapper.Call

func (calls) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (c calls) End(_ context.Context, call *wrapper.Call)                { c <- *call }

// next is the call that ended next.
func (c calls) next(t *testing.T) wrapper.Call {
	t.Helper()
	select {
	case call := <-c:
		return call
	case <-time.After(30 * time.Second):
		t.Fatal("no call ended within 30 s")
		panic("unreachable")
	}
}

// codes are how the server may answer, and what class that is. "" is well.
var codes = map[string]struct {
	code  connect.Code
	class router.Class
}{
	"":                  {0, router.OK},
	"unavailable":       {connect.CodeUnavailable, router.Overload},
	"resource":          {connect.CodeResourceExhausted, router.Overload},
	"internal":          {connect.CodeInternal, router.ServerError},
	"unknown":           {connect.CodeUnknown, router.ServerError},
	"data loss":         {connect.CodeDataLoss, router.ServerError},
	"unimplemented":     {connect.CodeUnimplemented, router.ServerError},
	"deadline":          {connect.CodeDeadlineExceeded, router.Timeout},
	"not found":         {connect.CodeNotFound, router.ClientError},
	"invalid":           {connect.CodeInvalidArgument, router.ClientError},
	"permission denied": {connect.CodePermissionDenied, router.ClientError},
	"unauthenticated":   {connect.CodeUnauthenticated, router.ClientError},
}

func answer(in string) error {
	if c := codes[in]; c.code != 0 {
		return connect.NewError(c.code, errors.New(in))
	}
	return nil
}

// protocols are connect-go's three.
var protocols = map[string][]connect.ClientOption{
	"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
}

func serve(t *testing.T, served calls) *httptest.Server {
	t.Helper()
	w, err := wrapper.New(wrapper.WithName("echo"), wrapper.WithObserver(served))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	mux := http.NewServeMux()
	mux.Handle("/test.Echo/Say", connect.NewUnaryHandler("/test.Echo/Say", func(_ context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
		if err := answer(r.Msg.Value); err != nil {
			return nil, err
		}
		return connect.NewResponse(r.Msg), nil
	}))
	// It fails after two messages, the second of which is large.
	mux.Handle("/test.Echo/Down", connect.NewServerStreamHandler("/test.Echo/Down", func(_ context.Context, r *connect.Request[text], s *connect.ServerStream[text]) error {
		for _, m := range []string{"one", string(bytes.Repeat([]byte("x"), 100_000))} {
			if err := s.Send(&text{Value: m}); err != nil {
				return err
			}
		}
		return answer(r.Msg.Value)
	}))
	s := httptest.NewUnstartedServer(w.Handler(mux))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// The class of a call is that of its own protocol, on both sides, whatever
// HTTP's status is.
func TestStatusOfTheProtocolDecidesTheClass(t *testing.T) {
	served, sent := make(calls, 10), make(calls, 10)
	s := serve(t, served)
	w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithObserver(sent), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	client := &http.Client{Transport: w.Transport(s.Client().Transport)}
	for protocol, opts := range protocols {
		for what, want := range codes {
			t.Run(protocol+" "+what, func(t *testing.T) {
				check := func(kind string, err error) {
					t.Helper()
					if got := connect.CodeOf(err); (err == nil) != (want.code == 0) || err != nil && got != want.code {
						t.Errorf("%s: got %v", kind, err)
					}
					if c := served.next(t); c.Class != want.class {
						t.Errorf("%s: the server recorded %v with status %d, want %v", kind, c.Class, c.Status, want.class)
					}
					if c := sent.next(t); c.Class != want.class {
						t.Errorf("%s: the client recorded %v with status %d, want %v", kind, c.Class, c.Status, want.class)
					}
				}
				say := connect.NewClient[text, text](client, s.URL+"/test.Echo/Say", opts...)
				_, err := say.CallUnary(t.Context(), connect.NewRequest(&text{Value: what}))
				check("unary", err)

				down := connect.NewClient[text, text](client, s.URL+"/test.Echo/Down", opts...)
				stream, err := down.CallServerStream(t.Context(), connect.NewRequest(&text{Value: what}))
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for stream.Receive() {
					n++
				}
				if n != 2 {
					t.Errorf("got %d messages, want 2", n)
				}
				stream.Close()
				check("stream", stream.Err())
			})
		}
	}
}
