package grpc_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/monitor"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

func TestHealthIsTheMonitors(t *testing.T) {
	mo, err := monitor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer mo.Close(context.Background())
	if err := mo.Register(monitor.Check{Name: "db", TTL: time.Hour, Severity: monitor.Soft}); err != nil {
		t.Fatal(err)
	}
	mo.Beat("db", nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	wgrpc.RegisterHealth(s, mo, map[string][]string{"orders": {"db"}, "static": nil})
	go s.Serve(l)
	defer s.Stop()
	cc, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	c := healthpb.NewHealthClient(cc)
	const serving, not = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING

	watch, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	check := func(step string, want map[string]healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		all, err := c.List(t.Context(), &healthpb.HealthListRequest{})
		if err != nil || len(all.GetStatuses()) != 3 {
			t.Fatalf("%s: List: %v, %v", step, all, err)
		}
		for service, w := range want {
			r, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || r.GetStatus() != w || all.GetStatuses()[service].GetStatus() != w {
				t.Errorf("%s: %q is %v in Check and %v in List, %v; want %v", step, service, r.GetStatus(), all.GetStatuses()[service].GetStatus(), err, w)
			}
		}
		if r, err := watch.Recv(); err != nil || r.GetStatus() != want["orders"] {
			t.Errorf("%s: Watch says %v, %v; want %v", step, r.GetStatus(), err, want["orders"])
		}
	}
	check("well", map[string]healthpb.HealthCheckResponse_ServingStatus{"": serving, "orders": serving, "static": serving})
	mo.Beat("db", errors.New("down"))
	mo.Beat("db", errors.New("down"))
	mo.Beat("db", errors.New("down"))
	check("db down", map[string]healthpb.HealthCheckResponse_ServingStatus{"": serving, "orders": not, "static": serving})
	mo.Beat("db", nil)
	check("db back", map[string]healthpb.HealthCheckResponse_ServingStatus{"": serving, "orders": serving, "static": serving})
	mo.SetPhase(monitor.Draining)
	check("draining", map[string]healthpb.HealthCheckResponse_ServingStatus{"": not, "orders": not, "static": not})
	if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v, want NotFound", err)
	}
	unknown, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := unknown.Recv(); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("watching an unknown service: %v, %v", r, err)
	}
	mo.Close(t.Context())
	for {
		if _, err := watch.Recv(); err != nil {
			if status.Code(err) != codes.Unavailable {
				t.Errorf("after Close: %v, want Unavailable", err)
			}
			break
		}
	}
}
