package store

import (
	"context"
	"iter"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/wrapper"
)

// KV returns s with w's observers around its calls. system is the value of
// db.system.name, such as "redis".
func KV(w *wrapper.Wrapper, s kv.KV, system string) kv.KV {
	return &keyValue{s, observer{w.Adapter(), "db", system, saysKV}}
}

type keyValue struct {
	kv.KV
	o observer
}

func (s *keyValue) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	ctx, done := s.o.begin(ctx, "get", "", 1)
	item, err := s.KV.Get(ctx, key, opts...)
	done(err)
	return item, err
}

func (s *keyValue) GetMany(ctx context.Context, keys ...string) (map[string]kv.Item, error) {
	ctx, done := s.o.begin(ctx, "get", "", len(keys))
	items, err := s.KV.GetMany(ctx, keys...)
	done(err)
	return items, err
}

func (s *keyValue) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	ctx, done := s.o.begin(ctx, "put", "", 1)
	revision, err := s.KV.Put(ctx, key, value, opts...)
	done(err)
	return revision, err
}

func (s *keyValue) PutMany(ctx context.Context, values map[string][]byte, opts ...kv.PutOption) error {
	ctx, done := s.o.begin(ctx, "put", "", len(values))
	err := s.KV.PutMany(ctx, values, opts...)
	done(err)
	return err
}

func (s *keyValue) Delete(ctx context.Context, key string, opts ...kv.DeleteOption) error {
	ctx, done := s.o.begin(ctx, "delete", "", 1)
	err := s.KV.Delete(ctx, key, opts...)
	done(err)
	return err
}

func (s *keyValue) Add(ctx context.Context, key string, delta int64, opts ...kv.PutOption) (int64, error) {
	ctx, done := s.o.begin(ctx, "add", "", 1)
	sum, err := s.KV.Add(ctx, key, delta, opts...)
	done(err)
	return sum, err
}

func (s *keyValue) List(ctx context.Context, prefix string, opts ...kv.ListOption) iter.Seq2[kv.Item, error] {
	return observed(ctx, s.o, "list", "", func(ctx context.Context) iter.Seq2[kv.Item, error] { return s.KV.List(ctx, prefix, opts...) })
}

// observed is a sequence that is one call, until it or its reader ends.
func observed[T any](ctx context.Context, o observer, op, on string, sequence func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, done := o.begin(ctx, op, on, 1)
		var failed error
		defer func() { done(failed) }()
		for item, err := range sequence(ctx) {
			if err != nil {
				failed = err
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
