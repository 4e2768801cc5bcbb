package kv_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
)

// TestUpdateAndLives: an item keeps the life it has, unless Update is given one.
func TestUpdateAndLives(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, given time.Duration // 0: none
		want          time.Duration
	}{
		{"none, none given", 0, 0, 0},
		{"none, one given", 0, time.Minute, time.Minute},
		{"kept", time.Hour, 0, time.Hour},
		{"shortened", time.Hour, time.Minute, time.Minute},
		{"made longer", time.Minute, time.Hour, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore(t)
				var put, opts []kv.PutOption
				if c.before > 0 {
					put = append(put, kv.TTL(c.before))
				}
				if c.given > 0 {
					opts = append(opts, kv.TTL(c.given))
				}
				if _, err := store.Put(t.Context(), "k", []byte("1"), put...); err != nil {
					t.Fatal(err)
				}
				written, err := kv.Update(t.Context(), store, "k", func(kv.Item, bool) ([]byte, error) { return []byte("2"), nil }, opts...)
				if err != nil {
					t.Fatal(err)
				}
				stored, err := store.Get(t.Context(), "k", kv.Expiry())
				if err != nil || string(stored.Value) != "2" {
					t.Fatalf("stored %q, %v", stored.Value, err)
				}
				for what, item := range map[string]kv.Item{"returned": written, "stored": stored} {
					if got := time.Until(item.Expires); item.Expires.IsZero() != (c.want == 0) || c.want > 0 && got != c.want {
						t.Errorf("%s: %v left, want %v", what, got, c.want)
					}
				}
				if c.want > 0 {
					time.Sleep(c.want)
					if _, err := store.Get(t.Context(), "k"); err == nil {
						t.Errorf("still there after %v", c.want)
					}
				}
			})
		})
	}
}
