package grpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	platform "github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// runServer runs s as a service of an App, and returns a connection to it.
func runServer(t *testing.T, s platform.Server, opts ...platform.Option) (cc *grpc.ClientConn, end func() error) {
	t.Helper()
	app, err := platform.New("greeter", append(opts, platform.WithLog(log.ToWriter(io.Discard, log.JSON())))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, s) }()
	var addr string
	await(t, "the server to be registered", func() bool {
		seen, err := app.Discovery().Get(ctx, "greeter", discovery.MaxStale(0))
		if err == nil && len(seen.Instances) > 0 {
			addr = seen.Instances[0].Address
		}
		return addr != ""
	})
	cc, err = grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc, func() error { cancel(); return <-done }
}

func TestServerRunsWithHealthAndDrains(t *testing.T) {
	registered := false
	cc, end := runServer(t, wgrpc.NewServer("127.0.0.1:0", func(grpc.ServiceRegistrar) { registered = true }))
	r, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING || !registered {
		t.Errorf("health %v, %v; registered %v", r, err, registered)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{}); err == nil {
		t.Error("answered after the end")
	}
}

// A stream that never ends is cut off when the time to stop is over.
func TestServerCutsOffStreams(t *testing.T) {
	endless := grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		err := stream.SendHeader(metadata.MD{})
		<-stream.Context().Done()
		return err
	})
	cc, end := runServer(t, wgrpc.NewServer("127.0.0.1:0", func(grpc.ServiceRegistrar) {}, endless), platform.WithStopTimeout(50*time.Millisecond))
	stream, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/endless.Stream/Read")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	if err := end(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v", err)
	}
	if err := stream.RecvMsg(new(healthpb.HealthCheckResponse)); err == nil {
		t.Error("the stream goes on")
	}
}

// Clients that check health themselves always watch it: they hear that the server
// leaves, and it does not wait for them.
func TestWatchersOfHealthDoNotHoldTheServerUp(t *testing.T) {
	cc, end := runServer(t, wgrpc.NewServer("127.0.0.1:0", func(grpc.ServiceRegistrar) {}))
	watch, err := healthpb.NewHealthClient(cc).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := watch.Recv(); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("up: %v, %v", r, err)
	}
	if err := end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if r, err := watch.Recv(); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while it drains: %v, %v", r, err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("then: %v, want Unavailable", err)
	}
}

// A health service of the program's own takes the place of the monitor's.
func TestServerWithAHealthServiceOfItsOwn(t *testing.T) {
	own := health.NewServer()
	own.SetServingStatus("orders", healthpb.HealthCheckResponse_NOT_SERVING)
	cc, end := runServer(t, wgrpc.NewServer("127.0.0.1:0", func(s grpc.ServiceRegistrar) {
		healthpb.RegisterHealthServer(s, own)
		reflection.Register(s.(*grpc.Server))
	}))
	r, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "orders"})
	if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health %v, %v", r, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestServerWithoutServicesIsRefused(t *testing.T) {
	app, err := platform.New("greeter", platform.WithLog(log.ToWriter(io.Discard, log.JSON())))
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(t.Context(), wgrpc.NewServer("127.0.0.1:0", nil)); err == nil || !strings.Contains(err.Error(), "no function that registers") {
		t.Errorf("got %v", err)
	}
}

// A server that is to serve when it was stopped, or again, leaves nothing behind: TestMain
// counts the goroutines.
func TestServerServesOnce(t *testing.T) {
	w, err := wrapper.New(wrapper.WithName("greeter"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	s := wgrpc.NewServer("", func(grpc.ServiceRegistrar) {}, grpc.NumStreamWorkers(2))
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l, w, nil); !errors.Is(err, grpc.ErrServerStopped) {
		t.Errorf("Serve = %v, want ErrServerStopped", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener: %v, want it closed", err)
	}
}
