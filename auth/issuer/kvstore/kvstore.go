// Package kvstore keeps an issuer's state in a kv.KV: several issuers that share
// one Redis, etcd or Consul are one issuer.
//
//	store, err := kv.New(redis.Backend(addr), kv.WithNamespace("issuer"))
//	state, err := kvstore.New(store)
//	is, err := issuer.New(issuer.WithStore(state), …)
//
// # Backends
//
// Any kv.KV that lists keys and drops nothing before its time. Memcached does
// neither.
//
// # Semantics, Errors, Closing
//
// Those of the kv.KV, which stays open.
package kvstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

type store struct{ kv kv.KV }

// New returns a Store in a kv.KV. auth.ErrUnsupported if the backend can't keep an
// issuer's state: one that may evict would let a code be used twice.
func New(s kv.KV) (issuer.Store, error) {
	if fronts.Nil(s) {
		return nil, fault.New(auth.ErrInvalid, "auth/issuer/kvstore", "new", "", "nil store")
	}
	if f := s.Features(); !f.List || f.Evicts && !f.Local {
		return nil, fault.New(auth.ErrUnsupported, "auth/issuer/kvstore", "new", "", "an issuer needs a store that lists keys and evicts none")
	}
	return store{s}, nil
}

func (s store) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	it, err := s.kv.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		err = fault.Mark(issuer.ErrNotFound, err)
	}
	return it.Value, uint64(it.Revision), err
}

func (s store) Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	opts := []kv.PutOption{kv.IfRevision(kv.Revision(version))}
	if ttl > 0 {
		opts = append(opts, kv.TTL(ttl))
	}
	_, err := s.kv.Put(ctx, key, value, opts...)
	if errors.Is(err, kv.ErrExists) || errors.Is(err, kv.ErrConflict) {
		return fault.Mark(issuer.ErrConflict, err)
	}
	return err
}

func (s store) Delete(ctx context.Context, key string) error { return s.kv.Delete(ctx, key) }

func (s store) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for it, err := range s.kv.List(ctx, prefix) {
			if !yield(it.Key, err) {
				return
			}
		}
	}
}
