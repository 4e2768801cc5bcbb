package db_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

func TestNewRefusesBadOptions(t *testing.T) {
	for name, opts := range map[string][]db.Option{
		"nil": {nil}, "two backends": {db.Memory(), db.Memory()}, "namespace": {db.WithNamespace("x; drop")}, "timeout": {db.WithTimeout(0)},
		"dial timeout": {db.WithDialTimeout(-1)}, "logger": {db.WithLogger(nil)}, "bytes": {db.WithMaxBytes(0)}, "key": {db.WithCursorKey([]byte("short"))},
		"driver": {db.WithDriver("x", nil)}, "purge": {db.WithPurgeInterval(0)}, "namespace of 16": {db.WithNamespace("abcdefghijklmnop")},
		"key of 15": {db.WithCursorKey(make([]byte, 15))},
	} {
		if _, err := db.New(opts...); !errors.Is(err, db.ErrInvalid) || !strings.HasPrefix(err.Error(), "db: new: ") {
			t.Errorf("%s: got %v, want ErrInvalid that names the package and the operation", name, err)
		}
	}
}

func TestNewTakesTheLeast(t *testing.T) {
	d, err := db.New(db.WithNamespace("abcdefghijklmno"), db.WithTimeout(1), db.WithDialTimeout(time.Hour), db.WithMaxBytes(1), db.WithCursorKey(make([]byte, 16)), db.WithPurgeInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// silent is a driver whose server does not answer.
type silent struct{ db.Driver }

func (silent) Ping(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (silent) Close() error                   { return nil }
func (silent) Features() db.Features          { return db.Features{} }

func TestNewFailsWithinItsDeadline(t *testing.T) {
	backend := db.WithDriver("silent", func(context.Context) (db.Driver, error) { return silent{}, nil })
	if _, err := db.New(backend, db.WithDialTimeout(10*time.Millisecond)); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	d, err := db.New(backend, db.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// What a record may hold, each with the nearest that is refused, and said why.
func TestTheLimitsOfRecords(t *testing.T) {
	d, err := db.New(db.WithMaxBytes(10))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	id := func(s string) *db.Record { return &db.Record{ID: s} }
	contentType := func(s string) *db.Record { return &db.Record{ContentType: s} }
	key := func(k string) *db.Record { return &db.Record{Metadata: map[string]any{k: "v"}} }
	value := func(v any) *db.Record { return &db.Record{Metadata: map[string]any{"k": v}} }
	many := func(n int) *db.Record {
		r := &db.Record{Metadata: map[string]any{}}
		for i := range n {
			r.Metadata[fmt.Sprint("k", i)] = i
		}
		return r
	}
	year := func(y int) time.Time { return time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC) }
	long := strings.Repeat
	for _, c := range []struct {
		good, bad *db.Record
		kind      error
		says      string
	}{
		{id(long("i", 128)), id(long("i", 129)), db.ErrTooLarge, "id has 129 bytes"},
		{id("é"), id("\xe9"), db.ErrInvalid, "not UTF-8"},
		{id("a b"), id("a\x1fb"), db.ErrInvalid, "control character"},
		{id("a~b"), id("a\x7fb"), db.ErrInvalid, "control character"},
		{&db.Record{Data: make([]byte, 10)}, &db.Record{Data: make([]byte, 11)}, db.ErrTooLarge, "data has 11 bytes"},
		{contentType(long("t", 255)), contentType(long("t", 256)), db.ErrInvalid, "content type"},
		{contentType("é"), contentType("\xe9"), db.ErrInvalid, "content type"},
		{contentType("a\x01"), contentType("a\x00"), db.ErrInvalid, "content type"},
		{many(64), many(65), db.ErrTooLarge, "65 keys"},
		{key("k"), key(""), db.ErrInvalid, "empty metadata key"},
		{key(long("k", 64)), key(long("k", 65)), db.ErrTooLarge, "key has 65 bytes"},
		{key("k@"), key("@k"), db.ErrInvalid, "begins with '@'"},
		{key("é"), key("\xe9"), db.ErrInvalid, "not UTF-8"},
		{value(long("v", 1024)), value(long("v", 1025)), db.ErrTooLarge, "1025 bytes"},
		{value("é"), value("\xe9"), db.ErrInvalid, "not UTF-8"},
		{value(make([]string, 64)), value(make([]string, 65)), db.ErrTooLarge, "65 elements"},
		{value([]string{"é"}), value([]string{"é", "\xe9"}), db.ErrInvalid, "not UTF-8"},
		{value([]string{long("v", 1024)}), value([]string{long("v", 1025)}), db.ErrTooLarge, "1025 bytes"},
		{value(year(1)), value(year(0)), db.ErrInvalid, "year from 1 to 9999"},
		{value(year(9999)), value(year(10000)), db.ErrInvalid, "year from 1 to 9999"},
		{value(uint64(math.MaxInt64)), value(uint64(math.MaxInt64 + 1)), db.ErrInvalid, "64 bits with a sign"},
		{value(math.MaxFloat64), value(math.Inf(1)), db.ErrInvalid, "+Inf"},
		{value(float32(1)), value(float32(math.Inf(-1))), db.ErrInvalid, "-Inf"},
		{value(0.), value(math.NaN()), db.ErrInvalid, "NaN"},
		{value(int8(1)), value([]int{1}), db.ErrInvalid, "[]int"},
		{value(true), value(nil), db.ErrInvalid, "<nil>"},
	} {
		if err := tb.Create(t.Context(), c.good); err != nil {
			t.Errorf("beside %q: %v", c.says, err)
		}
		err := tb.Create(t.Context(), c.bad)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q and %v", err, c.says, c.kind)
		}
	}
}

// What a search may ask for, each with the nearest that is refused, and said why.
func TestTheLimitsOfSearches(t *testing.T) {
	d, err := db.New(db.WithScans())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	in := func(n int) db.SearchOption {
		values := make([]any, n)
		for i := range values {
			values[i] = i
		}
		return db.Where(db.In("k", values...))
	}
	deep := func(n int) db.SearchOption {
		f := db.Equal("k", 1)
		for range n {
			f = db.Not(f)
		}
		return db.Where(f)
	}
	wide := func(n int) db.SearchOption {
		fs := make([]db.Filter, n-1) // and the Or
		for i := range fs {
			fs[i] = db.Equal("k", i)
		}
		return db.Where(db.Or(fs...))
	}
	where := func(f db.Filter) db.SearchOption { return db.Where(f) }
	now := time.Now()
	for _, c := range []struct {
		good, bad db.SearchOption
		says      string
	}{
		{in(1), in(0), "0 values"},
		{in(100), in(101), "101 values"},
		{where(db.In(db.FieldVersion, 1)), where(db.In(db.FieldVersion, 1, "1")), "compared with a string"},
		{deep(8), deep(9), "nested deeper than 8"},
		{wide(100), wide(101), "more than 100 filters"},
		{where(db.Equal("k", 1)), where(db.Equal("", 1)), "empty metadata key"},
		{where(db.Equal("k", "v")), where(db.Equal("k", []string{"v"})), "want Contains"},
		{where(db.Equal("k", 1)), where(db.Equal("k", struct{}{})), "struct {}"},
		{where(db.Equal(db.FieldID, "1")), where(db.Equal(db.FieldID, 1)), "compared with a int64"},
		{where(db.Greater(db.FieldUpdated, now)), where(db.Greater(db.FieldUpdated, "now")), "compared with a string"},
		{where(db.Prefix(db.FieldID, "1")), where(db.Has(db.FieldID, "1")), `"has"`},
		{where(db.Contains(db.FieldID, "1")), where(db.Contains(db.FieldVersion, "1")), `"contains"`},
		{where(db.Prefix("k", "1")), where(db.Prefix(db.FieldCreated, "1")), `"prefix"`},
		{db.Limit(1), db.Limit(0), "limit 0"},
		{db.Limit(1000), db.Limit(1001), "limit 1001"},
		{db.OrderBy("a", "b", "c", "d"), db.OrderBy("a", "b", "c", "d", "e"), "5 keys"},
		{db.OrderBy("a", "-b"), db.OrderBy("a", "-a"), "twice"},
		{db.OrderBy("a"), db.OrderBy("-"), "empty metadata key"},
		{db.Select("k"), db.Select("k", "@k"), "begins with '@'"},
		{db.After(""), db.After("!"), "malformed cursor"},
		{db.After(""), db.After("AAAA"), "malformed cursor"},
		{db.After(""), db.After(strings.Repeat("A", 30)), "not one of this search"},
	} {
		if _, err := tb.Search(t.Context(), c.good); err != nil {
			t.Errorf("beside %q: %v", c.says, err)
		}
		_, err := tb.Search(t.Context(), c.bad)
		if !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("search: got %v, want %q", err, c.says)
		}
		_, err = tb.Count(t.Context(), c.bad)
		if !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("count: got %v, want %q", err, c.says)
		}
	}
}
