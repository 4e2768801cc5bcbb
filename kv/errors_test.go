package kv

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// Where a call ends early, the error says why, and nothing is changed.
func TestErrorsOfCalls(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		do   func(ctx context.Context, d *seen, s *front) error
		want error
	}{
		"Add to no key": {func(ctx context.Context, _ *seen, s *front) error { _, err := s.Add(ctx, "", 1); return err }, ErrInvalid},
		"Add for a time that is over": {func(ctx context.Context, _ *seen, s *front) error {
			_, err := s.Add(ctx, "n", 1, TTL(-time.Second))
			return err
		}, ErrInvalid},
		"a typed update of no key": {func(ctx context.Context, _ *seen, s *front) error { return setTyped(ctx, s, "", nil) }, ErrInvalid},
		"Add to what is text":      {func(ctx context.Context, _ *seen, s *front) error { _, err := s.Add(ctx, "text", 1); return err }, ErrInvalid},
		"Add when the read fails": {func(ctx context.Context, d *seen, s *front) error {
			d.get = func(context.Context, string) (Item, error) { return Item{}, gone }
			_, err := s.Add(ctx, "n", 1)
			return err
		}, gone},
		"a bad prefix": {func(ctx context.Context, _ *seen, s *front) error { return first(s.Watch(ctx, "\xff")) }, ErrInvalid},
		"a watch that is over": {func(ctx context.Context, _ *seen, s *front) error {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			return first(s.Watch(ended, ""))
		}, context.Canceled},
		"a list of a store that is closed meanwhile": {func(ctx context.Context, _ *seen, s *front) (last error) {
			for _, err := range s.List(ctx, "") {
				if last = err; err == nil {
					s.Close()
				}
			}
			return last
		}, ErrClosed},
		"Follow when closed": {func(ctx context.Context, _ *seen, s *front) error {
			s.Close()
			return s.Follow(ctx, "", func(bool) {}, func(string) {})
		}, ErrClosed},
		"Follow without watches": {func(ctx context.Context, d *seen, s *front) error {
			s.features.Watch = false
			return s.Follow(ctx, "", func(on bool) {
				if on {
					t.Error("what can't be followed is live")
				}
			}, func(string) {})
		}, context.Canceled},
		"a typed item that is not there": {func(ctx context.Context, _ *seen, s *front) error {
			e, err := NewTyped[int](s, nil).Get(ctx, "none")
			if e != (Entry[int]{}) {
				t.Errorf("nothing there gives %v", e)
			}
			return err
		}, ErrNotFound},
		"a typed update of what is text": {func(ctx context.Context, _ *seen, s *front) error { return setTyped(ctx, s, "text", nil) }, ErrInvalid},
		"a typed update that gives up":   {func(ctx context.Context, _ *seen, s *front) error { return setTyped(ctx, s, "number", gone) }, gone},
		"an update while others write": {func(ctx context.Context, _ *seen, s *front) error {
			soon, cancel := context.WithCancel(ctx)
			_, err := Update(soon, s, "text", func(Item, bool) ([]byte, error) {
				cancel() // so that no time is left to try again
				if _, err := s.Put(ctx, "text", []byte("theirs")); err != nil {
					t.Error(err)
				}
				return []byte("ours"), nil
			})
			if item, err := s.Get(ctx, "text"); err != nil || string(item.Value) != "theirs" {
				t.Errorf("an update that gave up wrote %q, %v", item.Value, err)
			}
			return err
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			d := &seen{features: Features{List: true, Watch: true}}
			s := d.open(t)
			for key, value := range map[string]string{"number": "7", "text": "seven"} {
				if _, err := s.Put(t.Context(), key, []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.do(t.Context(), d, s); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if item, err := d.memory.Get(t.Context(), "number"); err != nil || string(item.Value) != "7" {
				t.Errorf("what the call left alone is %q, %v", item.Value, err)
			}
			if _, err := d.memory.Get(t.Context(), "n"); err == nil {
				t.Error("a call that failed has written")
			}
		})
	}
}

// first is the error that a sequence begins with.
func first[T any](seq func(yield func(T, error) bool)) (first error) {
	for _, err := range seq {
		return err
	}
	return nil
}

// setTyped changes a number, unless there is an error to give up with.
func setTyped(ctx context.Context, s KV, key string, giveUp error) error {
	_, err := NewTyped[int](s, nil).Update(ctx, key, func(int, bool) (int, error) { return 8, giveUp })
	return err
}

// A key that all write at once is added to until the caller gives up.
func TestAddGivesUpWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &seen{}
		s := d.open(t)
		reads := 0
		d.get = func(ctx context.Context, key string) (Item, error) { // which somebody changes after each read
			item, err := d.memory.Get(ctx, key)
			reads++
			if _, err := d.memory.Put(ctx, Write{Key: key, Value: strconv.AppendInt(nil, int64(reads), 10)}); err != nil {
				t.Error(err)
			}
			return item, err
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Add(ctx, "n", 100); !errors.Is(err, context.DeadlineExceeded) || reads < 2 {
			t.Errorf("after %d tries: %v, want the caller's deadline", reads, err)
		}
		if item, err := d.memory.Get(t.Context(), "n"); err != nil || string(item.Value) != strconv.Itoa(reads) {
			t.Errorf("there is %q, %v, want what the others wrote", item.Value, err)
		}
	})
}

// What many typed reads return of values that are well, and of a store that
// fails for some keys while others can't be decoded.
func TestTypedReadsOfMany(t *testing.T) {
	d := &seen{}
	s := d.open(t)
	for key, value := range map[string]string{"a": "1", "b": "2", "text": "seven"} {
		if _, err := s.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	numbers := NewTyped[int](s, nil)
	all, err := numbers.GetMany(t.Context(), "a", "b", "none")
	if err != nil || len(all) != 2 || all["a"].Value != 1 || all["b"].Value != 2 {
		t.Errorf("got %v, %v", all, err)
	}
	gone := errors.New("gone")
	d.get = func(ctx context.Context, key string) (Item, error) {
		if key == "b" {
			return Item{}, gone
		}
		return d.memory.Get(ctx, key)
	}
	all, err = numbers.GetMany(t.Context(), "a", "b", "text")
	b, ok := errors.AsType[*BatchError](err)
	if len(all) != 1 || all["a"].Value != 1 || !ok || !errors.Is(b.Errors["b"], gone) || !errors.Is(b.Errors["text"], ErrInvalid) {
		t.Errorf("some fail: %v, %v", all, err)
	}
	s.Close()
	if all, err := numbers.GetMany(t.Context(), "a"); !errors.Is(err, ErrClosed) || len(all) > 0 {
		t.Errorf("closed: %v, %v", all, err)
	}
}
