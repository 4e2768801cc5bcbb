package etcd_test

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestRefusalsEndWaits: a wrong password and a missing right are ErrDenied, also
// for who waits already.
func TestRefusalsEndWaits(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	ctx := t.Context()
	q := newQueue(t, server.Addr(), "default", "x")
	for _, role := range []string{"root", "app", "reader"} {
		_, err1 := q.RoleAdd(ctx, role)
		_, err2 := q.UserAdd(ctx, role, "secret")
		_, err3 := q.UserGrantRole(ctx, role, role)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
	}
	_, err1 := q.RoleGrantPermission(ctx, "app", "sync/", "sync0", clientv3.PermissionType(clientv3.PermReadWrite))
	_, err2 := q.RoleGrantPermission(ctx, "reader", "sync/", "sync0", clientv3.PermissionType(clientv3.PermRead))
	_, err3 := q.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	open := func(user string) (dsync.Sync, error) {
		s, err := dsync.New(etcd.Backend("etcd://" + user + server.Addr()))
		if err == nil {
			t.Cleanup(func() { s.Close() })
		}
		return s, err
	}
	if _, err := open("app:wrong@"); !errors.Is(err, dsync.ErrDenied) || errors.Is(err, dsync.ErrUnavailable) {
		t.Errorf("New with a wrong password: %v, want denied", err)
	}
	reader, err := open("reader:secret@")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Lock(ctx, "x"); !errors.Is(err, dsync.ErrDenied) || errors.Is(err, dsync.ErrUnavailable) {
		t.Errorf("Lock of a reader: %v, want denied", err)
	}
	if _, err := reader.TryLock(ctx, "x"); !errors.Is(err, dsync.ErrDenied) || errors.Is(err, dsync.ErrUnavailable) {
		t.Errorf("TryLock of a reader: %v, want denied", err)
	}

	app, err := open("app:secret@")
	if err != nil {
		t.Fatal(err)
	}
	held, err := app.Lock(ctx, "x", dsync.TTL(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := app.Lock(ctx, "x", dsync.TTL(time.Minute))
		waits <- err
	}()
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Addr()}, Username: "root", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	rq := &queue{t, root, q.prefix}
	if _, ok := rq.until(30*time.Second, func(ttls []time.Duration) bool { return len(ttls) == 2 && ttls[1] < time.Minute }); !ok {
		t.Fatalf("nobody waits")
	}
	if _, err := root.RoleRevokePermission(ctx, "app", "sync/", "sync0"); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Delete(ctx, "sync/default/lock/x/", clientv3.WithFirstCreate()[0]); err != nil { // wakes the waiter
		t.Fatal(err)
	}
	select {
	case err := <-waits:
		if !errors.Is(err, dsync.ErrDenied) {
			t.Errorf("a wait whose right is taken away: %v, want denied", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a wait whose right is taken away goes on")
	}
	_ = held
}
