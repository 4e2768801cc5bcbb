package kv_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

// small is a driver of the least abilities, whose values have a limit.
type small struct {
	kv.Driver
	answer error // of each write
	writes atomic.Int64
}

func (s *small) Features() kv.Features { return kv.Features{MaxValue: 10} }

func (s *small) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	s.writes.Add(1)
	if s.answer != nil {
		return 0, s.answer
	}
	return s.Driver.Put(ctx, w)
}

func newSmall(t *testing.T, opts ...kv.Option) (*small, kv.KV) {
	t.Helper()
	memory, err := kv.NewMemoryDriver()
	if err != nil {
		t.Fatal(err)
	}
	s := &small{Driver: memory}
	return s, newStore(t, append(opts, kv.WithDriver("small", func(context.Context) (kv.Driver, error) { return s, nil }))...)
}

// Each call has the same limits of keys, the namespace included.
func TestLimitsOfKeys(t *testing.T) {
	const namespace = "shop/"
	longest := strings.Repeat("k", kv.MaxKey-len(namespace))
	_, few := newSmall(t, kv.WithNamespace("shop"))
	for name, store := range map[string]kv.KV{"memory": newStore(t, kv.WithNamespace("shop")), "the least abilities": few} {
		for call, do := range map[string]func(key string) error{
			"Get": func(key string) error {
				if _, err := store.Get(t.Context(), key); !errors.Is(err, kv.ErrNotFound) {
					return err
				}
				return nil
			},
			"GetMany": func(key string) error { _, err := store.GetMany(t.Context(), "a", key); return err },
			"Put":     func(key string) error { _, err := store.Put(t.Context(), key, []byte("1")); return err },
			"PutMany": func(key string) error { return store.PutMany(t.Context(), map[string][]byte{"a": nil, key: nil}) },
			"Delete":  func(key string) error { return store.Delete(t.Context(), key) },
		} {
			for key, ok := range map[string]bool{"k": true, longest: true, longest[1:]: true, longest + "k": false, "": false, "\xff": false} {
				if err := do(key); errors.Is(err, kv.ErrInvalid) == ok || ok && err != nil {
					t.Errorf("%s, %s of a key of %d bytes: %v, want success %t", name, call, len(key), err, ok)
				}
			}
		}
	}
}

func TestLimitsOfOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt kv.Option
		ok  bool
	}{
		"a namespace of 128": {kv.WithNamespace(strings.Repeat("n", 128)), true}, "of 129": {kv.WithNamespace(strings.Repeat("n", 129)), false},
		"of no UTF-8": {kv.WithNamespace("\xff"), false}, "a timeout": {kv.WithTimeout(1), true}, "no timeout": {kv.WithTimeout(0), false},
	} {
		store, err := kv.New(c.opt)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v, want success %t", name, err, c.ok)
		}
		if err == nil {
			store.Close()
		}
	}
	s, store := newSmall(t)
	put := func(opts ...kv.PutOption) func() error {
		return func() error { _, err := store.Put(t.Context(), "k", []byte("v"), opts...); return err }
	}
	for name, c := range map[string]struct {
		do func() error
		ok bool
	}{
		"a millisecond":               {put(kv.TTL(time.Millisecond)), true},
		"less":                        {put(kv.TTL(time.Millisecond - 1)), false},
		"absent and of a revision":    {put(kv.IfAbsent(), kv.IfRevision(1)), false},
		"nil in Put":                  {put(nil), false},
		"nil in Get":                  {func() error { _, err := store.Get(t.Context(), "k", nil); return err }, false},
		"nil in Delete":               {func() error { return store.Delete(t.Context(), "k", nil) }, false},
		"revision 0 in Delete":        {func() error { return store.Delete(t.Context(), "k", kv.IfRevision(0)) }, false},
		"nil in PutMany":              {func() error { return store.PutMany(t.Context(), map[string][]byte{"k": nil}, nil) }, false},
		"absent in PutMany":           {func() error { return store.PutMany(t.Context(), map[string][]byte{"k": nil}, kv.IfAbsent()) }, false},
		"of a revision in PutMany":    {func() error { return store.PutMany(t.Context(), map[string][]byte{"k": nil}, kv.IfRevision(1)) }, false},
		"of no revision in PutMany":   {func() error { return store.PutMany(t.Context(), map[string][]byte{"k": nil}, kv.IfRevision(0)) }, false},
		"a time to live in PutMany":   {func() error { return store.PutMany(t.Context(), map[string][]byte{"k": nil}, kv.TTL(time.Minute)) }, true},
		"too short a time in PutMany": {func() error { return store.PutMany(t.Context(), map[string][]byte{"k": nil}, kv.TTL(1)) }, false},
		"nothing in PutMany and GetMany": {func() error {
			_, err := store.GetMany(t.Context())
			return errors.Join(err, store.PutMany(t.Context(), nil))
		}, true},
	} {
		before := s.writes.Load()
		err := c.do()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s: %v, want success %t", name, err, c.ok)
		}
		if !c.ok && s.writes.Load() != before {
			t.Errorf("%s: it was written", name)
		}
	}
}

func TestLimitsOfValues(t *testing.T) {
	_, store := newSmall(t)
	for n, want := range map[int]error{9: nil, 10: nil, 11: kv.ErrTooLarge} {
		value := make([]byte, n)
		if _, err := store.Put(t.Context(), "one", value); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("Put of %d bytes: %v, want %v", n, err, want)
		}
		err := store.PutMany(t.Context(), map[string][]byte{"many": value, "beside": []byte("v")})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("PutMany of %d bytes: %v, want %v", n, err, want)
		}
		if item, err := store.Get(t.Context(), "beside"); err != nil || string(item.Value) != "v" {
			t.Errorf("beside a value of %d bytes: %v, %v", n, item, err)
		}
		if err := store.Delete(t.Context(), "beside"); err != nil {
			t.Fatal(err)
		}
	}
}

// ErrExists is for IfAbsent; a revision that is not there any more is a conflict.
func TestConflictsSayWhatWasAsked(t *testing.T) {
	s, store := newSmall(t)
	for name, c := range map[string]struct {
		answer    error
		opts      []kv.PutOption
		want, not error
	}{
		"absent":        {kv.ErrExists, []kv.PutOption{kv.IfAbsent()}, kv.ErrExists, kv.ErrConflict},
		"no revision":   {kv.ErrExists, []kv.PutOption{kv.IfRevision(0)}, kv.ErrConflict, kv.ErrExists},
		"a revision":    {kv.ErrConflict, []kv.PutOption{kv.IfRevision(7)}, kv.ErrConflict, kv.ErrExists},
		"an outage":     {kv.ErrUnavailable, []kv.PutOption{kv.IfRevision(0)}, kv.ErrUnavailable, kv.ErrConflict},
		"no conditions": {kv.ErrUnavailable, nil, kv.ErrUnavailable, kv.ErrConflict},
	} {
		s.answer = c.answer
		if _, err := store.Put(t.Context(), "k", nil, c.opts...); !errors.Is(err, c.want) || errors.Is(err, c.not) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
