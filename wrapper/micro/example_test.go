package micro_test

import (
	"context"
	"fmt"

	"go-micro.dev/v5/broker"
	"go-micro.dev/v5/client"
	"go-micro.dev/v5/logger"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/server"
	"go-micro.dev/v5/transport"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/micro"
)

// Greeter was there before.
type Greeter struct{}

func (Greeter) Hello(_ context.Context, in *Text, out *Text) error {
	out.S = "Hello, " + in.S
	return nil
}

func Example() {
	ctx := context.Background()
	quiet := logger.NewLogger(logger.WithLevel(logger.FatalLevel))
	nodes, bus, wire := registry.NewMemoryRegistry(), broker.NewMemoryBroker(), transport.NewMemoryTransport(transport.Logger(quiet))
	sw, _ := wrapper.New(wrapper.WithName("greeter"))
	s := server.NewRPCServer(server.Name("greeter"), server.Address("127.0.0.1:0"), server.Registry(nodes), server.Broker(bus), server.Transport(wire),
		server.WithLogger(quiet), server.WrapHandler(micro.Handler(sw)), server.WrapSubscriber(micro.Subscriber(sw)))
	s.Handle(s.NewHandler(&Greeter{}))
	s.Start()
	defer s.Stop()

	d, _ := discovery.New(micro.Registry(nodes)) // the router reads go-micro's registry
	defer d.Close()
	r, _ := router.New(router.WithDiscovery(d))
	cw, _ := wrapper.New(wrapper.WithName("shop"), wrapper.WithRouter(r))
	c := client.NewClient(client.Registry(nodes), client.Broker(bus), client.Transport(wire), client.WithLogger(quiet),
		client.ContentType("application/json"), client.Wrap(micro.Client(cw)))
	var out Text
	err := c.Call(ctx, c.NewRequest("greeter", "Greeter.Hello", &Text{"Ada"}), &out)
	fmt.Println(out.S, err)
	fmt.Println(cw.Close(ctx), sw.Close(ctx))
	// Output:
	// Hello, Ada <nil>
	// <nil> <nil>
}
