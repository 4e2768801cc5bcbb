package etcd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/etcd"
)

// TestPagesOfAList: they are of one revision, whatever is written meanwhile, unless that
// is compacted: then the list goes on with what is there.
func TestPagesOfAList(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	c := client(t, server.Addr())
	for name, compact := range map[string]bool{"written meanwhile": false, "compacted meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			store := opener(etcd.Backend(server.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
			defer store.Close()
			values, want := map[string][]byte{}, []string{}
			for i := range 600 { // three pages
				key := fmt.Sprintf("%03d", i)
				values[key], want = []byte("old"), append(want, key)
			}
			if err := store.PutMany(t.Context(), values); err != nil {
				t.Fatal(err)
			}
			var keys []string
			last := ""
			for item, err := range store.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				if len(keys) == 0 {
					if _, err := store.Put(t.Context(), "599", []byte("new")); err != nil {
						t.Fatal(err)
					}
					r, err := c.Get(t.Context(), "x")
					if err == nil && compact {
						_, err = c.Compact(t.Context(), r.Header.Revision)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				keys, last = append(keys, item.Key), string(item.Value)
			}
			if !slices.Equal(keys, want) {
				t.Errorf("%d keys, want %d in order", len(keys), len(want))
			}
			if (last == "new") != compact {
				t.Errorf("the last value is %q", last)
			}
		})
	}
}

// TestKeysOfOtherPrograms: what can be no key of ours is neither listed nor in a watch.
func TestKeysOfOtherPrograms(t *testing.T) {
	t.Parallel()
	server, ns := servertest.SharedEtcd(t), servertest.Namespace(t)+"/"
	store, c := opener(etcd.Backend(server.Addr()))(t), client(t, server.Addr()) // of all keys
	defer store.Close()
	put := func(key string) {
		t.Helper()
		if _, err := c.Put(t.Context(), ns+key, "v"); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("k", kv.MaxKey-len(ns))
	for _, key := range []string{"a\xff", long, long + "k"} {
		put(key)
	}
	var listed []string
	for item, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if key, ok := strings.CutPrefix(item.Key, ns); ok {
			listed = append(listed, key)
		}
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
			put("b\xff")
			put(long + "l")
			put("last")
		}
		key, ok := strings.CutPrefix(e.Item.Key, ns)
		if ok && e.Kind == kv.EventPut {
			told = append(told, key)
		}
		if key == "last" {
			break
		}
	}
	if !slices.Equal(told, []string{long, "last"}) {
		t.Errorf("in a watch: %.40q", told)
	}
}
