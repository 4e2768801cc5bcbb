// Package kv has the source of config that reads a kv store, on any of its
// backends.
//
//	store, err := kv.New(redis.Backend("127.0.0.1:6379"))
//	config.WithSource(configkv.Source(store, "config/orders"))
//
// A key holds one document. A key that ends with a slash stands for all keys
// below it: each holds a document, they merge in the order of their names. A
// store that can watch tells of changes at once; any other is polled.
package kv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

// Option is an option of Source.
type Option func(*source) error

// WithFormat says how the documents are written; the default is JSON.
func WithFormat(f config.Format) Option {
	return func(s *source) error {
		s.format = f
		return fronts.Given(f, "WithFormat")
	}
}

// Source returns the source of key in store, which it never closes.
func Source(store kv.KV, key string, opts ...Option) config.Source {
	s := &source{store: store, key: key, opts: opts}
	if !fronts.Nil(store) && store.Features().Watch {
		return &watched{s}
	}
	return s
}

type source struct {
	store  kv.KV
	key    string
	opts   []Option
	format config.Format
}

func (s *source) Name() string { return "kv " + s.key }

func (s *source) tree() bool { return strings.HasSuffix(s.key, "/") }

func (s *source) Open(context.Context) error {
	switch {
	case fronts.Nil(s.store):
		return fault.Markf(config.ErrInvalid, "nil store")
	case s.key == "" || len(s.key) > kv.MaxKey:
		return fault.Markf(config.ErrInvalid, "key of %d bytes, want 1 to %d", len(s.key), kv.MaxKey)
	case s.tree() && !s.store.Features().List:
		return fault.Markf(config.ErrInvalid, "key %q stands for those below it, which the store can't list", s.key)
	}
	if err := fronts.Apply(s, s.opts); err != nil {
		return fault.Mark(config.ErrInvalid, err)
	}
	return nil
}

func (s *source) Read(ctx context.Context) (config.Content, error) {
	items := map[string][]byte{}
	if !s.tree() {
		item, err := s.store.Get(ctx, s.key)
		if err != nil {
			return config.Content{}, fault.Adopt("config", err)
		}
		items[s.key] = item.Value
		return s.content(items)
	}
	for item, err := range s.store.List(ctx, s.key) {
		if err != nil {
			return config.Content{}, fault.Adopt("config", err)
		}
		items[item.Key] = item.Value
	}
	return s.content(items)
}

func (s *source) content(items map[string][]byte) (config.Content, error) {
	if len(items) == 0 {
		return config.Content{}, fault.Markf(config.ErrNotFound, "no such key")
	}
	var c config.Content
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(items)) {
		part := config.Part{Data: items[key], Format: s.format}
		if key != s.key {
			part.Name = strings.TrimPrefix(key, s.key)
		}
		fmt.Fprintf(h, "%q %d\n", key, len(part.Data))
		h.Write(part.Data)
		c.Parts = append(c.Parts, part)
	}
	c.Revision = hex.EncodeToString(h.Sum(nil)[:8])
	return c, nil
}

type watched struct{ *source }

func (s *watched) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	items := map[string][]byte{}
	synced := false
	for e, err := range s.store.Watch(ctx, s.key) {
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, kv.ErrClosed) {
				return err
			}
			deliver(config.Content{}, err)
			synced = false // the state comes again
			continue
		}
		if e.Kind != kv.EventSynced && !s.tree() && e.Item.Key != s.key {
			continue // another key that begins like this one
		}
		switch e.Kind {
		case kv.EventPut:
			items[e.Item.Key] = e.Item.Value
		case kv.EventDelete:
			delete(items, e.Item.Key)
		case kv.EventSynced:
			synced = true
		}
		if synced {
			deliver(s.content(items))
		}
	}
	return ctx.Err()
}
