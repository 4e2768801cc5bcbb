package consul_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
)

// TestAWriteThatItsCallerGaveUpIsUnknown: once it is sent nobody knows. What is only
// read, a write that begins with a read, and what was never sent, have no such doubt.
func TestAWriteThatItsCallerGaveUpIsUnknown(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedConsul(t).Addr())
	store := opener(consul.Backend(p.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	rev, err := store.Put(t.Context(), "there", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(ctx context.Context) error{
		"put":       func(ctx context.Context) error { return second(store.Put(ctx, "put", nil)) },
		"create":    func(ctx context.Context) error { return second(store.Put(ctx, "new", nil, kv.IfAbsent())) },
		"change":    func(ctx context.Context) error { return second(store.Put(ctx, "there", nil, kv.IfRevision(rev))) },
		"delete":    func(ctx context.Context) error { return store.Delete(ctx, "put") },
		"delete if": func(ctx context.Context) error { return store.Delete(ctx, "there", kv.IfRevision(rev)) },
		"put many":  func(ctx context.Context) error { return store.PutMany(ctx, map[string][]byte{"many": nil}) },
		"get":       func(ctx context.Context) error { return second(store.Get(ctx, "there")) },
		"get many":  func(ctx context.Context) error { return second(store.GetMany(ctx, "there", "put")) },
		"list": func(ctx context.Context) error {
			for _, err := range store.List(ctx, "") {
				return err
			}
			return nil
		},
	}
	certain := []string{"change", "delete if", "get", "get many", "list"}
	p.Hold(netfault.Replies)
	for what, call := range calls {
		var err error
		for before := p.Counts().Requests; p.Counts().Requests == before; { // until one was sent before its deadline
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err = call(ctx)
			cancel()
		}
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kv.ErrUnknownOutcome) == slices.Contains(certain, what) {
			t.Errorf("%s without an answer: %v, want the deadline, and of a write ErrUnknownOutcome", what, err)
		}
	}
	var each *kv.BatchError
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := calls["get many"](ctx); errors.As(err, &each) {
		t.Errorf("get many without an answer: %v, want one error for all", err)
	}
	p.Refuse()
	p.Reset()
	for what, call := range calls {
		err := call(t.Context())
		if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("%s that was never sent: %v, want ErrUnavailable", what, err)
		}
	}
	_, err = store.GetMany(t.Context(), "there", "put")
	if !errors.As(err, &each) || len(each.Errors) != 2 || !errors.Is(each.Errors["put"], kv.ErrUnavailable) {
		t.Errorf("get many that was never sent: %v, want an error for each key", err)
	}
}

// TestKeysOfOtherPrograms: what can be no key of ours is neither listed nor in a watch.
func TestKeysOfOtherPrograms(t *testing.T) {
	t.Parallel()
	server, ns := servertest.SharedConsul(t), servertest.Namespace(t)+"/"
	store := opener(consul.Backend(server.Addr()))(t, kv.WithNamespace(strings.TrimSuffix(ns, "/")))
	defer store.Close()
	c := agent(t, server.Addr(), "")
	put := func(key string) {
		t.Helper()
		_, err := c.KV().Put(&api.KVPair{Key: ns + key, Value: []byte("v")}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("k", kv.MaxKey-len(ns))
	for _, key := range []string{"%zz", "a%41", "a%FF", long, long + "k"} {
		put(key)
	}
	var listed []string
	for item, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, item.Key)
	}
	if !slices.Equal(listed, []string{long}) {
		t.Errorf("listed: %.40q", listed)
	}
	var told []string
	written := false
	for e, err := range store.Watch(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == kv.EventSynced && !written { // the state is told
			written = true
			put("b%FF")
			put("last")
		}
		if e.Kind == kv.EventPut {
			told = append(told, e.Item.Key)
		}
		if e.Item.Key == "last" {
			break
		}
	}
	if !slices.Equal(told, []string{long, "last"}) {
		t.Errorf("in a watch: %.40q", told)
	}
}
