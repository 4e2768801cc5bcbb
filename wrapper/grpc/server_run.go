package grpc

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/wrapper"
)

// Server is a gRPC server for package platform's Run:
//
//	app.Run(ctx, wgrpc.NewServer(":9090", func(s grpc.ServiceRegistrar) { pb.RegisterGreeterServer(s, greeter) }))
//
// It has the Wrapper's middleware, and answers grpc.health.v1 from the monitor,
// unless a service of yours does. It serves once.
type Server struct {
	addr     string
	register func(grpc.ServiceRegistrar)
	opts     []grpc.ServerOption

	mu     sync.Mutex
	server *grpc.Server // nil: does not serve yet
	down   bool
}

// NewServer returns a server for addr, such as ":9090". register enters the
// services; opts come beside those of the Wrapper: credentials, sizes. s is a
// *grpc.Server: reflection.Register(s.(*grpc.Server)) lets tools list what it has.
func NewServer(addr string, register func(s grpc.ServiceRegistrar), opts ...grpc.ServerOption) *Server {
	return &Server{addr: addr, register: register, opts: opts}
}

// Address returns where the server is to listen.
func (s *Server) Address() string { return s.addr }

// Serve serves on l until Shutdown, and closes l. mo may be nil: then there is no
// health service.
func (s *Server) Serve(l net.Listener, w *wrapper.Wrapper, mo monitor.Monitor) error {
	defer l.Close()
	if s.register == nil {
		return errors.New("no function that registers services")
	}
	server := grpc.NewServer(append(ServerOptions(w), s.opts...)...)
	s.register(server)
	_, own := server.GetServiceInfo()[healthpb.Health_ServiceDesc.ServiceName]
	if mo != nil && !own {
		RegisterHealth(server, mo, nil)
	}
	s.mu.Lock()
	if s.down || s.server != nil {
		s.mu.Unlock()
		server.Stop() // it may have workers
		return grpc.ErrServerStopped
	}
	s.server = server
	s.mu.Unlock()
	return server.Serve(l)
}

// Shutdown refuses new calls, waits for those in progress until ctx ends, and then
// cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	server := s.server
	s.down = true
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	done := make(chan struct{})
	go func() { defer close(done); server.GracefulStop() }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		server.Stop()
		<-done
		return ctx.Err()
	}
}
