package dbstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/issuer/dbstore"
	"github.com/micro/go-platform/db"
)

// broken is a database of which some calls fail.
type broken struct {
	db.DB
	features db.Features
	fail     map[string]error // by the call's name
}

func (b *broken) Features() db.Features { return b.features }
func (b *broken) Table(ctx context.Context, name string, opts ...db.TableOption) (db.Table, error) {
	t, err := b.DB.Table(ctx, name, opts...)
	return brokenTable{t, b}, errors.Join(err, b.fail["table"])
}

type brokenTable struct {
	db.Table
	of *broken
}

func (t brokenTable) Create(ctx context.Context, r *db.Record) error {
	return cmp(t.of.fail["create"], func() error { return t.Table.Create(ctx, r) })
}
func (t brokenTable) Update(ctx context.Context, r *db.Record, opts ...db.WriteOption) error {
	return cmp(t.of.fail["update"], func() error { return t.Table.Update(ctx, r, opts...) })
}
func (t brokenTable) Delete(ctx context.Context, id string, opts ...db.WriteOption) error {
	return cmp(t.of.fail["delete"], func() error { return t.Table.Delete(ctx, id, opts...) })
}
func (t brokenTable) Read(ctx context.Context, id string) (r *db.Record, err error) {
	err = cmp(t.of.fail["read"], func() (err error) { r, err = t.Table.Read(ctx, id); return err })
	return r, err
}
func (t brokenTable) All(ctx context.Context, opts ...db.SearchOption) iter.Seq2[*db.Record, error] {
	if err := t.of.fail["all"]; err != nil {
		return func(yield func(*db.Record, error) bool) { yield(nil, err) }
	}
	return t.Table.All(ctx, opts...)
}

// cmp is err, or what f says.
func cmp(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

func opened(t *testing.T) (*broken, *dbstore.Store) {
	t.Helper()
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	b := &broken{d, d.Features(), map[string]error{}}
	s, err := dbstore.New(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

// What the database refuses is said, and taken for nothing else.
func TestErrorsOfTheDatabase(t *testing.T) {
	bad := errors.New("bad")
	const long, past = time.Hour, time.Nanosecond
	put := func(key string, version uint64) func(ctx context.Context, s *dbstore.Store) error {
		return func(ctx context.Context, s *dbstore.Store) error {
			return s.Put(ctx, key, []byte("new"), version, long)
		}
	}
	get := func(ctx context.Context, s *dbstore.Store) error { _, _, err := s.Get(ctx, "there"); return err }
	sweep := func(ctx context.Context, s *dbstore.Store) error { return s.Sweep(ctx) }
	list := func(ctx context.Context, s *dbstore.Store) error {
		for _, err := range s.List(ctx, "") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	remove := func(ctx context.Context, s *dbstore.Store) error { return s.Delete(ctx, "there") }
	for name, c := range map[string]struct {
		call string
		err  error
		do   func(ctx context.Context, s *dbstore.Store) error
		want error
	}{
		"get":                             {"read", bad, get, bad},
		"get of nothing":                  {"read", db.ErrNotFound, get, issuer.ErrNotFound},
		"create":                          {"create", bad, put("new", 0), bad},
		"create, well":                    {"", nil, put("new", 0), nil},
		"create what is there":            {"", nil, put("there", 0), issuer.ErrConflict},
		"create what is there, unread":    {"read", bad, put("there", 0), bad},
		"create what has ended":           {"", nil, put("ended", 0), nil},
		"create what has ended, unread":   {"read", bad, put("ended", 0), issuer.ErrConflict},
		"create what has ended, too late": {"update", db.ErrConflict, put("ended", 0), issuer.ErrConflict},
		"create what has ended, refused":  {"update", bad, put("ended", 0), bad},
		"update":                          {"update", bad, put("there", 1), bad},
		"update, too late":                {"update", db.ErrConflict, put("there", 1), issuer.ErrConflict},
		"update what is gone":             {"", nil, put("gone", 1), issuer.ErrConflict},
		"delete":                          {"delete", bad, remove, bad},
		"delete, well":                    {"", nil, remove, nil},
		"delete what is gone":             {"delete", db.ErrNotFound, remove, nil},
		"list":                            {"all", bad, list, bad},
		"list, well":                      {"", nil, list, nil},
		"sweep":                           {"all", bad, sweep, bad},
		"sweep, refused":                  {"delete", bad, sweep, bad},
		"sweep, written meanwhile":        {"delete", db.ErrConflict, sweep, nil},
		"sweep, gone meanwhile":           {"delete", db.ErrNotFound, sweep, nil},
	} {
		b, s := opened(t)
		for key, ttl := range map[string]time.Duration{"there": long, "ended": past} {
			err := s.Put(t.Context(), key, []byte("old"), 0, ttl)
			if err != nil {
				t.Fatal(err)
			}
		}
		b.fail[c.call] = c.err
		err := c.do(t.Context(), s)
		if !errors.Is(err, c.want) || c.want == bad && errors.Is(err, issuer.ErrConflict) != (name == "create what is there, unread") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// New refuses a database that can't keep an issuer's state.
func TestUnfitDatabasesAreRefused(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		change func(b *broken)
		want   error
	}{
		"well":           {func(*broken) {}, nil},
		"no prefixes":    {func(b *broken) { b.features.Prefix = false }, auth.ErrUnsupported},
		"late searches":  {func(b *broken) { b.features.Immediate = false }, auth.ErrUnsupported},
		"neither":        {func(b *broken) { b.features = db.Features{} }, auth.ErrUnsupported},
		"a table's fail": {func(b *broken) { b.fail["table"] = bad }, bad},
	} {
		b, _ := opened(t)
		c.change(b)
		if s, err := dbstore.New(t.Context(), b); !errors.Is(err, c.want) || (s == nil) != (err != nil) {
			t.Errorf("%s: %v, %v, want %v", name, s, err, c.want)
		}
	}
	var none *broken
	if _, err := dbstore.New(t.Context(), none); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a nil pointer: %v", err)
	}
}

// What has ended is not listed, also while it is there: one Put of a thousand removes it.
func TestOnePutOfAThousandSweeps(t *testing.T) {
	b, s := opened(t)
	table, err := b.DB.Table(t.Context(), "issuer")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 1000; i++ {
		ttl := time.Nanosecond
		if i == 1 {
			ttl = time.Hour
		}
		err := s.Put(t.Context(), fmt.Sprint("k", i), []byte("x"), 0, ttl)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[int]int64{998: 998, 999: 999, 1000: 2}[i]; want > 0 {
			if n, err := table.Count(t.Context()); err != nil || n != want {
				t.Errorf("after %d there are %d, %v, want %d", i, n, err, want)
			}
			var keys []string
			for key, err := range s.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, key)
			}
			if !slices.Equal(keys, []string{"k1"}) {
				t.Errorf("after %d there are listed %d, want k1", i, len(keys))
			}
		}
	}
}
