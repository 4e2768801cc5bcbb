package grpc_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// A server that takes unknown methods, as proxies do, gets them as they come:
// what it could read in another way than the policy must not come so far.
func TestFullMethodIsReadInOneWay(t *testing.T) {
	var asked, ran []string
	a, err := auth.New(auth.WithService("orders"), auth.WithDecider(auth.DeciderFunc(func(_ context.Context, _ *auth.Token, r auth.Request) (auth.Decision, error) {
		asked = append(asked, r.Action)
		return auth.Decision{Effect: auth.Allow}, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithAuth(a))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(append(wgrpc.ServerOptions(w), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		m, _ := grpc.MethodFromServerStream(s)
		ran = append(ran, m)
		return s.SendMsg(&healthpb.HealthCheckResponse{})
	}))...)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(authgrpc.Credentials(a, auth.Destination{Audience: "orders"}, authgrpc.WithInsecure())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for method, good := range map[string]bool{
		"/shop.Public/Get": true, "/a/shop.Public/Get": true,
		"/shop.Admin/../shop.Public/Get": false, "//shop.Public/Get": false, "/shop.Public": false,
		"/shop.Admin%2fGet/Get": false, "/shop.%50ublic/Get": false,
	} {
		asked, ran = nil, nil
		err := conn.Invoke(t.Context(), method, &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		switch {
		case good && (err != nil || len(asked) != 1 || asked[0] != method || len(ran) != 1 || ran[0] != method):
			t.Errorf("%s: %v, policy %q, handler %q", method, err, asked, ran)
		case !good && (status.Code(err) != codes.Unimplemented || len(asked)+len(ran) > 0):
			t.Errorf("%s: %v, policy %q, handler %q; want Unimplemented before either", method, err, asked, ran)
		}
	}
}
