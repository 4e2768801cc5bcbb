package kv_test

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/micro/go-platform/kv"
)

// oddCodec is a codec as users write them: it can't be compared, and may panic or
// return nothing.
type oddCodec struct {
	encode []func(v string) ([]byte, error)
	decode func(b []byte) (string, error)
}

func (c oddCodec) Encode(v string) ([]byte, error) { return c.encode[0](v) }
func (c oddCodec) Decode(b []byte) (string, error) { return c.decode(b) }

// A codec that panics is one that does not understand the value: the error says so,
// nothing is written, and other keys are read.
func TestCodecsOfTheUsersOwn(t *testing.T) {
	boom := errors.New("boom")
	encode := func(v string) ([]byte, error) { return []byte(v), nil }
	decode := func(b []byte) (string, error) { return string(b), nil }
	for name, c := range map[string]struct {
		codec     oddCodec
		put, read error  // what is in the error of a bad key; nil: there is none
		stored    string // at the bad key
	}{
		"well":             {oddCodec{[]func(string) ([]byte, error){encode}, decode}, nil, nil, "bad"},
		"encode, an error": {oddCodec{[]func(string) ([]byte, error){func(string) ([]byte, error) { return nil, boom }}, decode}, boom, nil, "old"},
		"encode panics":    {oddCodec{[]func(string) ([]byte, error){func(string) ([]byte, error) { panic(boom) }}, decode}, boom, nil, "old"},
		"encode, nothing":  {oddCodec{[]func(string) ([]byte, error){func(string) ([]byte, error) { return nil, nil }}, decode}, nil, nil, ""},
		"decode panics": {oddCodec{[]func(string) ([]byte, error){encode}, func(b []byte) (string, error) {
			if string(b) == "bad" {
				panic(boom)
			}
			return string(b), nil
		}}, nil, boom, "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			is := func(what string, err, want error) {
				t.Helper()
				if (err == nil) != (want == nil) || err != nil && (!errors.Is(err, want) || !errors.Is(err, kv.ErrInvalid)) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			store := newStore(t)
			for _, key := range []string{"bad", "good"} {
				if _, err := store.Put(t.Context(), key, []byte("old")); err != nil {
					t.Fatal(err)
				}
			}
			typed := kv.NewTyped[string](store, c.codec)
			_, err := typed.Put(t.Context(), "bad", "bad")
			is("Put", err, c.put)
			if item, err := store.Get(t.Context(), "bad"); err != nil || string(item.Value) != c.stored {
				t.Errorf("stored %q, %v, want %q", item.Value, err, c.stored)
			}
			_, err = typed.Get(t.Context(), "bad")
			is("Get", err, c.read)
			_, err = typed.Update(t.Context(), "bad", func(v string, _ bool) (string, error) { return v, nil })
			is("Update", err, cmp.Or(c.put, c.read))
			var listed []string
			for e, err := range typed.List(t.Context(), "") {
				if e.Key != "good" {
					is("List", err, c.read)
					continue
				}
				listed = append(listed, e.Value)
			}
			if len(listed) != 1 || listed[0] != "old" {
				t.Errorf("listed %q beside the bad key, want the good one", listed)
			}
			all, err := typed.GetMany(t.Context(), "bad", "good")
			is("GetMany", err, c.read)
			if all["good"].Value != "old" {
				t.Errorf("got %v, want the good key in it", all)
			}
		})
	}
}

// An observer that panics is said in the log, and changes no call.
func TestAnObserverMayPanic(t *testing.T) {
	lines := &strings.Builder{}
	store := newStore(t, kv.WithObserver(func(kv.Call) { panic("boom") }), kv.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
	for range 20 {
		if _, err := store.Put(t.Context(), "a", []byte("b")); err != nil {
			t.Fatal(err)
		}
	}
	if item, err := store.Get(t.Context(), "a"); err != nil || string(item.Value) != "b" {
		t.Errorf("got %q, %v", item.Value, err)
	}
	if n := strings.Count(lines.String(), "panic: boom"); n < 1 || n > 5 {
		t.Errorf("the log says it %d times, want some of 21: %s", n, lines)
	}
}
