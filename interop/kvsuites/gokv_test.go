package kvsuites

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/philippgille/gokv"
	"github.com/philippgille/gokv/test"
)

// goStore is a gokv.Store: values are JSON. There are no contexts; a call may
// take a minute, since a thousand callers wait for one server.
type goStore struct {
	t     *testing.T
	store kv.KV
}

var _ gokv.Store = goStore{}

func (s goStore) Set(k string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := s.call()
	defer cancel()
	_, err = s.store.Put(ctx, k, data)
	return err
}

func (s goStore) Get(k string, v any) (found bool, err error) {
	ctx, cancel := s.call()
	defer cancel()
	item, err := s.store.Get(ctx, k)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(item.Value, v)
}

func (s goStore) Delete(k string) error {
	ctx, cancel := s.call()
	defer cancel()
	return s.store.Delete(ctx, k)
}

func (s goStore) Close() error { return s.store.Close() }

func (s goStore) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.t.Context(), time.Minute)
}

// TestGokv is gokv's suite, with as many concurrent callers as its own stores
// are tested with, and what those test beside it: empty keys, and Close.
func TestGokv(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, b backend) {
		store := goStore{t, b.open(t)}
		test.TestStore(store, t)
		test.TestTypes(store, t)
		test.TestConcurrentInteractions(t, 1000, store)
		if err := store.Set("", "v"); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Set with an empty key: %v, want ErrInvalid", err)
		}
		if _, err := store.Get("", new(string)); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Get with an empty key: %v, want ErrInvalid", err)
		}
		if err := store.Delete(""); !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Delete with an empty key: %v, want ErrInvalid", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
