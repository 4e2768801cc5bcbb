package kv_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

func TestTyped(t *testing.T) {
	type user struct{ Name string }
	store := newStore(t)
	users := kv.NewTyped[user](store, nil)
	rev, err := users.Put(t.Context(), "u/1", user{"Ada"}, kv.TTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	e, err := users.Get(t.Context(), "u/1")
	if err != nil || e.Value.Name != "Ada" || e.Revision != rev || e.Expires.IsZero() || e.Key != "u/1" {
		t.Fatalf("got %+v, %v", e, err)
	}
	_, _ = store.Put(t.Context(), "u/2", []byte("no JSON"))
	if _, err := users.Get(t.Context(), "u/2"); !errors.Is(err, kv.ErrInvalid) {
		t.Fatalf("bytes that are no JSON gave %v", err)
	}
	all, err := users.GetMany(t.Context(), "u/1", "u/2", "u/3")
	var b *kv.BatchError
	if len(all) != 1 || !errors.As(err, &b) || b.Errors["u/2"] == nil {
		t.Fatalf("GetMany: %v, %v", all, err)
	}
	e, err = users.Update(t.Context(), "u/1", func(u user, ok bool) (user, error) { u.Name += " L."; return u, nil })
	if err != nil || e.Value.Name != "Ada L." {
		t.Fatalf("Update: %+v, %v", e, err)
	}
	var seen []string
	for e, err := range users.List(t.Context(), "u/") {
		seen = append(seen, fmt.Sprint(e.Value.Name, err != nil))
	}
	if fmt.Sprint(seen) != "[Ada L.false true]" {
		t.Fatalf("List: %q", seen)
	}
	for event, err := range users.Watch(t.Context(), "u/1") {
		if err != nil || event.Kind != kv.EventPut || event.Entry.Value.Name != "Ada L." {
			t.Fatalf("Watch: %+v, %v", event, err)
		}
		break
	}
	if err := users.Delete(t.Context(), "u/1"); err != nil {
		t.Fatal(err)
	}
	channels := kv.NewTyped[chan int](store, nil)
	if _, err := channels.Put(t.Context(), "c", nil); !errors.Is(err, kv.ErrInvalid) {
		t.Fatalf("a value without JSON gave %v", err)
	}
}

// number is a codec without a state, which a nil pointer is as good for.
type number struct{}

func (*number) Encode(n int) ([]byte, error)    { return []byte("n" + strconv.Itoa(n)), nil }
func (*number) Decode(data []byte) (int, error) { return strconv.Atoi(string(data[1:])) }

func TestANilPointerMayBeACodec(t *testing.T) {
	store := newStore(t)
	if _, err := kv.NewTyped[int](store, (*number)(nil)).Put(t.Context(), "k", 7); err != nil {
		t.Fatal(err)
	}
	if item, err := store.Get(t.Context(), "k"); err != nil || string(item.Value) != "n7" {
		t.Errorf("stored %q, %v, want what the codec encodes", item.Value, err)
	}
}
