package etcd_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestRevokedLeasesAreGrantedAgain: a store remembers which leases it was granted. One
// that somebody has revoked since is no error of the next write.
func TestRevokedLeasesAreGrantedAgain(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	store, c := opener(etcd.Backend(server.Addr()))(t), client(t, server.Addr())
	defer store.Close()
	lease := func(key string) int64 {
		t.Helper()
		r, err := c.Get(t.Context(), key)
		if err != nil || len(r.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", key, r, err)
		}
		return r.Kvs[0].Lease
	}
	for name, put := range map[string]func(key string) error{
		"Put": func(key string) error {
			_, err := store.Put(t.Context(), key, []byte("v"), kv.TTL(time.Hour))
			return err
		},
		"PutMany": func(key string) error {
			return store.PutMany(t.Context(), map[string][]byte{key: []byte("v")}, kv.TTL(time.Hour))
		},
	} {
		for n, deadline := 0, time.Now().Add(time.Minute); ; n++ {
			first, then := fmt.Sprint(name, n, "/first"), fmt.Sprint(name, n, "/then")
			if err := put(first); err != nil {
				t.Fatal(err)
			}
			known := lease(first)
			if _, err := c.Revoke(t.Context(), clientv3.LeaseID(known)); err != nil {
				t.Fatal(err)
			}
			if err := put(then); err != nil {
				t.Fatalf("%s after its lease was revoked: %v", name, err)
			}
			item, err := store.Get(t.Context(), then, kv.Expiry())
			if left := time.Until(item.Expires); err != nil || string(item.Value) != "v" || left < 50*time.Minute || left > 61*time.Minute {
				t.Errorf("%s after its lease was revoked: %q with %v left, %v", name, item.Value, left, err)
			}
			if lease(then) == known { // and not that of the next second
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no two writes within a second")
			}
		}
	}
}

// TestABatchSharesOneLease: lives under two seconds end at their millisecond, and a
// grant takes about as long. Those of one request still end together.
func TestABatchSharesOneLease(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	store, c := opener(etcd.Backend(server.Addr()))(t), client(t, server.Addr())
	defer store.Close()
	values := map[string][]byte{}
	for i := range 50 {
		values[fmt.Sprint("batch/", i)] = []byte("v")
	}
	if err := store.PutMany(t.Context(), values, kv.TTL(1900*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	r, err := c.Get(t.Context(), "batch/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	leases := map[int64]bool{}
	for _, p := range r.Kvs {
		leases[p.Lease] = true
	}
	if len(r.Kvs) != len(values) || len(leases) != 1 {
		t.Errorf("%d items of %d leases, want %d of one", len(r.Kvs), len(leases), len(values))
	}
}
