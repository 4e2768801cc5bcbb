package kv_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

// What a typed view can't read, write or be told is the caller's to hear, and leaves
// what is stored.
func TestTypedSaysWhatFails(t *testing.T) {
	store := newStore(t)
	numbers := kv.NewTyped[int](store, nil)
	if _, err := numbers.Get(t.Context(), "none"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	if _, err := store.Put(t.Context(), "text", []byte("x")); err != nil {
		t.Fatal(err)
	}
	own := errors.New("own")
	for name, c := range map[string]struct {
		key    string
		change func(int, bool) (int, error)
		want   error
	}{
		"of what is no number": {"text", func(int, bool) (int, error) { return 1, nil }, kv.ErrInvalid},
		"that is refused":      {"n", func(int, bool) (int, error) { return 1, own }, own},
		"of no key":            {"", func(int, bool) (int, error) { return 1, nil }, kv.ErrInvalid},
	} {
		if e, err := numbers.Update(t.Context(), c.key, c.change); !errors.Is(err, c.want) || e != (kv.Entry[int]{}) {
			t.Errorf("Update %s: %+v, %v, want %v", name, e, err, c.want)
		}
	}
	if item, err := store.Get(t.Context(), "text"); err != nil || string(item.Value) != "x" {
		t.Errorf("stored is %q, %v", item.Value, err)
	}
	if _, err := store.Get(t.Context(), "n"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a refused update left %v", err)
	}
	if all, err := numbers.GetMany(t.Context(), "n", ""); !errors.Is(err, kv.ErrInvalid) || len(all) != 0 {
		t.Errorf("GetMany of no key: %v, %v", all, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if all, err := numbers.GetMany(t.Context(), "text"); !errors.Is(err, kv.ErrClosed) || len(all) != 0 {
		t.Errorf("GetMany of a closed store: %v, %v", all, err)
	}
}

func TestOptionsAreCheckedBeforeTheCall(t *testing.T) {
	store := newStore(t)
	if _, err := store.Add(t.Context(), "k", 1, kv.TTL(-time.Second)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("Add for a time that is over: %v", err)
	}
	if _, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("a refused Add left %v", err)
	}
}

// Watch ends at once where it can't begin, and says why.
func TestWatchesThatCannotBegin(t *testing.T) {
	store := newStore(t)
	ended, end := context.WithCancel(t.Context())
	end()
	closed := newStore(t)
	closed.Close()
	for name, c := range map[string]struct {
		store  kv.KV
		ctx    context.Context
		prefix string
		want   error
	}{
		"no UTF-8":          {store, t.Context(), "\xff", kv.ErrInvalid},
		"an ended context":  {store, ended, "", context.Canceled},
		"of a closed store": {closed, t.Context(), "", kv.ErrClosed},
	} {
		said := 0
		for e, err := range c.store.Watch(c.ctx, c.prefix) {
			said++
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "watch") {
				t.Errorf("%s: %+v, %v, want %v", name, e, err, c.want)
			}
		}
		if said != 1 {
			t.Errorf("%s: said %d times", name, said)
		}
	}
}

// A list that is being read when its store closes ends with that.
func TestAListEndsWithItsStore(t *testing.T) {
	store := newStore(t)
	for _, key := range []string{"a", "b", "c"} {
		if _, err := store.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	var last error
	for item, err := range store.List(t.Context(), "") {
		if last = err; err != nil {
			continue
		}
		keys = append(keys, item.Key)
		go store.Close() // which waits for the list
		for closed := false; !closed; {
			_, err := store.Get(t.Context(), "a")
			closed = errors.Is(err, kv.ErrClosed)
		}
	}
	if !errors.Is(last, kv.ErrClosed) || len(keys) != 1 {
		t.Errorf("keys %v, then %v, want one and ErrClosed", keys, last)
	}
}
