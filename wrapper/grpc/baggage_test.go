package grpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/trace/baggage"
	"github.com/micro/go-platform/wrapper"
)

func TestBaggageTravels(t *testing.T) { both(t, baggageTravels) }

func baggageTravels(t *testing.T, dial dialer) {
	got := make(chan string, 1)
	e := &echo{
		unary: func(ctx context.Context, in string) (string, error) {
			got <- baggage.FromContext(ctx).String()
			return in, nil
		},
		stream: func(s grpc.ServerStream) error {
			got <- baggage.FromContext(s.Context()).String()
			return nil
		},
	}
	addr, _ := serve(t, e, newWrapper(t, "echo"))
	c := dial(t, with(t), []string{addr})
	ctx, err := baggage.Set(t.Context(), "tenant", "acme, inc")
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []struct {
		ctx  context.Context
		want string
	}{{ctx, "tenant=acme%2C%20inc"}, {t.Context(), ""}, {metadata.AppendToOutgoingContext(t.Context(), "baggage", "a=1,bad", "baggage", "b=2"), "a=1,b=2"}} {
		if _, err := say(call.ctx, c, "hi"); err != nil {
			t.Fatal(err)
		}
		if b := <-got; b != call.want {
			t.Errorf("a unary call came with %q, want %q", b, call.want)
		}
		s, err := c.NewStream(call.ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
		if err != nil {
			t.Fatal(err)
		}
		s.SendMsg(wrapperspb.String("x"))
		s.CloseSend()
		s.RecvMsg(new(text))
		if b := <-got; b != call.want {
			t.Errorf("a stream came with %q, want %q", b, call.want)
		}
	}
}

// What strangers say beside their call reaches no handler; what is theirs to say does.
func TestEdgeDropsWhatStrangersSay(t *testing.T) {
	forged := []string{"baggage", "user=admin", "x-request-id", "mine", "x-micro-label-shard", "7", "x-deadline-ms", "60000",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-forwarded-user", "admin"}
	local := func(ctx context.Context, _ *wrapper.Call) bool {
		p, ok := peer.FromContext(ctx)
		return ok && p.Addr != nil
	}
	nobody := func(context.Context, *wrapper.Call) bool { return false }
	for name, c := range map[string]struct {
		opts []wrapper.Option
		kept bool
	}{
		"inside":          {nil, true},
		"edge":            {[]wrapper.Option{wrapper.WithEdge()}, false},
		"edge, trusted":   {[]wrapper.Option{wrapper.WithEdge(nobody, local)}, true},
		"edge, not those": {[]wrapper.Option{wrapper.WithEdge(nobody)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var md metadata.MD
			var labels map[string]string
			var travels baggage.Baggage
			var id string
			see := func(ctx context.Context) {
				md, _ = metadata.FromIncomingContext(ctx)
				labels, travels = wrapper.LabelsFromContext(ctx), baggage.FromContext(ctx)
				call, _ := wrapper.FromContext(ctx)
				id = call.RequestID
			}
			check := func(kind string) {
				t.Helper()
				for i := 0; i < len(forged); i += 2 {
					if has := md.Get(forged[i]) != nil; has != c.kept {
						t.Errorf("%s: %s reached the handler: %v, want %v", kind, forged[i], has, c.kept)
					}
				}
				if md.Get("own") == nil || md.Get("authorization") == nil {
					t.Errorf("%s: what is a stranger's to say is not there: %v", kind, md)
				}
				if (labels != nil) != c.kept || (travels.Len() > 0) != c.kept || (id == "mine") != c.kept {
					t.Errorf("%s: labels %v, baggage %q, id %q; want them: %v", kind, labels, travels, id, c.kept)
				}
			}
			e := &echo{
				unary:  func(ctx context.Context, in string) (string, error) { see(ctx); return in, nil },
				stream: func(s grpc.ServerStream) error { see(s.Context()); return nil },
			}
			addr, _ := serve(t, e, newWrapper(t, "echo", c.opts...))
			cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			ctx := metadata.AppendToOutgoingContext(t.Context(), append(forged, "own", "1", "authorization", "Bearer x")...)
			if _, err := say(ctx, cc, "hi"); err != nil {
				t.Fatal(err)
			}
			check("unary")
			s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
			if err != nil {
				t.Fatal(err)
			}
			s.SendMsg(wrapperspb.String("x"))
			s.CloseSend()
			s.RecvMsg(new(text)) // the handler has returned then
			check("stream")
		})
	}
}
