package etcd_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	engine "github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/servertest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// tapped opens a Discovery whose requests but those of streams go through tap.
func tapped(t *testing.T, tap func(ctx context.Context, method string) error, opts ...discovery.Option) discovery.Discovery {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{servertest.SharedEtcd(t).Addr()}, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, q, a any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if err := tap(ctx, method); err != nil {
				return err
			}
			return call(ctx, method, q, a, cc, opts...)
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	opts = append(opts, etcd.On(engine.FromClient(client)), discovery.WithLazy(), discovery.WithNamespace(servertest.Namespace(t)), discovery.WithTimeout(backendtest.Patience))
	d, err := discovery.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// beaten reports whether there were n heartbeats since a time.
func beaten(r discovery.Registration, since time.Time, n int) bool {
	all := r.Heartbeats()
	return len(all) >= n && all[len(all)-n].At.After(since)
}

// Who waits for the lease that another registration asks for waits no longer than its
// context, and the other one is not disturbed.
func TestAWaitForALeaseEnds(t *testing.T) {
	t.Parallel()
	asked, release := make(chan bool, 10), make(chan struct{})
	d := tapped(t, func(ctx context.Context, method string) error {
		if !strings.HasSuffix(method, "Lease/LeaseGrant") {
			return nil
		}
		asked <- true
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, discovery.WithTTL(time.Minute))
	in := func(id string) discovery.Instance {
		return discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"}
	}
	first := make(chan error, 1)
	go func() {
		_, err := d.Register(t.Context(), in("a"))
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Register(ctx, in("b")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second: %v, want the end of its context", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	backendtest.Await(t, d, "a", backendtest.Patience, func(s discovery.Snapshot) bool { return backendtest.IDs(s) == "a" })
}

// An instance that leaves costs the others of its process nothing: what they have is
// not read again.
func TestWhoLeavesCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	var reads atomic.Int32
	d := tapped(t, func(_ context.Context, method string) error {
		if strings.HasSuffix(method, "Lease/LeaseTimeToLive") {
			reads.Add(1)
		}
		return nil
	}, discovery.WithTTL(backend.TTL))
	in := discovery.Instance{Service: "s", ID: "stays", Address: "127.0.0.1:80"}
	stays, err := d.Register(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(2 * backendtest.Patience)
	for before := int32(-1); before != reads.Load(); { // again if the machine is busy
		before = reads.Load()
		in.ID = "leaves"
		leaves, err := d.Register(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if err := leaves.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		for left := time.Now(); !beaten(stays, left, 3); <-time.After(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the lease's keys are read again whenever one has left: %d times", reads.Load())
			}
		}
	}
}
