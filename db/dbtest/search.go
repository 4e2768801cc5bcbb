package dbtest

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

func oddValues(t *testing.T, b *bench) {
	d, tb := b.table(t)
	fs := d.Features()
	for i, s := range oddStrings {
		mustCreate(t, tb, &db.Record{ID: id(i), Metadata: map[string]any{"a": s, "c": []string{"x", s}}})
	}
	b.settle(t)
	want := func(match func(s string) bool) []string {
		w := []string{}
		for i, s := range oddStrings {
			if match(s) {
				w = append(w, id(i))
			}
		}
		return w
	}
	for _, s := range oddStrings {
		if got, w := ids(t, tb, db.Where(db.Equal("a", s))), want(func(o string) bool { return o == s }); !slices.Equal(got, w) {
			t.Errorf("Equal %q finds %v, want %v", s, got, w)
		}
		if fs.Prefix {
			if got, w := ids(t, tb, db.Where(db.Prefix("a", s))), want(func(o string) bool { return len(o) >= len(s) && o[:len(s)] == s }); !slices.Equal(got, w) {
				t.Errorf("Prefix %q finds %v, want %v", s, got, w)
			}
		}
		if fs.Compare {
			if got, w := ids(t, tb, db.Where(db.Less("a", s))), want(func(o string) bool { return o < s }); !slices.Equal(got, w) {
				t.Errorf("Less %q finds %v, want %v", s, got, w)
			}
			if got, w := ids(t, tb, db.Where(db.GreaterOrEqual("a", s))), want(func(o string) bool { return o >= s }); !slices.Equal(got, w) {
				t.Errorf("GreaterOrEqual %q finds %v, want %v", s, got, w)
			}
		}
		if fs.Contains {
			if got, w := ids(t, tb, db.Where(db.Contains("a", s)), db.AllowScan()), want(func(o string) bool { return bytes.Contains([]byte(o), []byte(s)) }); !slices.Equal(got, w) {
				t.Errorf("Contains %q finds %v, want %v", s, got, w)
			}
			if got, w := ids(t, tb, db.Where(db.Contains("c", s)), db.AllowScan()), want(func(o string) bool { return o == s }); !slices.Equal(got, w) {
				t.Errorf("Contains %q in lists finds %v, want %v", s, got, w)
			}
		}
	}
	key := `'odd" %_;\ключ`
	tb, err := d.Table(t.Context(), "odd", db.Index(key))
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, tb, &db.Record{ID: "x", Metadata: map[string]any{key: "v"}}, &db.Record{ID: "y", Metadata: map[string]any{"other": "v"}})
	b.settle(t)
	if got := ids(t, tb, db.Where(db.Equal(key, "v"))); !slices.Equal(got, []string{"x"}) {
		t.Errorf("the key %q finds %v", key, got)
	}
}

// values are what the random records have.
var values = []any{
	"", "a", "ab", "abc", "b", "B", "é", "a%", true, false, int64(0), int64(1), int64(-1), int64(2), 0.0, 1.0, 1.5, -1.5, 2.0, int64(math.MaxInt64), float64(math.MaxInt64),
	int64(math.MinInt64), int64(1<<53 + 1), int64(1 << 53), float64(1 << 53), 1e300, -1e300, 5e-324, time.Unix(0, 0).UTC(), time.Unix(1, 1000).UTC(), time.Unix(-1, 0).UTC(),
	[]string{"a", "b"}, []string{"ab"}, []string{},
}

// populate creates records with random metadata from a fixed seed.
func populate(t *testing.T, tb db.Table, n int) []*db.Record { return populateFrom(t, tb, n, 1) }

func populateFrom(t *testing.T, tb db.Table, n int, seed uint64) []*db.Record {
	rnd := rand.New(rand.NewPCG(seed, 2))
	var rs []*db.Record
	for i := range n {
		r := &db.Record{ID: id(i), Metadata: map[string]any{}}
		for _, k := range []string{"a", "b", "c"} {
			if rnd.IntN(4) > 0 {
				r.Metadata[k] = values[rnd.IntN(len(values))]
			}
		}
		mustCreate(t, tb, r)
		rs = append(rs, r)
	}
	return rs
}

func matching(rs []*db.Record, f db.Filter) []string {
	w := []string{}
	for _, r := range rs {
		if f.Match(r) {
			w = append(w, r.ID)
		}
	}
	return w
}

func filters(t *testing.T, b *bench) {
	d, tb := b.table(t)
	fs := d.Features()
	rs := populate(t, tb, 90)
	b.settle(t)
	var list []db.Filter
	for _, v := range values {
		if _, ok := v.([]string); ok {
			continue
		}
		list = append(list, db.Equal("a", v), db.In("b", v, "a", int64(2)), db.And(db.Equal("a", v), db.Equal("b", "a")))
		if fs.Compare {
			list = append(list, db.Less("a", v), db.LessOrEqual("a", v), db.Greater("a", v), db.GreaterOrEqual("a", v))
		}
		if fs.Not {
			list = append(list, db.NotEqual("a", v), db.Not(db.In("a", v)))
		}
		if fs.Or {
			list = append(list, db.Or(db.Equal("a", v), db.Equal("b", v)))
		}
	}
	if fs.Prefix {
		list = append(list, db.Prefix("a", ""), db.Prefix("a", "a"), db.Prefix("a", "ab"), db.Prefix("b", "é"))
	}
	if fs.Contains {
		list = append(list, db.Contains("a", "b"), db.Contains("a", ""), db.Contains("c", "ab"), db.Has("a", "a"), db.Has("b", "ab"), db.Has("c", ""), db.Has("none", "a"), db.And(db.Has("a", "b"), db.Equal("b", "a")))
	}
	if fs.Exists {
		list = append(list, db.Exists("a"), db.Exists("none"))
	}
	if fs.Or && fs.Not && fs.Exists && fs.Compare && fs.AnyKey {
		list = append(list, db.Or(), db.And(), db.Not(db.Exists("a")), db.Not(db.Or(db.Exists("a"), db.Greater("b", 0))),
			db.And(db.Or(db.Equal("a", "a"), db.Less("b", 1.5)), db.Not(db.And(db.Exists("c"), db.Equal("a", "ab")))),
			db.Not(db.Not(db.Equal("a", "a"))), db.Equal(db.FieldVersion, 1), db.Greater(db.FieldVersion, 1),
			db.Greater(db.FieldCreated, time.Now().Add(-time.Hour)), db.Less(db.FieldUpdated, time.Now().Add(-time.Hour)),
			db.In(db.FieldID, id(3), id(5), "none"), db.GreaterOrEqual(db.FieldID, id(80)), db.Prefix(db.FieldID, "id0001"), db.Not(db.Prefix(db.FieldID, "id")))
	}
	for _, f := range list {
		want := matching(rs, f)
		if got := ids(t, tb, db.Where(f), db.AllowScan()); !slices.Equal(got, want) {
			t.Errorf("%+v\nfinds %v\nwant  %v", f, got, want)
		}
		if fs.Count {
			if n, err := tb.Count(t.Context(), db.Where(f), db.AllowScan()); err != nil || int(n) != len(want) {
				t.Errorf("%+v: Count = %d, %v, want %d", f, n, err, len(want))
			}
		}
	}
	if got, want := ids(t, tb, db.Where(db.Equal("a", "a"), db.Equal("b", "b"))), matching(rs, db.And(db.Equal("a", "a"), db.Equal("b", "b"))); !slices.Equal(got, want) {
		t.Errorf("two filters find %v, want %v", got, want)
	}
}

func numbers(t *testing.T, b *bench) {
	d, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "int", Metadata: map[string]any{"n": 5}}, &db.Record{ID: "float", Metadata: map[string]any{"n": 5.0}},
		&db.Record{ID: "string", Metadata: map[string]any{"n": "5"}}, &db.Record{ID: "snowflake", Metadata: map[string]any{"n": int64(1541815603606036480)}},
		&db.Record{ID: "next", Metadata: map[string]any{"n": int64(1541815603606036481)}})
	b.settle(t)
	for name, c := range map[string]struct {
		f    db.Filter
		want []string
	}{
		"int": {db.Equal("n", 5), []string{"float", "int"}}, "float": {db.Equal("n", 5.0), []string{"float", "int"}}, "string": {db.Equal("n", "5"), []string{"string"}},
		"exact": {db.Equal("n", int64(1541815603606036481)), []string{"next"}},
	} {
		if got := ids(t, tb, db.Where(c.f)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if d.Features().Compare {
		if got := ids(t, tb, db.Where(db.Greater("n", 4.5), db.Less("n", int64(1541815603606036481)))); !slices.Equal(got, []string{"float", "int", "snowflake"}) {
			t.Errorf("range finds %v", got)
		}
	}
}

func times(t *testing.T, b *bench) {
	_, tb := b.table(t)
	at := time.Date(2030, 1, 1, 12, 0, 0, 123456789, time.UTC)
	mustCreate(t, tb, &db.Record{ID: "x", Metadata: map[string]any{"a": at}})
	b.settle(t)
	zone := at.In(time.FixedZone("x", 2*3600))
	if got := ids(t, tb, db.Where(db.Equal("a", zone))); len(got) != 1 {
		t.Error("the same instant in another zone is not found")
	}
	if got := ids(t, tb, db.Where(db.Equal("a", at.Add(time.Microsecond)))); len(got) != 0 {
		t.Error("another microsecond is found")
	}
}

func unsupported(t *testing.T, b *bench) {
	d, tb := b.table(t)
	fs := d.Features()
	check := func(what string, can bool, err error) {
		t.Helper()
		if can && err != nil {
			t.Errorf("%s is declared and fails: %v", what, err)
		}
		if !can {
			wantErr(t, what+" is not declared", err, db.ErrUnsupported)
		}
	}
	search := func(opts ...db.SearchOption) error {
		_, err := tb.Search(t.Context(), append(opts, db.AllowScan())...)
		return err
	}
	check("compare", fs.Compare, search(db.Where(db.Less("a", 1))))
	check("prefix", fs.Prefix, search(db.Where(db.Prefix("a", "x"))))
	check("contains", fs.Contains, search(db.Where(db.Contains("a", "x"))))
	check("exists", fs.Exists, search(db.Where(db.Exists("a"))))
	check("or", fs.Or, search(db.Where(db.Or(db.Equal("a", 1), db.Equal("b", 1)))))
	check("not", fs.Not, search(db.Where(db.Not(db.Equal("a", 1)))))
	check("not equal", fs.Not, search(db.Where(db.NotEqual("a", 1))))
	check("order", fs.Order, search(db.OrderBy("a")))
	check("has", fs.Contains, search(db.Where(db.Has("a", "x"))))
	_, err := tb.Count(t.Context())
	check("count", fs.Count, err)
	check("transactions", fs.Transactions, d.Tx(t.Context(), func(context.Context, db.DB) error { return nil }))
}

// scans checks that what no index serves is refused unless it is allowed, and
// then found.
func scans(t *testing.T, b *bench) {
	d := b.open(t)
	fs := d.Features()
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.Index("b", "-n"))
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, tb, &db.Record{ID: "x", Metadata: map[string]any{"a": "v", "b": "v", "n": 1, "none": "v", "c": []string{"e"}}})
	b.settle(t)
	all := fs.Or && fs.Not && fs.Contains && fs.Exists && fs.Order // else what is refused is refused for that
	for name, opts := range map[string][]db.SearchOption{
		"all": nil, "by id": {db.OrderBy("-@id")}, "newest": {db.OrderBy("-@created")}, "by change": {db.OrderBy("@updated")}, "equal": {db.Where(db.Equal("a", "v"))},
		"in": {db.Where(db.In("a", "v", "w"))}, "range": {db.Where(db.Greater("a", "a"))}, "prefix": {db.Where(db.Prefix("a", "v"))}, "exists": {db.Where(db.Exists("a"))},
		"compound": {db.Where(db.Equal("b", "v"), db.Less("n", 5))}, "its first key": {db.Where(db.Equal("b", "v"))}, "order": {db.OrderBy("-a")}, "order of two": {db.OrderBy("b", "-n")},
		"order of two, backwards": {db.OrderBy("-b", "n")}, "and another key": {db.Where(db.Equal("a", "v"), db.Equal("none", "v"))}, "and not": {db.Where(db.Equal("a", "v"), db.NotEqual("none", "w"))},
		"and another order": {db.Where(db.Equal("a", "v")), db.OrderBy("none")}, "or": {db.Where(db.Or(db.Equal("a", "v"), db.Prefix("b", "v")))}, "has": {db.Where(db.Has("c", "e"))},
		"created": {db.Where(db.Greater("@created", time.Unix(0, 0)))}, "id": {db.Where(db.Prefix("@id", "x"))}, "nested": {db.Where(db.And(db.And(db.Equal("a", "v"))))},
	} {
		if p, err := tb.Search(t.Context(), opts...); all && (err != nil || len(p.Records) != 1) {
			t.Errorf("%s: %d records, %v, want the one", name, len(p.Records), err)
		}
	}
	for name, opts := range map[string][]db.SearchOption{
		"another key": {db.Where(db.Equal("none", "v"))}, "second key": {db.Where(db.Equal("n", 1))}, "not": {db.Where(db.NotEqual("a", "w"))}, "not one": {db.Where(db.Not(db.Equal("a", "w")))},
		"contains": {db.Where(db.Contains("a", "v"))}, "or with another": {db.Where(db.Or(db.Equal("a", "v"), db.Equal("none", "v")))}, "another order": {db.OrderBy("none")},
		"first key of two": {db.OrderBy("b")}, "two keys": {db.OrderBy("b", "n")}, "second of two": {db.OrderBy("n")}, "order, and another key": {db.Where(db.Equal("none", "v")), db.OrderBy("a")},
		"version": {db.Where(db.Greater("@version", 0))},
	} {
		if !fs.AnyKey {
			_, err := tb.Search(t.Context(), opts...)
			wantErr(t, "Search without an index: "+name, err, db.ErrUnsupported)
			_, err = tb.Count(t.Context(), opts...)
			wantErr(t, "Count without an index: "+name, err, db.ErrUnsupported)
		}
		opts = append(opts, db.AllowScan())
		if p, err := tb.Search(t.Context(), opts...); all && (err != nil || len(p.Records) != 1) {
			t.Errorf("%s, allowed: %d records, %v, want the one", name, len(p.Records), err)
		}
	}
	if fs.AnyKey {
		return
	}
	loose := openTable(t, b.open(t, db.WithScans()), "others")
	if _, err := loose.Search(t.Context(), db.Where(db.Equal("none", "v"))); err != nil {
		t.Errorf("WithScans: %v", err)
	}
}
