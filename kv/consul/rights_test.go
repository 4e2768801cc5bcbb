package consul_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
)

// TestRefusalsHaveTheirKind: a token that Consul does not know, and one without
// the right, are ErrDenied: not a conflict, not unavailable.
func TestRefusalsHaveTheirKind(t *testing.T) {
	t.Parallel()
	const root = "4a7e0a0f-0f0c-4f27-9f0f-1d3a4b5c6d7e"
	server := servertest.Consul(t, servertest.WithArgs(`-hcl=acl { enabled = true, default_policy = "allow", tokens { initial_management = "`+root+`" } }`))
	ctx := t.Context()
	admin := agent(t, server.Addr(), root)
	token := func(name, rules string) string {
		var made *api.ACLToken
		for deadline := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) { // the ACLs are there a moment later
			_, _, err := admin.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil)
			if err == nil {
				made, _, err = admin.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: name}}}, nil)
			}
			if err == nil {
				return made.SecretID
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	open := func(token string) kv.KV {
		t.Helper()
		s, err := kv.New(consul.Backend("consul://:"+token+"@"+server.Addr()), kv.WithNamespace("shop"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	rev, err := open(root).Put(ctx, "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"a reader":      token("reader", `key_prefix "" { policy = "read" }`),
		"half a reader": token("half", `key_prefix "" { policy = "read" } key_prefix "shop/l" { policy = "deny" }`),
		"nobody":        "5b8f1b10-1f1d-4038-8010-2e4b5c6d7e8f",
	} {
		s := open(token)
		for call, err := range map[string]error{
			"Put":        second(s.Put(ctx, "k", []byte("2"))),
			"TTL":        second(s.Put(ctx, "k", []byte("2"), kv.TTL(time.Hour))),
			"IfAbsent":   second(s.Put(ctx, "new", []byte("2"), kv.IfAbsent())),
			"IfRevision": second(s.Put(ctx, "k", []byte("2"), kv.IfRevision(rev))),
			"Delete":     s.Delete(ctx, "k"),
			"Add":        second(s.Add(ctx, "n", 1)),
			"PutMany":    s.PutMany(ctx, map[string][]byte{"k": []byte("2"), "l": []byte("2")}),
		} {
			if !errors.Is(err, kv.ErrDenied) || errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrConflict) {
				t.Errorf("%s of %s: %v, want denied", call, name, err)
			}
		}
		items, err := s.GetMany(ctx, "k", "l")
		var each *kv.BatchError
		switch errors.As(err, &each); name {
		case "a reader":
			if err != nil || len(items) != 1 {
				t.Errorf("GetMany of %s: %v, %v, want k", name, items, err)
			}
		case "half a reader": // Consul itself leaves out what may not be read
			if each == nil || len(each.Errors) != 1 || !errors.Is(each.Errors["l"], kv.ErrDenied) || string(items["k"].Value) != "1" {
				t.Errorf("GetMany of %s: %v, %v, want k, and l denied", name, items, err)
			}
		case "nobody":
			if !errors.Is(err, kv.ErrDenied) || len(items) != 0 {
				t.Errorf("GetMany of %s: %v, %v, want all denied", name, items, err)
			}
		}
		if item, err := s.Get(ctx, "k"); name != "nobody" && (err != nil || string(item.Value) != "1" || item.Revision != rev) {
			t.Errorf("Get of %s = %q at %d, %v, want 1 at %d", name, item.Value, item.Revision, err, rev)
		} else if name == "nobody" && !errors.Is(err, kv.ErrDenied) {
			t.Errorf("Get of %s: %v, want denied", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
