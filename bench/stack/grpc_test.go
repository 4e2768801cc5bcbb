package stack

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

const sayHello = "/greeter.Greeter/Hello"

// grpcServer answers with what generated code would.
func grpcServer(ours bool) *grpc.Server {
	var around []grpc.ServerOption
	if ours {
		w := must(wrapper.New(append(options(), wrapper.WithLimit(must(limits.Concurrency(1000))), wrapper.WithServerTimeout(5*time.Second))...))
		around = wgrpc.ServerOptions(w)
	}
	s := grpc.NewServer(around...)
	hello := func(ctx context.Context, in any) (any, error) {
		return wrapperspb.String("hello " + in.(*wrapperspb.StringValue).Value), nil
	}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "greeter.Greeter", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Hello",
		Handler: func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			if interceptor == nil {
				return hello(ctx, in)
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: sayHello}, hello)
		},
	}}}, struct{}{})
	return s
}

// grpcCaller returns what makes one unary call.
func grpcCaller(ours bool, addr string) func() error {
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	var cc grpc.ClientConnInterface
	if ours {
		d := must(discovery.New(static.Backend(static.Addresses("greeter", addr)...)))
		ro := must(router.New(router.WithDiscovery(d), router.WithBreakers(router.Breakers{})))
		cc = must(wgrpc.NewClient(must(wrapper.New(append(options(), wrapper.WithRouter(ro), wrapper.WithClientTimeout(5*time.Second))...)), "greeter", plain))
	} else {
		cc = must(grpc.NewClient("passthrough:///"+addr, plain))
	}
	return func() error {
		out := new(wrapperspb.StringValue)
		if err := cc.Invoke(context.Background(), sayHello, wrapperspb.String("ada"), out); err != nil || out.Value != "hello ada" {
			return fmt.Errorf("answer %q, %v", out.Value, err)
		}
		return nil
	}
}
