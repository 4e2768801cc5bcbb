package connect

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// verdicts are what the service behind the gateway says, and what that is for who
// calls the gateway. "" is well, "late" waits for the deadline.
var verdicts = map[string]struct {
	code   grpccodes.Code
	status int
	class  router.Class
}{
	"well":        {grpccodes.OK, 200, router.OK},
	"missing":     {grpccodes.NotFound, 404, router.ClientError},
	"invalid":     {grpccodes.InvalidArgument, 400, router.ClientError},
	"denied":      {grpccodes.PermissionDenied, 403, router.ClientError},
	"exhausted":   {grpccodes.ResourceExhausted, 429, router.Overload},
	"unavailable": {grpccodes.Unavailable, 503, router.Overload},
	"internal":    {grpccodes.Internal, 500, router.ServerError},
	"late":        {grpccodes.DeadlineExceeded, 504, router.Timeout},
}

func verdict(ctx context.Context, in *text) error {
	if in.Value == "late" {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(verdicts[in.Value].code, in.Value)
}

// backend is a gRPC service, as generated code would make it.
func backend(t *testing.T) *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(text)
			if err := decode(in); err != nil {
				return nil, err
			}
			return in, verdict(ctx, in)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Down", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			in := new(text)
			if err := s.RecvMsg(in); err != nil {
				return err
			}
			if err := verdict(s.Context(), in); err != nil {
				return err
			}
			for range 3 {
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
			return nil
		}}},
	}, struct{}{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// gateway is grpc-gateway's mux, with the handlers that its generator writes. The
// middleware is the hook of one line by which routes are known.
func gateway(t *testing.T) http.Handler {
	t.Helper()
	cc := backend(t)
	mux := runtime.NewServeMux(runtime.WithMiddlewares(func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			pattern, _ := runtime.HTTPPattern(r.Context())
			wrapper.SetRoute(r.Context(), pattern.String())
			next(w, r, params)
		}
	}))
	handle := func(path, method string, do func(ctx context.Context, in *text, w http.ResponseWriter, r *http.Request, out runtime.Marshaler) error) {
		err := mux.HandlePath("GET", path, func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			_, out := runtime.MarshalerForRequest(mux, r)
			ctx, err := runtime.AnnotateContext(r.Context(), mux, r, method)
			if err == nil {
				ctx = runtime.NewServerMetadataContext(ctx, runtime.ServerMetadata{})
				err = do(ctx, &text{Value: params["value"]}, w, r, out)
			}
			if err != nil {
				runtime.HTTPError(ctx, mux, out, w, r, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	handle("/v1/say/{value}", "/test.Echo/Say", func(ctx context.Context, in *text, w http.ResponseWriter, r *http.Request, out runtime.Marshaler) error {
		answer := new(text)
		if err := cc.Invoke(ctx, "/test.Echo/Say", in, answer); err != nil {
			return err
		}
		runtime.ForwardResponseMessage(ctx, mux, out, w, r, answer)
		return nil
	})
	handle("/v1/down/{value}", "/test.Echo/Down", func(ctx context.Context, in *text, w http.ResponseWriter, r *http.Request, out runtime.Marshaler) error {
		s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
		if err != nil {
			return err
		}
		if err := s.SendMsg(in); err != nil {
			return err
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		runtime.ForwardResponseStream(ctx, mux, out, w, r, func() (proto.Message, error) {
			m := new(text)
			err := s.RecvMsg(m)
			return m, err
		})
		return nil
	})
	return mux
}

// What comes through grpc-gateway has its status, class and route, and streams
// are flushed, over both versions of HTTP.
func TestGateway(t *testing.T) {
	mux := gateway(t)
	for _, h2 := range []bool{false, true} {
		served := make(calls, 10)
		w, err := wrapper.New(wrapper.WithName("gateway"), wrapper.WithObserver(served))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close(context.Background())
		s := httptest.NewUnstartedServer(w.Handler(mux))
		s.EnableHTTP2 = h2
		if h2 {
			s.StartTLS()
		} else {
			s.Start()
		}
		defer s.Close()
		for what, want := range verdicts {
			for kind, answers := range map[string]int{"say": 1, "down": 3} {
				t.Run(fmt.Sprintf("h2=%v/%s/%s", h2, kind, what), func(t *testing.T) {
					r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/"+kind+"/"+what, nil)
					if err != nil {
						t.Fatal(err)
					}
					if what == "late" {
						r.Header.Set("X-Deadline-Ms", "50")
					}
					resp, err := s.Client().Do(r)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if want.status != 200 {
						answers = 0
					}
					if got := strings.Count(string(b), what); err != nil || resp.StatusCode != want.status || want.status == 200 && got != answers {
						t.Errorf("got %d %q, %v; want %d with %d answers", resp.StatusCode, b, err, want.status, answers)
					}
					c := served.next(t)
					if route := "/v1/" + kind + "/{value=*}"; c.Class != want.class || c.Status != want.status || c.Route != route {
						t.Errorf("recorded %v, status %d, route %q; want %v, %d, %q", c.Class, c.Status, c.Route, want.class, want.status, route)
					}
				})
			}
		}
	}
}
