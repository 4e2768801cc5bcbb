package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/gzhttp"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// refuses is a gate that refuses what its header asks for.
type refuses struct{}

func (refuses) Enter(ctx context.Context, c *wrapper.Call) (context.Context, error) {
	switch c.Header.Get("X-Refuse") {
	case "denied":
		return ctx, auth.ErrDenied
	case "unauthenticated":
		return ctx, auth.ErrUnauthenticated
	case "limited":
		return ctx, &limits.Error{}
	case "unavailable":
		return ctx, router.ErrNoInstances
	case "panic":
		panic("boom")
	}
	return ctx, nil
}
func (refuses) Leave(context.Context, *wrapper.Call) {}

// ends are how a call ends that the wrapper answers in the handler's stead.
var ends = map[string]struct {
	header, value string
	code          connect.Code
	class         router.Class
}{
	"well":             {"X-Refuse", "", 0, router.OK},
	"denied":           {"X-Refuse", "denied", connect.CodePermissionDenied, router.ClientError},
	"unauthenticated":  {"X-Refuse", "unauthenticated", connect.CodeUnauthenticated, router.ClientError},
	"limited":          {"X-Refuse", "limited", connect.CodeResourceExhausted, router.Overload},
	"unavailable":      {"X-Refuse", "unavailable", connect.CodeUnavailable, router.Overload},
	"gate panics":      {"X-Refuse", "panic", connect.CodeInternal, router.ServerError},
	"handler panics":   {"X-Do", "panic", connect.CodeInternal, router.ServerError},
	"deadline":         {"X-Deadline-Ms", "50", connect.CodeDeadlineExceeded, router.Timeout},
	"deadline is over": {"X-Deadline-Ms", "0", connect.CodeDeadlineExceeded, router.Timeout},
	"deadline is far":  {"X-Deadline-Ms", "60000", 0, router.OK},
}

// act is what all handlers do with a request's header.
func act(ctx context.Context, h http.Header) error {
	if h.Get("X-Do") == "panic" {
		panic("boom")
	}
	if h.Get("X-Deadline-Ms") == "50" {
		<-ctx.Done()
	}
	return ctx.Err()
}

// kinds make a call of each kind, with a header, and return its error.
var kinds = map[string]func(ctx context.Context, c *connect.Client[text, text], header, value string) error{
	"Unary": func(ctx context.Context, c *connect.Client[text, text], header, value string) error {
		r := connect.NewRequest(&text{Value: "x"})
		r.Header().Set(header, value)
		_, err := c.CallUnary(ctx, r)
		return err
	},
	"Down": func(ctx context.Context, c *connect.Client[text, text], header, value string) error {
		r := connect.NewRequest(&text{Value: "x"})
		r.Header().Set(header, value)
		s, err := c.CallServerStream(ctx, r)
		if err != nil {
			return err
		}
		defer s.Close()
		for s.Receive() {
		}
		return s.Err()
	},
	"Up": func(ctx context.Context, c *connect.Client[text, text], header, value string) error {
		s := c.CallClientStream(ctx)
		s.RequestHeader().Set(header, value)
		s.Send(&text{Value: "x"})
		_, err := s.CloseAndReceive()
		return err
	},
	"Both": func(ctx context.Context, c *connect.Client[text, text], header, value string) error {
		s := c.CallBidiStream(ctx)
		s.RequestHeader().Set(header, value)
		s.Send(&text{Value: "x"})
		s.CloseRequest()
		defer s.CloseResponse()
		for {
			if _, err := s.Receive(); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
	},
}

func services() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/test.Echo/Unary", connect.NewUnaryHandler("/test.Echo/Unary", func(ctx context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
		if err := act(ctx, r.Header()); err != nil {
			return nil, err
		}
		return connect.NewResponse(r.Msg), nil
	}))
	mux.Handle("/test.Echo/Down", connect.NewServerStreamHandler("/test.Echo/Down", func(ctx context.Context, r *connect.Request[text], s *connect.ServerStream[text]) error {
		if err := act(ctx, r.Header()); err != nil {
			return err
		}
		return s.Send(r.Msg)
	}))
	mux.Handle("/test.Echo/Up", connect.NewClientStreamHandler("/test.Echo/Up", func(ctx context.Context, s *connect.ClientStream[text]) (*connect.Response[text], error) {
		if err := act(ctx, s.RequestHeader()); err != nil {
			return nil, err
		}
		for s.Receive() {
		}
		return connect.NewResponse(&text{Value: "done"}), s.Err()
	}))
	mux.Handle("/test.Echo/Both", connect.NewBidiStreamHandler("/test.Echo/Both", func(ctx context.Context, s *connect.BidiStream[text, text]) error {
		if err := act(ctx, s.RequestHeader()); err != nil {
			return err
		}
		for {
			m, err := s.Receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.Send(m); err != nil {
				return err
			}
		}
	}))
	return mux
}

// around are where a wrapper sits.
var around = map[string]func(w *wrapper.Wrapper, h http.Handler) http.Handler{
	"alone":       func(w *wrapper.Wrapper, h http.Handler) http.Handler { return w.Handler(h) },
	"inside gzip": func(w *wrapper.Wrapper, h http.Handler) http.Handler { return gzhttp.GzipHandler(w.Handler(h)) },
	"around gzip": func(w *wrapper.Wrapper, h http.Handler) http.Handler { return w.Handler(gzhttp.GzipHandler(h)) },
	"inside TimeoutHandler": func(w *wrapper.Wrapper, h http.Handler) http.Handler {
		return http.TimeoutHandler(w.Handler(h), time.Minute, "")
	},
	"around TimeoutHandler": func(w *wrapper.Wrapper, h http.Handler) http.Handler {
		return w.Handler(http.TimeoutHandler(h, time.Minute, ""))
	},
}

// A call that is refused, panics, or has no answer at its deadline ends with the
// code of its own protocol, whichever that is and wherever the wrapper sits.
func TestCallersReadWhyTheyWereRefused(t *testing.T) {
	for place, put := range around {
		for _, h2 := range []bool{false, true} {
			served := make(calls, 10)
			w, err := wrapper.New(wrapper.WithName("echo"), wrapper.WithObserver(served), wrapper.WithGate(refuses{}))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close(context.Background())
			s := httptest.NewUnstartedServer(put(w, services()))
			s.EnableHTTP2, s.Config.ErrorLog = h2, log.New(io.Discard, "", 0)
			if h2 {
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			for protocol, opts := range protocols {
				for kind, call := range kinds {
					if !h2 && (kind == "Both" || protocol == "grpc") || kind != "Unary" && strings.HasSuffix(place, "TimeoutHandler") {
						continue // HTTP/1.1 has no way to, and http.TimeoutHandler can't flush
					}
					c := connect.NewClient[text, text](s.Client(), s.URL+"/test.Echo/"+kind, opts...)
					for what, end := range ends {
						t.Run(fmt.Sprintf("%s, h2=%v/%s/%s/%s", place, h2, protocol, kind, what), func(t *testing.T) {
							ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
							defer cancel()
							err := call(ctx, c, end.header, end.value)
							if (err == nil) != (end.code == 0) || err != nil && connect.CodeOf(err) != end.code {
								t.Errorf("got %v, want %v", err, end.code)
							}
							if c := served.next(t); c.Class != end.class {
								t.Errorf("recorded %v with status %d, want %v", c.Class, c.Status, end.class)
							}
						})
					}
				}
			}
		}
	}
}
