package issuer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// What is over goes from a memory, read or not.
func TestAMemoryForgetsWhatIsOver(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &memory{m: map[string]record{}, now: func() time.Time { return now }}
	put := func(key string, version uint64, ttl time.Duration) error {
		return s.Put(t.Context(), key, []byte("v"), version, ttl)
	}
	if err := errors.Join(put("ends", 0, time.Second), put("stays", 0, 0)); err != nil {
		t.Fatal(err)
	}
	there := func(key string) bool {
		_, _, err := s.Get(t.Context(), key)
		return err == nil
	}
	now = now.Add(time.Second - 1)
	if !there("ends") || !there("stays") {
		t.Error("a record has ended too early")
	}
	if err := put("ends", 0, 0); !errors.Is(err, ErrConflict) {
		t.Errorf("a record that is there is not there: %v", err)
	}
	now = now.Add(1)
	listed := slices.Collect(func(yield func(string) bool) {
		for k := range s.List(t.Context(), "") {
			if !yield(k) {
				return
			}
		}
	})
	if there("ends") || !slices.Equal(listed, []string{"stays"}) {
		t.Errorf("left are %q, want what does not end", listed)
	}
	if err := put("ends", 0, 0); err != nil {
		t.Errorf("what has ended is there: %v", err)
	}
	for n := range 3000 {
		if err := put(fmt.Sprint("x", n), 0, time.Second); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	if n := len(s.m); n > 2100 {
		t.Errorf("%d records are kept, of which two count", n)
	}
	if len(s.m) < 2 || !there("stays") || !there("ends") {
		t.Error("what does not end is gone")
	}
}
