package grpc_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// Calls without a deadline are bounded by 30 s, or what the options and policies
// say instead; a deadline of the caller's own, sooner or later, has the last
// word. On a fake clock, over connections in memory.
func TestCallsWithoutADeadlineAreBounded(t *testing.T) {
	const never = 1000 * time.Hour
	timeout := func(d time.Duration) []wrapper.Option { return []wrapper.Option{wrapper.WithClientTimeout(d)} }
	for name, c := range map[string]struct {
		opts     []wrapper.Option
		deadline time.Duration // of the caller's context; 0: none
		answer   time.Duration // when it comes
		want     time.Duration // when the caller has it, or the error
		ok       bool
	}{
		"just in time":                  {answer: 29999 * time.Millisecond, want: 29999 * time.Millisecond, ok: true},
		"too late":                      {answer: 30001 * time.Millisecond, want: 30 * time.Second},
		"no answer":                     {answer: never, want: 30 * time.Second},
		"a deadline that is later":      {deadline: time.Minute, answer: 59 * time.Second, want: 59 * time.Second, ok: true},
		"that later deadline":           {deadline: time.Minute, answer: never, want: time.Minute},
		"a deadline that is sooner":     {deadline: time.Second, answer: never, want: time.Second},
		"no timeout":                    {opts: timeout(wrapper.NoTimeout), answer: 10 * time.Hour, want: 10 * time.Hour, ok: true},
		"no timeout, but a deadline":    {opts: timeout(wrapper.NoTimeout), deadline: time.Hour, answer: never, want: time.Hour},
		"a timeout that is shorter":     {opts: timeout(5 * time.Second), answer: 6 * time.Second, want: 5 * time.Second},
		"a timeout that is longer":      {opts: timeout(time.Minute), answer: 59 * time.Second, want: 59 * time.Second, ok: true},
		"of a policy":                   {opts: []wrapper.Option{wrapper.WithPolicies(wrapper.Policy{Timeout: 3 * time.Second})}, answer: never, want: 3 * time.Second},
		"of a policy for somebody else": {opts: []wrapper.Option{wrapper.WithPolicies(wrapper.Policy{Route: "/x.Y/", Timeout: 3 * time.Second})}, answer: never, want: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := bufconn.Listen(64 << 10)
				s := grpc.NewServer(wgrpc.ServerOptions(newWrapper(t, "echo"))...)
				e := &echo{unary: func(ctx context.Context, in string) (string, error) {
					select {
					case <-time.After(c.answer):
						return in, nil
					case <-ctx.Done():
						return "", ctx.Err()
					}
				}}
				s.RegisterService(e.desc(), struct{}{})
				go s.Serve(l)
				defer s.Stop()
				w := newWrapper(t, "edge", c.opts...)
				cc, err := grpc.NewClient("passthrough:///echo", grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
					grpc.WithChainUnaryInterceptor(wgrpc.UnaryClient(w)))
				if err != nil {
					t.Fatal(err)
				}
				defer cc.Close()
				ctx := context.Background()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				begun, out := time.Now(), new(text)
				err = cc.Invoke(ctx, "/test.Echo/Say", &text{Value: "x"}, out)
				took := time.Since(begun)
				if took != c.want || (err == nil) != c.ok || c.ok != (out.Value == "x") {
					t.Errorf("got %q, %v after %v, want it after %v", out.Value, err, took, c.want)
				}
				if !c.ok && status.Code(err) != codes.DeadlineExceeded {
					t.Errorf("got %v, want DeadlineExceeded", err)
				}
				if e.calls.Load() != 1 {
					t.Errorf("%d calls reached the service", e.calls.Load())
				}
			})
		})
	}
}
