package micro_test

import (
	"context"
	"fmt"
	"testing"

	"go-micro.dev/v5/metadata"
	"go-micro.dev/v5/server"

	"github.com/micro/go-platform/trace/baggage"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/micro"
)

func TestBaggageTravelsThroughTwoServices(t *testing.T) {
	none := func(ctx context.Context) context.Context { return baggage.ContextWith(ctx, baggage.Baggage{}) }
	more := func(ctx context.Context) context.Context { ctx, _ = baggage.Set(ctx, "cart", "1"); return ctx }
	for name, c := range map[string]struct {
		opts   []wrapper.Option
		change func(context.Context) context.Context
		want   string
	}{
		"handed on":      {nil, nil, "tenant=a%20b"},
		"with more":      {nil, more, "tenant=a%20b,cart=1"},
		"with none":      {nil, none, ""},
		"from strangers": {[]wrapper.Option{wrapper.WithEdge()}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x, y := newWorld(t), newWorld(t)
			_, second := y.serve(t, &Echo{say: func(ctx context.Context, _ string) (string, error) {
				return baggage.FromContext(ctx).String(), nil
			}}, newWrapper(t, "echo"))
			next := y.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, second))))
			_, first := x.serve(t, &Echo{say: func(ctx context.Context, in string) (string, error) {
				if c.change != nil {
					ctx = c.change(ctx)
				}
				return say(ctx, next, in)
			}}, newWrapper(t, "echo", c.opts...))
			client := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, first))))
			ctx, err := baggage.Set(t.Context(), "tenant", "a b")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := say(ctx, client, ""); err != nil || got != c.want {
				t.Errorf("the second service got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestBaggageTravelsWithMessages(t *testing.T) {
	x := newWorld(t)
	w := newWrapper(t, "echo")
	s := server.NewRPCServer(server.Name("echo"), server.Address("127.0.0.1:0"), server.Registry(x.registry), server.Broker(x.broker),
		server.WithLogger(silent), server.WrapSubscriber(micro.Subscriber(w)))
	handled := make(chan string, 10)
	if err := s.Subscribe(s.NewSubscriber("orders", func(ctx context.Context, _ *Text) error {
		handled <- baggage.FromContext(ctx).String()
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	x.start(t, s)
	c := x.client(w)
	ctx, err := baggage.Set(t.Context(), "tenant", "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		ctx  context.Context
		want string
	}{{ctx, "tenant=acme"}, {t.Context(), ""}} {
		if err := c.Publish(p.ctx, c.NewMessage("orders", &Text{"hi"})); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, handled); got != p.want {
			t.Errorf("the message brought %q, want %q", got, p.want)
		}
	}
}

// What strangers say beside their call reaches no handler; what is theirs to say does.
func TestEdgeDropsWhatStrangersSay(t *testing.T) {
	for name, c := range map[string]struct {
		opts []wrapper.Option
		want string
	}{
		"inside": {nil, "mine 7 1 own"},
		"edge":   {[]wrapper.Option{wrapper.WithEdge()}, "false   own"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newWorld(t)
			_, addr := x.serve(t, &Echo{say: func(ctx context.Context, _ string) (string, error) {
				call, _ := wrapper.FromContext(ctx)
				md, _ := metadata.FromContext(ctx)
				id := call.RequestID
				if id != "mine" {
					id = "false"
				}
				return fmt.Sprint(id, " ", wrapper.LabelsFromContext(ctx)["shard"], " ", md["X-User-Id"], " ", md["Own"]), nil
			}}, newWrapper(t, "echo", c.opts...))
			client := x.client(newWrapper(t, "edge", wrapper.WithRouter(fixed(t, addr))))
			ctx := metadata.NewContext(t.Context(), metadata.Metadata{"X-Request-Id": "mine", "X-Micro-Label-Shard": "7", "X-User-Id": "1", "Own": "own"})
			if got, err := say(ctx, client, ""); err != nil || got != c.want {
				t.Errorf("the handler saw %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
