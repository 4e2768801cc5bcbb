package grpc_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// refusing is a limiter that refuses.
type refusing struct{ after time.Duration }

func (r refusing) Acquire(context.Context) (limits.Permit, error) {
	return nil, &limits.Error{After: r.after}
}

// A plain client of gRPC learns when to come back.
func TestRefusalsSayWhenToComeBack(t *testing.T) {
	for name, c := range map[string]struct {
		after, info time.Duration
		trailer     string
	}{
		"known":             {after: 1500 * time.Millisecond, info: 1500 * time.Millisecond, trailer: "1500"},
		"less than a milli": {after: time.Microsecond, info: time.Millisecond, trailer: "1"},
		"not known":         {},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := serve(t, &echo{}, newWrapper(t, "echo", wrapper.WithLimit(refusing{c.after})))
			cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			check := func(kind string, err error, trailer metadata.MD) {
				t.Helper()
				var info *errdetails.RetryInfo
				for _, d := range status.Convert(err).Details() {
					info, _ = d.(*errdetails.RetryInfo)
				}
				if status.Code(err) != codes.ResourceExhausted || (info != nil) != (c.info > 0) || info.GetRetryDelay().AsDuration() != c.info {
					t.Errorf("%s: got %v with %v, want %v", kind, err, info, c.info)
				}
				if got := trailer.Get("grpc-retry-pushback-ms"); len(got) > 1 || len(got) == 0 && c.trailer != "" || len(got) == 1 && got[0] != c.trailer {
					t.Errorf("%s: trailer %q, want %q", kind, got, c.trailer)
				}
			}
			var trailer metadata.MD
			err = cc.Invoke(t.Context(), "/test.Echo/Say", wrapperspb.String("x"), new(text), grpc.Trailer(&trailer))
			check("unary", err, trailer)
			s, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/Both")
			if err != nil {
				t.Fatal(err)
			}
			err = s.RecvMsg(new(text))
			check("stream", err, s.Trailer())
		})
	}
}

func TestRetryInfoIsObeyed(t *testing.T) { both(t, retryInfoIsObeyed) }

func retryInfoIsObeyed(t *testing.T, dial dialer) {
	for name, c := range map[string]struct {
		delay   time.Duration
		trailer string
		sent    int64
		wait    time.Duration
	}{
		"short":                   {200 * time.Millisecond, "", 2, 200 * time.Millisecond},
		"too long":                {time.Hour, "", 1, 0},
		"negative":                {-time.Second, "", 2, 0},
		"the trailer goes before": {time.Hour, "1", 2, 0},
		"and forbids":             {time.Millisecond, "-1", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := &echo{}
			e.unary = func(ctx context.Context, in string) (string, error) {
				if e.calls.Load() > 1 {
					return in, nil
				}
				if c.trailer != "" {
					grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", c.trailer))
				}
				s, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(c.delay)})
				if err != nil {
					return "", err
				}
				return "", s.Err()
			}
			addr, _ := serve(t, e, newWrapper(t, "echo"))
			conn := dial(t, with(t), []string{addr}, wgrpc.WithIdempotent(func(string) bool { return true }))
			began := time.Now()
			_, err := say(t.Context(), conn, "x")
			if n := e.calls.Load(); n != c.sent || (err == nil) != (c.sent == 2) {
				t.Errorf("sent %d times, %v, want %d", n, err, c.sent)
			}
			if d := time.Since(began); d < c.wait {
				t.Errorf("sent again after %v, want %v", d, c.wait)
			}
		})
	}
}
