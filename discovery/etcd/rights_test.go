package etcd_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	engine "github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/servertest"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// TestRights: what a user may not do, or no longer, is said by what needs it, and by
// nothing else.
func TestRights(t *testing.T) {
	t.Parallel()
	addr := servertest.SharedEtcd(t).Addr()
	ns := servertest.Namespace(t)
	for _, c := range []struct{ lacks, since, fails string }{
		{"", "start", ""},
		{"Lease/LeaseGrant", "start", "register"},
		{"KV/Txn", "start", "register"},
		{"KV/Range", "start", "get services"},
		{"Lease/LeaseGrant", "registered", "deregister"},
		{"KV/Txn", "registered", "update deregister"},
		{"KV/Range", "registered", "get services"},
	} {
		var refuses atomic.Pointer[string]
		none := ""
		refuses.Store(&none)
		if c.since == "start" {
			refuses.Store(&c.lacks)
		}
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, q, a any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if what := *refuses.Load(); what != "" && strings.HasSuffix(method, what) {
					return rpctypes.ErrGRPCPermissionDenied
				}
				return call(ctx, method, q, a, cc, opts...)
			}),
		}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := discovery.New(etcd.On(engine.FromClient(client)), discovery.WithLazy(), discovery.WithNamespace(ns), discovery.WithTTL(time.Minute), discovery.WithTimeout(backendtest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		denied := backendtest.Without(t, c.lacks+" since "+c.since)
		r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:80"})
		denied.Note("register", err)
		refuses.Store(&c.lacks)
		if err == nil {
			denied.Note("update", r.Update(t.Context(), func(in *discovery.Instance) { in.Version = "2" }))
		}
		_, err = d.Get(t.Context(), "s")
		denied.Note("get", err)
		names, err := d.Services(t.Context())
		denied.Note("services", err)
		if err == nil && r != nil && strings.Join(names, " ") != "s" {
			t.Errorf("without %s since %s: the services are %v", c.lacks, c.since, names)
		}
		if r != nil {
			denied.Note("deregister", r.Deregister(t.Context()))
		}
		denied.Want(c.fails)
		refuses.Store(&none)
		_ = d.Close() // what could not be deregistered is tried again
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
