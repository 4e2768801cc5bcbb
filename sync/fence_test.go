package sync_test

import (
	"bytes"
	"context"
	"errors"
	gosync "sync"
	"testing"

	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

func TestFenceRefusesOlderTokens(t *testing.T) {
	var f dsync.Fence
	for _, c := range []struct {
		token uint64
		ok    bool
	}{{5, true}, {5, true}, {4, false}, {7, true}, {5, false}, {7, true}, {0, false}} {
		if err := f.Check(c.token); (err == nil) != c.ok || err != nil && !errors.Is(err, dsync.ErrConflict) {
			t.Errorf("Check(%d) after %d = %v", c.token, f.Largest(), err)
		}
	}
	var wg gosync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			for n := range uint64(1000) {
				f.Check(10 + n*8 + i)
			}
		})
	}
	wg.Wait()
	if got := f.Largest(); got != 10+999*8+7 {
		t.Errorf("largest %d, want %d", got, 10+999*8+7)
	}
}

// cell is a store of one value.
type cell struct {
	mu       gosync.Mutex
	value    []byte
	revision uint64
	fail     error
	full     error       // of each Store
	meddle   func(*cell) // between a Load and its Store, once
}

func (c *cell) Load(context.Context) ([]byte, uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, r := c.value, c.revision
	if f := c.meddle; f != nil {
		c.meddle = nil
		f(c)
	}
	return v, r, c.fail
}

func (c *cell) Store(_ context.Context, v []byte, revision uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full != nil {
		return c.full
	}
	if revision != c.revision {
		return fault.Conflict
	}
	c.value, c.revision = bytes.Clone(v), c.revision+1
	return nil
}

func TestWriteFencedSaysWhatTheStoreSays(t *testing.T) {
	if err := dsync.WriteFenced(t.Context(), &cell{full: dsync.ErrUnavailable}, 1, nil); !errors.Is(err, dsync.ErrUnavailable) {
		t.Errorf("a Store that fails: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dsync.WriteFenced(ctx, &cell{full: fault.Conflict}, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("conflicts without end, given up: %v, want Canceled", err)
	}
}

func TestWriteFencedRefusesALateWriter(t *testing.T) {
	ctx := t.Context()
	c := &cell{}
	if v, token, err := dsync.ReadFenced(ctx, c); v != nil || token != 0 || err != nil {
		t.Errorf("an empty cell reads %q, %d, %v", v, token, err)
	}
	for _, w := range []struct {
		token uint64
		value string
		ok    bool
	}{{3, "a", true}, {3, "b", true}, {2, "late", false}, {9, "", true}, {3, "late", false}} {
		err := dsync.WriteFenced(ctx, c, w.token, []byte(w.value))
		if (err == nil) != w.ok || err != nil && !errors.Is(err, dsync.ErrConflict) {
			t.Errorf("WriteFenced(%d) = %v", w.token, err)
		}
	}
	if v, token, err := dsync.ReadFenced(ctx, c); len(v) != 0 || token != 9 || err != nil {
		t.Errorf("reads %q, %d, %v, want an empty value and 9", v, token, err)
	}
}

func TestWriteFencedLosesNoRace(t *testing.T) {
	older, newer := &cell{}, &cell{}
	meddle := func(token uint64) func(*cell) {
		return func(c *cell) {
			c.value = append([]byte{0, 0, 0, 0, 0, 0, 0, byte(token)}, "meddled"...)
			c.revision++
		}
	}
	older.meddle, newer.meddle = meddle(3), meddle(7)
	if err := dsync.WriteFenced(t.Context(), older, 5, []byte("mine")); err != nil {
		t.Errorf("beside an older token: %v", err)
	}
	if v, _, _ := dsync.ReadFenced(t.Context(), older); string(v) != "mine" {
		t.Errorf("reads %q, want mine", v)
	}
	if err := dsync.WriteFenced(t.Context(), newer, 5, []byte("mine")); !errors.Is(err, dsync.ErrConflict) {
		t.Errorf("beside a newer token: %v, want conflict", err)
	}
}

func TestWriteFencedPassesErrorsOn(t *testing.T) {
	c := &cell{value: []byte("short"), revision: 1}
	if err := dsync.WriteFenced(t.Context(), c, 1, nil); !errors.Is(err, dsync.ErrInvalid) {
		t.Errorf("over a foreign value: %v, want invalid", err)
	}
	c.fail = fault.Unavailable
	if _, _, err := dsync.ReadFenced(t.Context(), c); !errors.Is(err, dsync.ErrUnavailable) {
		t.Errorf("ReadFenced = %v, want unavailable", err)
	}
}
