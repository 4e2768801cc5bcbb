package kv

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Codec turns values of a type into bytes and back. Its methods are called
// concurrently; a panic of one is its error.
type Codec[T any] interface {
	Encode(v T) ([]byte, error)
	Decode(b []byte) (T, error) // b may be kept
}

// JSON returns the codec of encoding/json.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

func (jsonCodec[T]) Decode(b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// Entry is an Item whose value is a T.
type Entry[T any] struct {
	Key      string
	Value    T
	Revision Revision
	Expires  time.Time
}

// Typed is a store of values of one type. It stands on a KV, which stays the
// caller's to close. Bytes that the codec does not understand, and values that
// it cannot encode, are ErrInvalid.
type Typed[T any] struct {
	store KV
	codec Codec[T]
}

// NewTyped returns store as one of values of type T. A nil codec is JSON.
func NewTyped[T any](store KV, codec Codec[T]) *Typed[T] {
	if codec == nil { // and no nil pointer, which may work: JSON could not read what it wrote
		codec = JSON[T]()
	}
	return &Typed[T]{store, codec}
}

func (t *Typed[T]) entry(item Item) (Entry[T], error) {
	var v T
	err := fault.Guard(func() (err error) { v, err = t.codec.Decode(item.Value); return err })
	if err != nil {
		return Entry[T]{}, fault.Wrap("kv", "decode", fronts.Cut(item.Key), fault.Mark(ErrInvalid, err))
	}
	return Entry[T]{item.Key, v, item.Revision, item.Expires}, nil
}

func (t *Typed[T]) encode(key string, v T) ([]byte, error) {
	var b []byte
	err := fault.Guard(func() (err error) { b, err = t.codec.Encode(v); return err })
	if err != nil {
		return nil, fault.Wrap("kv", "encode", fronts.Cut(key), fault.Mark(ErrInvalid, err))
	}
	return b, nil
}

// Get is KV.Get.
func (t *Typed[T]) Get(ctx context.Context, key string, opts ...GetOption) (Entry[T], error) {
	item, err := t.store.Get(ctx, key, opts...)
	if err != nil {
		return Entry[T]{}, err
	}
	return t.entry(item)
}

// GetMany is KV.GetMany. A value that cannot be decoded is one of the errors of
// the *BatchError.
func (t *Typed[T]) GetMany(ctx context.Context, keys ...string) (map[string]Entry[T], error) {
	items, err := t.store.GetMany(ctx, keys...)
	entries := make(map[string]Entry[T], len(items))
	bad := map[string]error{}
	for key, item := range items {
		e, err := t.entry(item)
		if err != nil {
			bad[key] = err
			continue
		}
		entries[key] = e
	}
	if len(bad) == 0 {
		return entries, err
	}
	if b, ok := errors.AsType[*BatchError](err); ok {
		maps.Copy(bad, b.Errors)
	} else if err != nil {
		return entries, err
	}
	return entries, fault.Wrap("kv", "get many", "", &BatchError{Errors: bad})
}

// Put is KV.Put.
func (t *Typed[T]) Put(ctx context.Context, key string, v T, opts ...PutOption) (Revision, error) {
	b, err := t.encode(key, v)
	if err != nil {
		return 0, err
	}
	return t.store.Put(ctx, key, b, opts...)
}

// Delete is KV.Delete.
func (t *Typed[T]) Delete(ctx context.Context, key string, opts ...DeleteOption) error {
	return t.store.Delete(ctx, key, opts...)
}

// Update is the function Update. For a key that is not there, change gets the
// zero value.
func (t *Typed[T]) Update(ctx context.Context, key string, change func(v T, ok bool) (T, error), opts ...PutOption) (Entry[T], error) {
	var last T
	item, err := Update(ctx, t.store, key, func(item Item, ok bool) ([]byte, error) {
		var e Entry[T]
		if ok {
			var err error
			e, err = t.entry(item)
			if err != nil {
				return nil, err
			}
		}
		v, err := change(e.Value, ok)
		if err != nil {
			return nil, err
		}
		last = v
		return t.encode(key, v)
	}, opts...)
	if err != nil {
		return Entry[T]{}, err
	}
	return Entry[T]{key, last, item.Revision, item.Expires}, nil
}

// List is KV.List. A value that cannot be decoded is an error that does not end
// the sequence.
func (t *Typed[T]) List(ctx context.Context, prefix string, opts ...ListOption) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		for item, err := range t.store.List(ctx, prefix, opts...) {
			var e Entry[T]
			if err == nil {
				e, err = t.entry(item)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TypedEvent is an Event whose value is a T.
type TypedEvent[T any] struct {
	Kind  EventKind
	Entry Entry[T]
}

// Watch is KV.Watch. A value that cannot be decoded is an error that does not
// end the sequence; its TypedEvent has the kind EventPut and the key.
func (t *Typed[T]) Watch(ctx context.Context, prefix string) iter.Seq2[TypedEvent[T], error] {
	return func(yield func(TypedEvent[T], error) bool) {
		for event, err := range t.store.Watch(ctx, prefix) {
			e := TypedEvent[T]{Kind: event.Kind, Entry: Entry[T]{Key: event.Item.Key, Revision: event.Item.Revision}}
			if err == nil && event.Kind == EventPut {
				var entry Entry[T]
				entry, err = t.entry(event.Item)
				if err == nil {
					e.Entry = entry
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
