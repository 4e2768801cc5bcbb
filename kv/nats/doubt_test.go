package nats_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/nats"
)

// TestAWriteThatIsNotAnsweredIsUnknown: once it is sent nobody knows. What is only read,
// and a write that begins with a read, have no such doubt.
func TestAWriteThatIsNotAnsweredIsUnknown(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedNATS(t).Addr())
	store := opener(nats.Backend(p.Addr(), nats.WithBucket("doubt")))(t, kv.WithTimeout(time.Minute))
	defer store.Close()
	rev, err := store.Put(t.Context(), "there", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	ends, err := store.Put(t.Context(), "ends", []byte("1"), kv.TTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	put := func(ctx context.Context, key string, opts ...kv.PutOption) error {
		_, err := store.Put(ctx, key, nil, opts...)
		return err
	}
	calls := map[string]func(ctx context.Context) error{
		"put":                 func(ctx context.Context) error { return put(ctx, "put") },
		"create":              func(ctx context.Context) error { return put(ctx, "new", kv.IfAbsent()) },
		"change":              func(ctx context.Context) error { return put(ctx, "there", kv.IfRevision(rev)) },
		"change what ends":    func(ctx context.Context) error { return put(ctx, "ends", kv.IfRevision(ends)) },
		"delete":              func(ctx context.Context) error { return store.Delete(ctx, "put") },
		"delete if":           func(ctx context.Context) error { return store.Delete(ctx, "there", kv.IfRevision(rev)) },
		"delete if what ends": func(ctx context.Context) error { return store.Delete(ctx, "ends", kv.IfRevision(ends)) },
		"get":                 func(ctx context.Context) error { _, err := store.Get(ctx, "there"); return err },
		"get many":            func(ctx context.Context) error { _, err := store.GetMany(ctx, "there", "put"); return err },
	}
	certain := []string{"change what ends", "delete if what ends", "get", "get many"}
	p.Hold(netfault.Replies)
	for what, call := range calls {
		var err error
		for before := p.Counts().Requests; p.Counts().Requests == before; { // until one was sent before its deadline
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err = call(ctx)
			cancel()
		}
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kv.ErrUnknownOutcome) == slices.Contains(certain, what) {
			t.Errorf("%s until its caller's deadline: %v, want that, and of a write ErrUnknownOutcome", what, err)
		}
	}
	var all sync.WaitGroup
	for what, call := range calls {
		all.Go(func() { // whose caller would wait for a minute
			err, want := call(t.Context()), kv.ErrUnknownOutcome
			if slices.Contains(certain, what) {
				want = kv.ErrUnavailable
			}
			if !errors.Is(err, want) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s without an answer: %v, want %v", what, err, want)
			}
		})
	}
	all.Wait()
}
