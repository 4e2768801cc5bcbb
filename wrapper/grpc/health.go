package grpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/monitor"
)

// RegisterHealth serves grpc.health.v1 from what a monitor knows. "" is the
// whole server, which serves while the monitor says that it is ready. services
// names further ones and the checks that each depends on: such a one serves
// while the server is ready and none of its checks fails.
func RegisterHealth(s grpc.ServiceRegistrar, mo monitor.Monitor, services map[string][]string) {
	healthpb.RegisterHealthServer(s, &health{mo: mo, services: services})
}

type health struct {
	healthpb.UnimplementedHealthServer
	mo       monitor.Monitor
	services map[string][]string
}

// state is a service's, as s has it; known is false for one that is not there.
func (h *health) state(service string, s monitor.Status) (state healthpb.HealthCheckResponse_ServingStatus, known bool) {
	checks, known := h.services[service]
	if !known && service != "" {
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, false
	}
	if !s.Ready {
		return healthpb.HealthCheckResponse_NOT_SERVING, true
	}
	for _, name := range checks {
		if r, ok := s.Check(name); !ok || r.State == monitor.Fail || r.State == monitor.Unknown {
			return healthpb.HealthCheckResponse_NOT_SERVING, true
		}
	}
	return healthpb.HealthCheckResponse_SERVING, true
}

func (h *health) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	state, known := h.state(r.GetService(), h.mo.Status())
	if !known {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: state}, nil
}

func (h *health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	s := h.mo.Status()
	out := &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{}}
	add := func(service string) {
		state, _ := h.state(service, s)
		out.Statuses[service] = &healthpb.HealthCheckResponse{Status: state}
	}
	add("")
	for service := range h.services {
		add(service)
	}
	return out, nil
}

// Watch sends the state and then each change of it. An unknown service is told
// as such, and may become known to nobody: the set is fixed. It ends when the server
// drains: a client that checks health itself always has such a stream open, and
// the server would wait for it.
func (h *health) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	last := healthpb.HealthCheckResponse_ServingStatus(-1)
	for s := range h.mo.Watch(stream.Context()) {
		state, _ := h.state(r.GetService(), s)
		if state != last {
			last = state
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
		}
		if s.Phase == monitor.Draining {
			return status.Error(codes.Unavailable, "the server drains")
		}
	}
	if err := stream.Context().Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, "the monitor is closed")
}
