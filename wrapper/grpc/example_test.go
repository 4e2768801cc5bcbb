package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// A server with the stack around it, and a client that finds it by its name.
func ExampleNewClient() {
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	mo, err1 := monitor.New()
	serverStack, err2 := wrapper.New(wrapper.WithName("greeter"), wrapper.WithMonitor(mo))
	d, err3 := discovery.New(static.Backend(discovery.Instance{Service: "greeter", ID: "one", Address: l.Addr().String()}))
	ro, err4 := router.New(router.WithDiscovery(d))
	clientStack, err5 := wrapper.New(wrapper.WithName("shop"), wrapper.WithRouter(ro))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer(wgrpc.ServerOptions(serverStack)...)
	wgrpc.RegisterHealth(server, mo, nil)
	go server.Serve(l)

	conn, err := wgrpc.NewClient(clientStack, "greeter", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{}) // any generated client
	fmt.Println(answer.GetStatus(), err)

	errs := []error{conn.Close(), clientStack.Close(ctx), d.Close()}
	server.GracefulStop()
	fmt.Println(errors.Join(append(errs, serverStack.Close(ctx))...))
	// Output:
	// SERVING <nil>
	// <nil>
}

func ExampleNewConn() {
	ctx := context.Background()
	d, _ := discovery.New()
	defer d.Close()
	r, _ := router.New(router.WithDiscovery(d))
	w, _ := wrapper.New(wrapper.WithName("shop"), wrapper.WithRouter(r))
	defer w.Close(ctx)
	if err := wgrpc.RegisterBalancer("by_router", w); err != nil { // once, at the start of main
		fmt.Println(err)
	}
	cc, err := wgrpc.NewConn(w, "by_router", "greeter", nil, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cc.Close() // health.NewHealthClient(cc), or any generated client
	fmt.Println(cc.Target())
	// Output: router:///greeter
}

func ExampleRegisterBalancer() {
	w, _ := wrapper.New(wrapper.WithName("shop"))
	defer w.Close(context.Background())
	fmt.Println(wgrpc.RegisterBalancer("shop_router", w))
	// Output: wrapper/grpc: register balancer "shop_router": invalid: the wrapper has no router
}
