package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/config/store/storetest"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemoryStoreConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		return storetest.Harness{Alone: true, Open: func(t *testing.T, opts ...store.Option) store.Store {
			s, err := store.New(opts...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	})
}

func TestAuthorsCanBeRequired(t *testing.T) {
	s, err := store.New(store.WithAuthors())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Set(t.Context(), "app", "n", 1); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("without an author: got %v, want ErrInvalid", err)
	}
	if _, err := s.Set(t.Context(), "app", "n", 1, store.Author("ann")); err != nil {
		t.Error(err)
	}
}

func TestBadOptionsAreErrorsOfNew(t *testing.T) {
	open := func(context.Context) (store.Driver, error) { return nil, errors.New("never opened") }
	for want, opts := range map[string][]store.Option{
		"option 1 is nil": {nil}, "a name and a function": {store.WithDriver("", nil)}, "two backends, a and b": {store.WithDriver("a", open), store.WithDriver("b", open)},
		"empty path": {store.WithSecrets("db", "")}, "nil function": {store.WithValidator(nil)}, "WithTimeout: 0s": {store.WithTimeout(0)}, "WithDialTimeout: 0s": {store.WithDialTimeout(0)},
		"never opened": {store.WithDriver("a", open)},
	} {
		if _, err := store.New(opts...); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalid with %q", err, want)
		}
	}
}

func Example() {
	ctx := context.Background()
	st, err := store.New() // or store.New(storekv.Backend(redisStore))
	if err != nil {
		panic(err)
	}
	defer st.Close()
	st.Put(ctx, "shop", map[string]any{"currency": "EUR", "limit": 10}, store.Author("ann"))
	st.Set(ctx, "shop/prod", "limit", 100, store.Author("bob"), store.Comment("Black Friday"))

	cfg, err := config.New(config.WithSource(st.Source("shop", "prod", "orders")))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Snapshot())

	for v := range st.History(ctx, store.Query{Namespace: "shop", Below: true}) {
		fmt.Println(v)
	}
	// Output:
	// {"currency":"EUR","limit":100}
	// shop/prod 1: set limit by bob: "Black Friday"
	// shop 1: put by ann
}

func ExampleStore_Rollback() {
	ctx := context.Background()
	st, err := store.New()
	if err != nil {
		panic(err)
	}
	defer st.Close()
	st.Set(ctx, "app", "port", 80)
	st.Set(ctx, "app", "port", 81)
	changes, _ := st.Diff(ctx, "app", 1, 2)
	fmt.Println(changes)
	v, err := st.Rollback(ctx, "app", 1, store.Comment("81 is taken"))
	fmt.Println(v, err)
	d, _ := st.Get(ctx, "app")
	fmt.Println(d.Get("port").Int(0))
	// Output:
	// [port: 80 → 81]
	// app 3: rollback to 1: "81 is taken" <nil>
	// 80
}

func ExampleIfVersion() {
	ctx := context.Background()
	st, err := store.New()
	if err != nil {
		panic(err)
	}
	defer st.Close()
	v, _ := st.Set(ctx, "app", "port", 80)
	st.Set(ctx, "app", "port", 81) // somebody else
	_, err = st.Set(ctx, "app", "port", 82, store.IfVersion(v.Number))
	fmt.Println(err)
	// Output: config/store: set "app": conflict: the newest version is 2, not 1
}

// mine is a driver that is somebody's own, on a store of package kv that is unavailable.
type mine struct{ store.Driver }

func (mine) Ping(context.Context) error { return nil }
func (mine) Close() error               { return nil }
func (mine) Newest(context.Context, string) (store.Record, error) {
	return store.Record{}, fault.Wrap("kv/redis", "get", "head", fault.Unavailable)
}

func TestErrorsOfADriverOfYourOwnAreTheStores(t *testing.T) {
	s, err := store.New(store.WithDriver("mine", func(context.Context) (store.Driver, error) { return mine{}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Get(t.Context(), "app")
	if !errors.Is(err, store.ErrUnavailable) || !strings.HasPrefix(err.Error(), "config/store/mine: get ") {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// What the function of Update returns says nothing about the document.
func TestErrorsOfUpdatesFunctionAreItsOwn(t *testing.T) {
	s, err := store.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, c := range map[string]struct {
		err     error
		missing bool
	}{
		"of package kv": {kv.ErrNotFound, false},
		"of the store":  {store.ErrNotFound, true},
	} {
		_, err := s.Update(t.Context(), "app", func([]byte) ([]byte, error) { return nil, fmt.Errorf("looking: %w", c.err) })
		if !errors.Is(err, c.err) || errors.Is(err, store.ErrNotFound) != c.missing {
			t.Errorf("%s: %v", name, err)
		}
	}
}
