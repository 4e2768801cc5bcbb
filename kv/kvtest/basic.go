package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

var basicCases = []testCase{
	{"MissingKeyIsNotFound", func(s *suite) {
		store := s.open()
		_, err := store.Get(s.ctx(), "nobody")
		s.wantErr(err, kv.ErrNotFound, `get "nobody"`)
	}},
	{"PutThenGet", func(s *suite) {
		store := s.open()
		rev := s.put(store, "a", "1")
		item := s.get(store, "a")
		if string(item.Value) != "1" || item.Revision != rev || !item.Expires.IsZero() {
			s.Fatalf("got %+v, want value 1, revision %d and no end", item, rev)
		}
		s.put(store, "a", "2")
		s.want(store, "a", "2")
	}},
	{"DeleteOfMissingIsNoError", func(s *suite) {
		store := s.open()
		s.put(store, "a", "1")
		for range 2 {
			if err := store.Delete(s.ctx(), "a"); err != nil {
				s.Fatalf("Delete: %v", err)
			}
		}
		s.wantMissing(store, "a")
	}},
	{"AnyBytesAreAValue", func(s *suite) {
		store := s.open()
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for i, v := range [][]byte{{}, nil, {0}, all, []byte("\r\nEND\r\n"), []byte("12"), bytes.Repeat(all, 400)} {
			key := fmt.Sprint("v", i)
			if _, err := store.Put(s.ctx(), key, v); err != nil {
				s.Fatalf("Put of %d bytes: %v", len(v), err)
			}
			item := s.get(store, key)
			if !bytes.Equal(item.Value, v) {
				s.Fatalf("value %d: got %.60q, want %.60q", i, item.Value, v)
			}
			if item.Value == nil {
				s.Fatalf("value %d: got nil, want an empty slice", i)
			}
		}
	}},
	{"AnyTextIsAKey", func(s *suite) {
		store := s.open()
		for i, key := range OddKeys() {
			s.put(store, key, fmt.Sprint(i))
		}
		for i, key := range OddKeys() {
			s.want(store, key, fmt.Sprint(i))
		}
		items, err := store.GetMany(s.ctx(), OddKeys()...)
		if err != nil || len(items) != len(OddKeys()) {
			s.Fatalf("GetMany gave %d of %d, %v", len(items), len(OddKeys()), err)
		}
		for _, key := range OddKeys() {
			if items[key].Key != key {
				s.Fatalf("GetMany gave %q the key %q", key, items[key].Key)
			}
			if err := store.Delete(s.ctx(), key); err != nil {
				s.Fatalf("Delete(%q): %v", key, err)
			}
			s.wantMissing(store, key)
		}
	}},
	{"NamespacesDoNotMeet", func(s *suite) {
		ns := namespace()
		a, b := s.openIn(ns+"a"), s.openIn(ns+"b")
		s.put(a, "k", "of a")
		s.wantMissing(b, "k")
		s.put(b, "k", "of b")
		if err := b.Delete(s.ctx(), "k"); err != nil {
			s.Fatal(err)
		}
		s.want(a, "k", "of a")
		if items, err := b.GetMany(s.ctx(), "k"); err != nil || len(items) != 0 {
			s.Fatalf("GetMany in the other namespace gave %v, %v", items, err)
		}
	}},
	{"GivenValuesAreCopied", func(s *suite) {
		store := s.open()
		given := []byte("abc")
		if _, err := store.Put(s.ctx(), "k", given); err != nil {
			s.Fatal(err)
		}
		given[0] = 'X'
		s.want(store, "k", "abc")
		if err := store.PutMany(s.ctx(), map[string][]byte{"m": given}); err != nil {
			s.Fatal(err)
		}
		given[0] = 'Y'
		s.want(store, "m", "Xbc")
	}},
	{"SharedByAnotherStore", func(s *suite) {
		a := s.open()
		if !a.Features().Shared {
			s.Skip("the backend is of this process")
		}
		b := s.open()
		s.put(a, "k", "v")
		s.want(b, "k", "v")
	}},
	{"TooLargeKeepsTheOldValue", func(s *suite) {
		store := s.open()
		limit := store.Features().MaxValue
		if limit == 0 || limit > 64<<20 {
			s.Skipf("the limit is %d", limit)
		}
		s.put(store, "k", "old")
		_, err := store.Put(s.ctx(), "k", make([]byte, limit+1))
		s.wantErr(err, kv.ErrTooLarge, `put "k"`)
		s.want(store, "k", "old")
		if err := store.PutMany(s.ctx(), map[string][]byte{"k": make([]byte, limit+1), "other": []byte("fine")}); !errors.Is(err, kv.ErrTooLarge) {
			s.Fatalf("PutMany: got %v, want ErrTooLarge", err)
		}
		s.want(store, "k", "old")
		s.want(store, "other", "fine")
		if _, err := store.Put(s.ctx(), "k", bytes.Repeat([]byte("x"), limit)); err != nil {
			s.Fatalf("a value of exactly the limit, %d bytes: %v", limit, err)
		}
		if n := len(s.get(store, "k").Value); n != limit {
			s.Fatalf("got %d bytes back, want %d", n, limit)
		}
	}},
	{"ManyGoroutines", func(s *suite) {
		store := s.open()
		var failed atomic.Pointer[error]
		together(16*s.h.Stress, func(i int) {
			for n := range 20 {
				key, want := fmt.Sprintf("%d/%d", i, n), fmt.Sprintf("value %d %d", i, n)
				_, err := store.Put(s.ctx(), key, []byte(want))
				if err == nil {
					var item kv.Item
					item, err = store.Get(s.ctx(), key)
					if err == nil && string(item.Value) != want {
						err = fmt.Errorf("%s holds %q, want %q", key, item.Value, want)
					}
				}
				if err == nil && n%3 == 0 {
					err = store.Delete(s.ctx(), key)
				}
				if err != nil {
					failed.Store(&err)
					return
				}
			}
		})
		if err := failed.Load(); err != nil {
			s.Fatal(*err)
		}
	}},
}

// OddKeys returns valid keys that backends are likely to get wrong.
func OddKeys() []string {
	return []string{
		"a", "A", " ", "a b", "a\tb", "a\r\nb", "a\x00b", "\x7f", "%", "%41", "a%2Fb", "+", "a+b", "?a=b", "#x", "&;=",
		"/", "//", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "./a", "*", "a*", "[ab]", "a?c", "\\", "\"q\"", "'",
		"{tag}", "{", "}", "a{b}c", "{}x", "größe", "日本語", "🙂", "e\u0301", "é", "\ufeffbom", "a\u00a0b", "\u0085", "\u2028", "全\u3000角", "~", "`", "$(x)", "k:1", "h:k",
		strings.Repeat("k", 250), strings.Repeat("x", 251), strings.Repeat("ü", 300), strings.Repeat("l", kv.MaxKey-40),
	}
}

var inputCases = []testCase{
	{"BadInputIsErrInvalid", func(s *suite) {
		store := s.open()
		put := func(key string, opts ...kv.PutOption) error {
			_, err := store.Put(s.ctx(), key, []byte("v"), opts...)
			return err
		}
		add := func(opts ...kv.PutOption) error { _, err := store.Add(s.ctx(), "k", 1, opts...); return err }
		get := func(key string) error { _, err := store.Get(s.ctx(), key); return err }
		list := func(prefix string, opts ...kv.ListOption) (err error) {
			for _, err = range store.List(s.ctx(), prefix, opts...) {
				return err
			}
			return nil
		}
		many := func(keys ...string) error { _, err := store.GetMany(s.ctx(), keys...); return err }
		for _, c := range []struct {
			name, op string
			err      error
		}{
			{"get of empty key", "get", get("")},
			{"get of long key", "get", get(strings.Repeat("k", kv.MaxKey+1))},
			{"get of a key that is not UTF-8", "get", get("a\xff")},
			{"put of empty key", "put", put("")},
			{"put with TTL 0", "put", put("k", kv.TTL(0))},
			{"put with negative TTL", "put", put("k", kv.TTL(-time.Second))},
			{"put with TTL below a millisecond", "put", put("k", kv.TTL(time.Microsecond))},
			{"put with nil option", "put", put("k", nil)},
			{"put with both conditions", "put", put("k", kv.IfAbsent(), kv.IfRevision(1))},
			{"delete of empty key", "delete", store.Delete(s.ctx(), "")},
			{"delete with nil option", "delete", store.Delete(s.ctx(), "k", nil)},
			{"delete of revision 0", "delete", store.Delete(s.ctx(), "k", kv.IfRevision(0))},
			{"add with a condition", "add", add(kv.IfAbsent())},
			{"add with revision 0", "add", add(kv.IfRevision(0))},
			{"get many with an empty key", "get many", many("a", "")},
			{"put many with an empty key", "put many", store.PutMany(s.ctx(), map[string][]byte{"": nil})},
			{"put many with a condition", "put many", store.PutMany(s.ctx(), map[string][]byte{"k": nil}, kv.IfAbsent())},
			{"list of a prefix that is not UTF-8", "list", list("\xff")},
			{"list with limit 0", "list", list("", kv.Limit(0))},
			{"list with nil option", "list", list("", nil)},
		} {
			if c.err == nil {
				s.Errorf("%s: no error", c.name)
				continue
			}
			s.wantErr(c.err, kv.ErrInvalid, c.op)
		}
		s.wantMissing(store, "k")
	}},
	{"EndedContextIsItsError", func(s *suite) {
		store := s.open()
		s.put(store, "k", "v")
		ctx, cancel := context.WithCancel(s.ctx())
		cancel()
		_, err := store.Get(ctx, "k")
		s.wantErr(err, context.Canceled, "get")
		_, err = store.Put(ctx, "k", []byte("w"))
		s.wantErr(err, context.Canceled, "put")
		s.wantErr(store.Delete(ctx, "k"), context.Canceled, "delete")
		_, err = store.Add(ctx, "n", 1)
		s.wantErr(err, context.Canceled, "add")
		s.want(store, "k", "v")
		s.wantMissing(store, "n")
	}},
	{"CounterCounts", func(s *suite) {
		store := s.open()
		for _, c := range []struct{ delta, want int64 }{{5, 5}, {-8, -3}, {0, -3}, {math.MaxInt64, math.MaxInt64 - 3}} {
			if got, err := store.Add(s.ctx(), "n", c.delta); err != nil || got != c.want {
				s.Fatalf("Add(%d) = %d, %v, want %d", c.delta, got, err, c.want)
			}
		}
		s.want(store, "n", fmt.Sprint(int64(math.MaxInt64-3)))
		_, err := store.Add(s.ctx(), "n", 4)
		s.wantErr(err, kv.ErrInvalid, "add")
		s.want(store, "n", fmt.Sprint(int64(math.MaxInt64-3)))

		s.put(store, "text", "seven")
		_, err = store.Add(s.ctx(), "text", 1)
		s.wantErr(err, kv.ErrInvalid, "add")
		s.put(store, "m", "41")
		if got, err := store.Add(s.ctx(), "m", 1); err != nil || got != 42 {
			s.Fatalf("Add to a number that was put = %d, %v, want 42", got, err)
		}
	}},
	{"CounterIsAtomic", func(s *suite) {
		store := s.open()
		const each = 5
		n := 20 * s.h.Stress
		var failed atomic.Int64
		seen := make([]map[int64]bool, n)
		together(n, func(i int) {
			seen[i] = map[int64]bool{}
			for range each {
				sum, err := store.Add(s.ctx(), "n", 1)
				if err != nil {
					s.Errorf("Add: %v", err)
					failed.Add(1)
					return
				}
				seen[i][sum] = true
			}
		})
		all := map[int64]bool{}
		for _, m := range seen {
			for sum := range m {
				all[sum] = true
			}
		}
		if len(all) != n*each {
			s.Fatalf("%d different sums of %d additions", len(all), n*each)
		}
		s.want(store, "n", fmt.Sprint(n*each))
	}},
}

var _ testing.TB = (*suite)(nil)
