package kv_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

// What Get returns is shared. An append to it must not reach into the store.
func TestAppendToAValueMakesACopy(t *testing.T) {
	for n := range 40 {
		s, err := kv.New()
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("a"), n)
		if _, err := s.Put(t.Context(), "k", want); err != nil {
			t.Fatal(err)
		}
		one, err1 := s.Get(t.Context(), "k")
		two, err2 := s.Get(t.Context(), "k")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		x, y := append(one.Value, 'x'), append(two.Value, 'y')
		if x[n] != 'x' || y[n] != 'y' || cap(one.Value) != n {
			t.Errorf("%d bytes: two appends met: %q and %q", n, x, y)
		}
		s.Close()
	}
}

// A Put into memory allocates what it stores: a copy of the value, and the item.
func TestPutAllocatesWhatItStores(t *testing.T) {
	s, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, value := t.Context(), make([]byte, 100)
	life := []kv.PutOption{kv.TTL(time.Hour)}
	put := func(opts ...kv.PutOption) func() {
		return func() {
			if _, err := s.Put(ctx, "k", value, opts...); err != nil {
				t.Fatal(err)
			}
		}
	}
	put()()
	for name, op := range map[string]func(){"plain": put(), "with a TTL": put(life...)} {
		if n := testing.AllocsPerRun(1000, op); n > 2 {
			t.Errorf("%s: %v allocations, want 2", name, n)
		}
	}
}
