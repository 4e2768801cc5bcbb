package kv_test

import (
	"errors"
	"strconv"
	"sync"
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

func TestUpdateIsExactUnderContention(t *testing.T) {
	store := newStore(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := kv.Update(t.Context(), store, "n", func(item kv.Item, ok bool) ([]byte, error) {
				n := 0
				if ok {
					n, _ = strconv.Atoi(string(item.Value))
				}
				return strconv.AppendInt(nil, int64(n+1), 10), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if item, _ := store.Get(t.Context(), "n"); string(item.Value) != "100" {
		t.Fatalf("100 updates made %s", item.Value)
	}
}

func TestUpdateKeepsLifeAndStopsOnErrors(t *testing.T) {
	store := newStore(t)
	_, _ = store.Put(t.Context(), "k", []byte("1"), kv.TTL(time.Hour))
	item, err := kv.Update(t.Context(), store, "k", func(kv.Item, bool) ([]byte, error) { return []byte("2"), nil })
	if err != nil || item.Expires.IsZero() {
		t.Fatalf("got %+v, %v", item, err)
	}
	now, _ := store.Get(t.Context(), "k")
	if left := time.Until(now.Expires); left < 59*time.Minute || left > time.Hour || now.Revision != item.Revision {
		t.Fatalf("after the update it lives %v at revision %d, want an hour at %d", left, now.Revision, item.Revision)
	}
	item, _ = kv.Update(t.Context(), store, "k", func(kv.Item, bool) ([]byte, error) { return []byte("3"), nil }, kv.TTL(2*time.Hour))
	if left := time.Until(item.Expires); left < 119*time.Minute {
		t.Fatalf("with TTL 2h it lives %v", left)
	}
	mine := errors.New("mine")
	if _, err := kv.Update(t.Context(), store, "k", func(kv.Item, bool) ([]byte, error) { return nil, mine }); err != mine {
		t.Fatalf("got %v, want my own error", err)
	}
}

func TestUpdateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		tries := 0
		_, err := kv.Update(t.Context(), store, "k", func(kv.Item, bool) ([]byte, error) {
			tries++
			_, _ = store.Put(t.Context(), "k", []byte("somebody else"))
			return []byte("x"), nil
		})
		if !errors.Is(err, kv.ErrConflict) || tries != 101 {
			t.Fatalf("%v after %d tries, want ErrConflict after 101", err, tries)
		}
	})
}
