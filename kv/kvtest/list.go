package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/micro/go-platform/kv"
)

// keysOf collects what List yields.
func (s *suite) keysOf(store kv.KV, prefix string, opts ...kv.ListOption) []string {
	s.Helper()
	keys := []string{}
	for item, err := range store.List(s.ctx(), prefix, opts...) {
		if err != nil {
			s.Fatalf("List(%q): %v", prefix, err)
		}
		keys = append(keys, item.Key)
	}
	return keys
}

// lister opens a store that can list; one that cannot has to say so.
func (s *suite) lister() kv.KV {
	s.Helper()
	store := s.open()
	if store.Features().List {
		return store
	}
	for _, err := range store.List(s.ctx(), "") {
		s.wantErr(err, kv.ErrUnsupported, "list")
		s.Skip("the backend does not list, and says so")
	}
	s.Fatal("List yields nothing and no error, but Features.List is not set")
	return nil
}

var listCases = []testCase{
	{"ListIsOrderedAndOfThePrefix", func(s *suite) {
		store := s.lister()
		for _, key := range []string{"b/2", "a", "b/10", "b", "c", "b/1", "bb"} {
			s.put(store, key, "of "+key)
		}
		other := s.openIn(s.ns + "2")
		s.put(other, "b/3", "of another namespace")
		for _, c := range []struct {
			prefix string
			want   []string
		}{
			{"b/", []string{"b/1", "b/10", "b/2"}},
			{"b", []string{"b", "b/1", "b/10", "b/2", "bb"}},
			{"", []string{"a", "b", "b/1", "b/10", "b/2", "bb", "c"}},
			{"nobody", []string{}},
		} {
			if got := s.keysOf(store, c.prefix); !slices.Equal(got, c.want) {
				s.Errorf("List(%q) = %q, want %q", c.prefix, got, c.want)
			}
		}
		for item, err := range store.List(s.ctx(), "b") {
			if err != nil || string(item.Value) != "of "+item.Key || item.Revision == 0 {
				s.Fatalf("List gave %+v, %v", item, err)
			}
		}
	}},
	{"ListOfOddKeys", func(s *suite) {
		store := s.lister()
		want := OddKeys()
		for _, key := range want {
			s.put(store, key, "v")
		}
		slices.Sort(want)
		if got := s.keysOf(store, ""); !slices.Equal(got, want) {
			s.Fatalf("List gave %d keys\n%.2000q\nwant %d\n%.2000q", len(got), got, len(want), want)
		}
		for _, prefix := range want {
			var under []string
			for _, key := range want {
				if len(key) >= len(prefix) && key[:len(prefix)] == prefix {
					under = append(under, key)
				}
			}
			if got := s.keysOf(store, prefix); !slices.Equal(got, under) {
				s.Errorf("List(%.40q) = %.200q, want %.200q", prefix, got, under)
			}
		}
	}},
	{"ListGoesPageByPage", func(s *suite) {
		store := s.lister()
		values, want := map[string][]byte{}, []string{}
		for i := range 1100 {
			key := fmt.Sprintf("p/%04d", i)
			values[key], want = []byte("v"), append(want, key)
		}
		if err := store.PutMany(s.ctx(), values); err != nil {
			s.Fatal(err)
		}
		s.put(store, "q", "not of the prefix")
		if got := s.keysOf(store, "p/"); !slices.Equal(got, want) {
			s.Fatalf("List gave %d keys, want %d in order", len(got), len(want))
		}
		var paged []string
		last := ""
		for {
			page := s.keysOf(store, "p/", kv.After(last), kv.Limit(300))
			if len(page) > 300 {
				s.Fatalf("a page of %d, the limit was 300", len(page))
			}
			if len(page) == 0 {
				break
			}
			paged, last = append(paged, page...), page[len(page)-1]
		}
		if !slices.Equal(paged, want) {
			s.Fatalf("pages gave %d keys, want %d in order", len(paged), len(want))
		}
		if got := s.keysOf(store, "p/", kv.After("p/1098")); !slices.Equal(got, []string{"p/1099"}) {
			s.Fatalf("After the last but one: %q", got)
		}
		ctx, cancel := context.WithCancel(s.ctx())
		defer cancel()
		n, ended := 0, error(nil)
		for _, err := range store.List(ctx, "p/") {
			cancel() // at the first item
			ended = err
			if err == nil {
				n++
			}
		}
		if !errors.Is(ended, context.Canceled) && (ended != nil || n != len(want)) {
			s.Errorf("List whose context ended gave %d keys and ended with %v", n, ended)
		}
		for after, n := range map[string]int{"a": len(want), "p/": len(want), "p/1099": 0, "q": 0} {
			if got := s.keysOf(store, "p/", kv.After(after)); len(got) != n {
				s.Errorf("After(%q): %d keys, want %d", after, len(got), n)
			}
		}
	}},
	{"ListStopsWithItsReaderAndContext", func(s *suite) {
		store := s.lister()
		for i := range 5 {
			s.put(store, fmt.Sprint(i), "v")
		}
		for range store.List(s.ctx(), "") {
			break
		}
		ctx, cancel := context.WithCancel(s.ctx())
		cancel()
		n := 0
		for _, err := range store.List(ctx, "") {
			n++
			if !errors.Is(err, context.Canceled) {
				s.Fatalf("List with an ended context: %v", err)
			}
		}
		if n != 1 {
			s.Fatalf("List with an ended context yielded %d times, want once", n)
		}
	}},
}
