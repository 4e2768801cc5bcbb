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
	tells := db.WithChanges(func(context.Context, db.Execer, []db.Change) error { return nil })
	for name, opts := range map[string][]db.Option{
		"nil": {nil}, "two backends": {db.Memory(), db.Memory()}, "namespace": {db.WithNamespace("x; drop")}, "timeout": {db.WithTimeout(0)},
		"dial timeout": {db.WithDialTimeout(-1)}, "logger": {db.WithLogger(nil)}, "bytes": {db.WithMaxBytes(0)}, "key": {db.WithCursorKey([]byte("short"))},
		"driver": {db.WithDriver("x", nil)}, "purge": {db.WithPurgeInterval(0)}, "namespace of 16": {db.WithNamespace("abcdefghijklmnop")},
		"key of 15": {db.WithCursorKey(make([]byte, 15))}, "changes": {db.WithChanges(nil)}, "changes twice": {tells, tells},
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

// What a table may declare, each with the nearest that is refused, and said why.
func TestTheLimitsOfTables(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	keys := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint("k", i))
		}
		return all
	}
	indexes := func(n int) (all []db.TableOption) {
		for _, k := range keys(n) {
			all = append(all, db.Index(k))
		}
		return all
	}
	one := func(o db.TableOption) []db.TableOption { return []db.TableOption{o} }
	for i, c := range []struct {
		good, bad []db.TableOption
		kind      error
		says      string
	}{
		{one(db.Index(keys(1)...)), one(db.Index()), db.ErrInvalid, "index of 0 keys"},
		{one(db.Index(keys(4)...)), one(db.Index(keys(5)...)), db.ErrInvalid, "index of 5 keys"},
		{one(db.Index("a", "-b")), one(db.Index("a", "-a")), db.ErrInvalid, "twice"},
		{one(db.Index("-" + db.FieldCreated)), one(db.Index("-@other")), db.ErrInvalid, "begins with '@'"},
		{indexes(32), indexes(33), db.ErrTooLarge, "33 indexes"},
		{one(db.OnIndexProgress(func(db.IndexProgress) {})), one(db.OnIndexProgress(nil)), db.ErrInvalid, "nil function"},
		{one(db.FullText("a")), one(db.FullText()), db.ErrInvalid, "no keys"},
		{one(db.FullText("a", "a")), one(db.FullText("a", "")), db.ErrInvalid, "empty metadata key"},
		{one(db.FullText(keys(32)...)), one(db.FullText(keys(33)...)), db.ErrTooLarge, "33 keys"},
		{one(db.SoftDelete(0)), one(db.SoftDelete(-1)), db.ErrInvalid, "-1ns"},
		{nil, one(nil), db.ErrInvalid, "option 1 is nil"},
	} {
		if _, err := d.Table(t.Context(), fmt.Sprint("good", i), c.good...); err != nil {
			t.Errorf("beside %q: %v", c.says, err)
		}
		_, err := d.Table(t.Context(), fmt.Sprint("bad", i), c.bad...)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
}

// poor is a backend that can do nothing but keep records.
type poor struct{ db.Driver }

func (poor) Features() db.Features { return db.Features{} }

// What a backend can't do is refused before it is asked, and nothing else is.
func TestWhatABackendCannotDo(t *testing.T) {
	mem, err := db.Memory().OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open := db.WithDriver("poor", func(context.Context) (db.Driver, error) { return poor{mem}, nil })
	tells := db.WithChanges(func(context.Context, db.Execer, []db.Change) error { return nil })
	if _, err := db.New(db.WithDriver("silent", func(context.Context) (db.Driver, error) { return silent{}, nil }), db.WithLazy(), tells); !errors.Is(err, db.ErrUnsupported) {
		t.Errorf("changes without transactions: %v, want ErrUnsupported", err)
	}
	d, err := db.New(open, db.WithScans())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for what, opt := range map[string]db.TableOption{"TTL": db.TTL(time.Hour), "SoftDelete": db.SoftDelete(0), "FullText": db.FullText("k")} {
		if _, err := d.Table(t.Context(), "other", opt); !errors.Is(err, db.ErrUnsupported) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, want ErrUnsupported", what, err)
		}
	}
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []db.Filter{
		db.Less("k", 1), db.LessOrEqual("k", 1), db.Greater("k", 1), db.GreaterOrEqual("k", 1), db.Prefix("k", "v"), db.Contains("k", "v"), db.Has("k", "v"),
		db.Exists("k"), db.Match("k", "v"), db.Or(db.Equal("k", 1)), db.Not(db.Equal("k", 1)), db.NotEqual("k", 1), db.And(db.Equal("k", 1), db.Exists("k")),
	} {
		if _, err := tb.Search(t.Context(), db.Where(f)); !errors.Is(err, db.ErrUnsupported) {
			t.Errorf("%+v: %v, want ErrUnsupported", f, err)
		}
	}
	if _, err := tb.Search(t.Context(), db.OrderBy("k")); !errors.Is(err, db.ErrUnsupported) {
		t.Errorf("an order: %v, want ErrUnsupported", err)
	}
	if _, err := tb.Count(t.Context()); !errors.Is(err, db.ErrUnsupported) {
		t.Errorf("Count: %v, want ErrUnsupported", err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "a", Metadata: map[string]any{"k": 1}}); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []db.SearchOption{db.Where(), db.Where(db.Equal("k", 1)), db.Where(db.In("k", 1)), db.Where(db.And(db.Equal("k", 1))), db.OrderBy("-" + db.FieldID)} {
		if p, err := tb.Search(t.Context(), opt); err != nil || len(p.Records) != 1 {
			t.Errorf("a search that it can do: %+v, %v", p, err)
		}
	}
}

// What a collection can't do is said by each of its methods, and changes nothing.
func TestTheErrorsOfACollection(t *testing.T) {
	type thing struct{ N any }
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Table(t.Context(), "things", db.SoftDelete(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.NewCollection[thing](table)
	if err != nil {
		t.Fatal(err)
	}
	good, err := c.Create(t.Context(), "a", thing{1})
	if err != nil {
		t.Fatal(err)
	}
	find := func() error {
		for _, err := range c.Find(t.Context()) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	calls := func(v thing) map[string]func() error {
		return map[string]func() error{
			"create": func() error { _, err := c.Create(t.Context(), "b", v); return err },
			"put":    func() error { _, err := c.Put(t.Context(), "a", v); return err },
			"update": func() error {
				_, err := c.Update(t.Context(), db.Doc[thing]{Record: good.Record, Value: v})
				return err
			},
			"batch": func() error { return c.Batch(t.Context(), c.CreateOp("b", v)) },
			"modify": func() error {
				_, err := c.Modify(t.Context(), "a", func(old *thing) error { *old = v; return nil })
				return err
			},
		}
	}
	check := func(when string, all map[string]func() error, want error) {
		t.Helper()
		for what, call := range all {
			if err := call(); err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %s: %v, want %v", when, what, err, want)
			}
		}
	}
	check("a value that JSON has no words for", calls(thing{math.NaN()}), db.ErrInvalid)
	if _, err := c.Update(t.Context(), db.Doc[thing]{Value: thing{2}}); !errors.Is(err, db.ErrInvalid) {
		t.Errorf("a document without a record: %v, want ErrInvalid", err)
	}
	mine := errors.New("mine")
	if _, err := c.Modify(t.Context(), "a", func(*thing) error { return mine }); err != mine {
		t.Errorf("Modify: %v, want the function's own error", err)
	}
	if got, err := c.Get(t.Context(), "a"); err != nil || got.Value.N != 1. || got.Version != good.Version {
		t.Errorf("it has %+v, %v, want what was created", got, err)
	}
	if err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		in, err := c.In(ctx, tx)
		if err != nil {
			return err
		}
		_, err = in.Put(ctx, "c", thing{3})
		return err
	}); err != nil {
		t.Error(err)
	}

	reads := map[string]func() error{
		"get":     func() error { _, err := c.Get(t.Context(), "x"); return err },
		"find":    find,
		"search":  func() error { _, err := c.Search(t.Context()); return err },
		"modify":  func() error { _, err := c.Modify(t.Context(), "x", func(*thing) error { return nil }); return err },
		"restore": func() error { _, err := c.Restore(t.Context(), "y"); return err },
	}
	for _, id := range []string{"x", "y"} {
		if err := table.Create(t.Context(), &db.Record{ID: id, Data: []byte("{")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Delete(t.Context(), "y"); err != nil {
		t.Fatal(err)
	}
	check("what is no JSON", reads, nil)

	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	check("closed", reads, db.ErrClosed)
	check("closed", calls(thing{4}), db.ErrClosed)
	check("closed", map[string]func() error{
		"count": func() error { _, err := c.Count(t.Context()); return err }, "delete": func() error { return c.Delete(t.Context(), "a") },
		"table": func() error { _, err := d.Table(t.Context(), "other"); return err },
		"in":    func() error { _, err := c.In(t.Context(), d); return err },
	}, db.ErrClosed)
}

func TestTheLimitOfABatch(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	table, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	ops := make([]db.Op, 10_001)
	for i := range ops {
		ops[i] = db.CreateOp(&db.Record{})
	}
	if err := table.Batch(t.Context(), ops...); !errors.Is(err, db.ErrTooLarge) {
		t.Errorf("10001 writes: %v, want ErrTooLarge", err)
	}
	if err := table.Batch(t.Context(), ops[1:]...); err != nil {
		t.Errorf("10000 writes: %v", err)
	}
	if err := table.Batch(t.Context()); err != nil {
		t.Errorf("no writes: %v", err)
	}
	if n, err := table.Count(t.Context()); n != 10_000 || err != nil {
		t.Errorf("%d are there, %v, want those of the second batch", n, err)
	}
}
