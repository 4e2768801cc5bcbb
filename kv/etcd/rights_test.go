package etcd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// TestRefusalsHaveTheirKind: a wrong password and a missing right are ErrDenied
// and not unavailable, and nothing was done.
func TestRefusalsHaveTheirKind(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	ctx := t.Context()
	admin, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Addr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	open := func(user string) (kv.KV, error) {
		return kv.New(etcd.Backend("etcd://"+user+server.Addr()), kv.WithNamespace("shop"))
	}
	store, err := open("")
	if err != nil {
		t.Fatal(err)
	}
	rev, err := store.Put(ctx, "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	for _, role := range []string{"root", "reader", "nothing"} {
		_, err1 := admin.RoleAdd(ctx, role)
		_, err2 := admin.UserAdd(ctx, role, "secret")
		_, err3 := admin.UserGrantRole(ctx, role, role)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.RoleGrantPermission(ctx, "reader", "\x00", "\x00", clientv3.PermissionType(clientv3.PermRead)); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AuthEnable(ctx); err != nil {
		t.Fatal(err)
	}

	for name, user := range map[string]string{"wrong password": "reader:wrong@", "no such user": "nobody:secret@", "no user": ""} {
		s, err := open(user)
		if !errors.Is(err, kv.ErrDenied) || errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("New with %s: %v, want denied", name, err)
		}
		if err == nil {
			s.Close()
		}
	}
	reader, err := open("reader:secret@")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	nothing, err := open("nothing:secret@")
	if err != nil {
		t.Fatal(err)
	}
	defer nothing.Close()
	for name, call := range map[string]func() error{
		"Put":        func() error { _, err := reader.Put(ctx, "k", []byte("2")); return err },
		"TTL":        func() error { _, err := reader.Put(ctx, "k", []byte("2"), kv.TTL(time.Hour)); return err },
		"IfAbsent":   func() error { _, err := reader.Put(ctx, "new", []byte("2"), kv.IfAbsent()); return err },
		"IfRevision": func() error { _, err := reader.Put(ctx, "k", []byte("2"), kv.IfRevision(rev)); return err },
		"Delete":     func() error { return reader.Delete(ctx, "k") },
		"Add":        func() error { _, err := reader.Add(ctx, "n", 1); return err },
		"Get":        func() error { _, err := nothing.Get(ctx, "k"); return err },
		"List": func() error {
			for _, err := range nothing.List(ctx, "") {
				return err
			}
			return nil
		},
		"Watch": func() error {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			for _, err := range nothing.Watch(ctx, "") {
				return err
			}
			return nil
		},
	} {
		if err := call(); !errors.Is(err, kv.ErrDenied) || errors.Is(err, kv.ErrUnavailable) {
			t.Errorf("%s without the right: %v, want denied", name, err)
		}
	}
	if item, err := reader.Get(ctx, "k"); err != nil || string(item.Value) != "1" || item.Revision != rev {
		t.Errorf("Get with the right = %q at %d, %v, want 1 at %d", item.Value, item.Revision, err, rev)
	}
	if _, err := reader.Get(ctx, "new"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
}
