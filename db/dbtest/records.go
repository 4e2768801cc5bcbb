package dbtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

func create(t *testing.T, b *bench) {
	_, tb := b.table(t)
	before := time.Now().Add(-time.Second)
	r := &db.Record{Metadata: map[string]any{"a": "x"}, Data: []byte("d"), ContentType: "text/plain"}
	mustCreate(t, tb, r)
	if r.ID == "" || r.Version == 0 || r.Created.Before(before) || !r.Updated.Equal(r.Created) || r.Created.Location() != time.UTC {
		t.Errorf("Create filled in %+v", r)
	}
	got := mustRead(t, tb, r.ID)
	if !reflect.DeepEqual(got, r) {
		t.Errorf("Read\n got %+v\nwant %+v", got, r)
	}
}

// oddStrings are strings that backends are known to get wrong.
var oddStrings = []string{
	"", " ", "a ", " a", "%", "_", "a%b", "a_b", "axb", `\`, `\%`, `a\b`, `'`, `''`, `"`, "`", ";", "--", "'; DROP TABLE things; --", `" OR ""="`,
	"a\x00b", "a\x00", "\x00", "\n", "\t", "é", "e\u0301", "ß", "SS", "ss", "İ", "i", "I", "日本語", "🙂", "a", "A", "á", "Z", "z",
	"null", "NULL", "true", "1", "1.0", "{}", "[]", "$1", "?", ":a", "@a", "${a}", "\u202e", strings.Repeat("x", 1024),
	strings.Repeat("x", 1023) + "y", strings.Repeat("x", 990) + "日本",
}

func roundTrip(t *testing.T, b *bench) {
	_, tb := b.table(t)
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	records := []*db.Record{
		{ID: "plain"},
		{ID: `o'd"d%_\;日本 🙂`, Data: binary, ContentType: "application/octet-stream"},
		{ID: "ID", Data: []byte{0}}, {ID: "id", Data: []byte{0xff, 0xfe}}, {ID: "íd"}, {ID: "id ", Data: []byte("with a space behind")},
		{ID: strings.Repeat("i", 128), Data: []byte(strings.Repeat("x", 1<<20))},
		{ID: "types", Metadata: map[string]any{
			"string": "s", "empty": "", "yes": true, "no": false, "int": int64(-7), "zero": int64(0), "max": int64(math.MaxInt64), "min": int64(math.MinInt64),
			"exact": int64(1<<53 + 1), "float": 1.5, "whole": 2.0, "tiny": 5e-324, "huge": math.MaxFloat64, "negative": -0.1,
			"time": time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC), "old": time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), "late": time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
			"list": []string{"b", "a", "", "a"}, "none": []string{}, "key with 'odd' \"chars\" %_;.$": "v", "ключ": "v", "looks": "2030-01-02T03:04:05Z",
		}},
	}
	odd := map[string]any{}
	for i, s := range oddStrings {
		odd[fmt.Sprint("k", i)] = s
	}
	records = append(records, &db.Record{ID: "odd", Metadata: odd})
	for _, r := range records {
		mustCreate(t, tb, r)
	}
	for _, want := range records {
		got := mustRead(t, tb, want.ID)
		compare(t, got, want)
	}
	b.settle(t)
	for r, err := range tb.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		compare(t, r, mustRead(t, tb, r.ID))
	}
	// Other types of numbers and times come back as the normal ones.
	r := &db.Record{Metadata: map[string]any{"i": 1, "i8": int8(2), "u32": uint32(3), "u64": uint64(4), "f32": float32(0.5), "z": math.Copysign(0, -1), "t": time.Date(2030, 1, 1, 12, 0, 0, 1234, time.FixedZone("x", 3600))}}
	mustCreate(t, tb, r)
	want := map[string]any{"i": int64(1), "i8": int64(2), "u32": int64(3), "u64": int64(4), "f32": 0.5, "z": 0.0, "t": time.Date(2030, 1, 1, 11, 0, 0, 1000, time.UTC)}
	if got := mustRead(t, tb, r.ID).Metadata; !reflect.DeepEqual(got, want) {
		t.Errorf("metadata %#v, want %#v", got, want)
	}
}

func compare(t *testing.T, got, want *db.Record) {
	t.Helper()
	g, w := got.Clone(), want.Clone()
	if len(g.Data) == 0 && len(w.Data) == 0 {
		g.Data, w.Data = nil, nil
	}
	if len(g.Metadata) == 0 && len(w.Metadata) == 0 {
		g.Metadata, w.Metadata = nil, nil
	}
	for k, v := range w.Metadata {
		if !reflect.DeepEqual(g.Metadata[k], v) {
			t.Errorf("%q: metadata %q is %#v, want %#v", w.ID, k, g.Metadata[k], v)
		}
	}
	if len(g.Metadata) != len(w.Metadata) {
		t.Errorf("%q: %d keys, want %d", w.ID, len(g.Metadata), len(w.Metadata))
	}
	g.Metadata, w.Metadata = nil, nil
	if !reflect.DeepEqual(g, w) {
		t.Errorf("record\n got %.300q\nwant %.300q", fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", w))
	}
}

func copies(t *testing.T, b *bench) {
	_, tb := b.table(t)
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": 1, "c": []string{"l"}}, Data: []byte("d")}
	mustCreate(t, tb, r)
	if r.Metadata["a"] != 1 {
		t.Errorf("Create changed the caller's metadata to %#v", r.Metadata)
	}
	r.Data[0], r.Metadata["a"], r.Metadata["c"].([]string)[0] = 'X', 2, "X"
	got := mustRead(t, tb, "x")
	got.Data[0], got.Metadata["a"], got.Metadata["c"].([]string)[0] = 'Y', 3, "Y"
	again := mustRead(t, tb, "x")
	if string(again.Data) != "d" || again.Metadata["a"] != int64(1) || again.Metadata["c"].([]string)[0] != "l" {
		t.Errorf("a caller's changes reached the table: %+v", again)
	}
}

func exists(t *testing.T, b *bench) {
	_, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "x", Data: []byte("first")})
	r := &db.Record{ID: "x", Data: []byte("second")}
	wantErr(t, "Create", tb.Create(t.Context(), r), db.ErrExists)
	if r.Version != 0 || !r.Created.IsZero() {
		t.Errorf("a refused Create filled in %+v", r)
	}
	if got := mustRead(t, tb, "x"); string(got.Data) != "first" {
		t.Errorf("a refused Create left %+v", got)
	}
}

func missing(t *testing.T, b *bench) {
	_, tb := b.table(t)
	_, err := tb.Read(t.Context(), "none")
	wantErr(t, "Read", err, db.ErrNotFound)
	wantErr(t, "Update", tb.Update(t.Context(), &db.Record{ID: "none"}), db.ErrNotFound)
	wantErr(t, "Update of a version", tb.Update(t.Context(), &db.Record{ID: "none", Version: 3}), db.ErrNotFound)
	wantErr(t, "Update by force", tb.Update(t.Context(), &db.Record{ID: "none"}, db.Force()), db.ErrNotFound)
	wantErr(t, "Delete", tb.Delete(t.Context(), "none"), db.ErrNotFound)
	wantErr(t, "Delete of a version", tb.Delete(t.Context(), "none", db.IfVersion(1)), db.ErrNotFound)
	if err != nil && !strings.Contains(err.Error(), "things/none") {
		t.Errorf("error %q does not say what was read", err)
	}
}

func versions(t *testing.T, b *bench) {
	_, tb := b.table(t)
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": "one", "b": 1}, Data: []byte("1")}
	mustCreate(t, tb, r)
	stale := r.Clone()
	created, first := r.Created, r.Version
	r.Metadata, r.Data, r.ContentType, r.Created = map[string]any{"a": "two"}, []byte("2"), "text/plain", time.Time{}
	if err := tb.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if r.Version != first+1 || !r.Created.Equal(created) || r.Updated.Before(created) {
		t.Errorf("Update set %+v, want version %d and the time of creation", r, first+1)
	}
	compare(t, mustRead(t, tb, "x"), r)
	wantErr(t, "Update of an old version", tb.Update(t.Context(), stale), db.ErrConflict)
	wantErr(t, "Update without a version", tb.Update(t.Context(), &db.Record{ID: "x"}), db.ErrConflict)
	wantErr(t, "Update of a later version", tb.Update(t.Context(), &db.Record{ID: "x", Version: r.Version + 1}), db.ErrConflict)
	if stale.Version != first {
		t.Errorf("a refused Update set version %d", stale.Version)
	}
	compare(t, mustRead(t, tb, "x"), r)
	b.settle(t)
	for value, want := range map[string]int{"one": 0, "two": 1} { // the search knows the new metadata only
		if n := len(ids(t, tb, db.Where(db.Equal("a", value)))); n != want {
			t.Errorf("search for %s finds %d, want %d", value, n, want)
		}
	}
	wantErr(t, "Delete of an old version", tb.Delete(t.Context(), "x", db.IfVersion(first)), db.ErrConflict)
	if err := tb.Delete(t.Context(), "x", db.IfVersion(first+1)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Delete again", tb.Delete(t.Context(), "x"), db.ErrNotFound)
	b.settle(t)
	if n := len(ids(t, tb, db.Where(db.Equal("a", "two")))); n != 0 {
		t.Errorf("a deleted record is found %d times", n)
	}
	mustCreate(t, tb, &db.Record{ID: "x"})
}

func overwrite(t *testing.T, b *bench) {
	_, tb := b.table(t)
	r := &db.Record{ID: "x", Data: []byte("1")}
	if err := tb.Update(t.Context(), r, db.Upsert()); err != nil || r.Version == 0 {
		t.Fatalf("Upsert of a new record: version %d, %v", r.Version, err)
	}
	u := &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}, Data: []byte("2")}
	if err := tb.Update(t.Context(), u, db.Upsert()); err != nil || u.Version != r.Version+1 || !u.Created.Equal(r.Created) {
		t.Fatalf("Upsert of an old record: %+v, %v", u, err)
	}
	f := &db.Record{ID: "x", Version: 77, Data: []byte("3")}
	if err := tb.Update(t.Context(), f, db.Force()); err != nil || f.Version != r.Version+2 || !f.Created.Equal(r.Created) {
		t.Fatalf("Force: %+v, %v", f, err)
	}
	compare(t, mustRead(t, tb, "x"), f)
	b.settle(t)
	if n := len(ids(t, tb, db.Where(db.Equal("a", "v")))); n != 0 {
		t.Error("the search still knows the old metadata")
	}
}

func oneWins(t *testing.T, b *bench) {
	_, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "x"})
	for round := range 3 {
		r := mustRead(t, tb, "x")
		var won, conflicts atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c := r.Clone()
				c.Data = fmt.Append(nil, i)
				switch err := tb.Update(context.Background(), c); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, db.ErrConflict):
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || conflicts.Load() != 7 {
			t.Errorf("round %d: %d won and %d had conflicts, want 1 and 7", round, won.Load(), conflicts.Load())
		}
	}
}

func oneCreates(t *testing.T, b *bench) {
	_, tb := b.table(t)
	var won, taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch err := tb.Create(context.Background(), &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}}); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, db.ErrExists):
				taken.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || taken.Load() != 7 {
		t.Errorf("%d created and %d were refused, want 1 and 7", won.Load(), taken.Load())
	}
	// Upserts at once are all applied, one after another.
	first := &db.Record{ID: "y"}
	mustCreate(t, tb, first)
	for range 8 {
		wg.Go(func() {
			if err := tb.Update(context.Background(), &db.Record{ID: "y"}, db.Upsert()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if v := mustRead(t, tb, "y").Version; v != first.Version+8 {
		t.Errorf("version %d after 8 upserts over version %d", v, first.Version)
	}
}

func badInput(t *testing.T, b *bench) {
	_, tb := b.table(t)
	c := t.Context()
	for name, r := range map[string]*db.Record{
		"nil": nil, "control": {ID: "a\x00"}, "newline": {ID: "a\n"}, "not UTF-8": {ID: "\xff"},
		"nil value": {ID: "x", Metadata: map[string]any{"a": nil}}, "map": {ID: "x", Metadata: map[string]any{"a": map[string]any{}}},
		"NaN": {ID: "x", Metadata: map[string]any{"a": math.NaN()}}, "infinity": {ID: "x", Metadata: map[string]any{"a": math.Inf(1)}},
		"unsigned": {ID: "x", Metadata: map[string]any{"a": uint64(math.MaxUint64)}}, "text": {ID: "x", Metadata: map[string]any{"a": "\xff"}},
		"key": {ID: "x", Metadata: map[string]any{"": "x"}}, "reserved key": {ID: "x", Metadata: map[string]any{"@id": "x"}},
		"key not UTF-8": {ID: "x", Metadata: map[string]any{"\xff": "x"}}, "list": {ID: "x", Metadata: map[string]any{"a": []any{1}}},
		"content type": {ID: "x", ContentType: "a\x00"},
	} {
		wantErr(t, "Create "+name, tb.Create(c, r), db.ErrInvalid)
		wantErr(t, "Update "+name, tb.Update(c, r, db.Upsert()), db.ErrInvalid)
	}
	wantErr(t, "Update without an id", tb.Update(c, &db.Record{}), db.ErrInvalid)
	_, err := tb.Read(c, "")
	wantErr(t, "Read", err, db.ErrInvalid)
	wantErr(t, "Delete", tb.Delete(c, ""), db.ErrInvalid)
	wantErr(t, "Update nil option", tb.Update(c, &db.Record{ID: "x"}, nil), db.ErrInvalid)
	wantErr(t, "Update both", tb.Update(c, &db.Record{ID: "x"}, db.Force(), db.Upsert()), db.ErrInvalid)
	wantErr(t, "Update IfVersion", tb.Update(c, &db.Record{ID: "x"}, db.IfVersion(1)), db.ErrInvalid)
	wantErr(t, "Delete Force", tb.Delete(c, "x", db.Force()), db.ErrInvalid)
	wantErr(t, "Delete version 0", tb.Delete(c, "x", db.IfVersion(0)), db.ErrInvalid)
	for name, opts := range map[string][]db.SearchOption{
		"nil option": {nil}, "limit": {db.Limit(0)}, "high limit": {db.Limit(1001)}, "cursor": {db.After("x")}, "long cursor": {db.After(strings.Repeat("x", 100))},
		"key": {db.Where(db.Equal("", 1))}, "reserved": {db.Where(db.Equal("@x", 1))}, "value": {db.Where(db.Equal("a", nil))},
		"list": {db.Where(db.Equal("a", []string{"x"}))}, "in": {db.Where(db.In("a"))}, "id": {db.Where(db.Equal(db.FieldID, 1))},
		"operator": {db.Where(db.Filter{Op: "x", Key: "a", Value: 1})}, "twice": {db.OrderBy("a", "-a")}, "order": {db.OrderBy("")},
		"many": {db.OrderBy("a", "b", "c", "n", "s")},
	} {
		_, err := tb.Search(c, opts...)
		if errors.Is(err, db.ErrUnsupported) {
			continue
		}
		wantErr(t, "Search "+name, err, db.ErrInvalid)
	}
	b.settle(t)
	if got := ids(t, tb); len(got) != 0 {
		t.Errorf("bad input stored %v", got)
	}
}

func badNames(t *testing.T, b *bench) {
	d := b.open(t)
	for _, name := range []string{"", "x; drop", "x;drop table things", "X", "1x", "_x", "x_", "a__b", "a-b", "a.b", "`x`", `"x"`, "x'", "é", "x\x00", " x", strings.Repeat("x", 49)} {
		_, err := d.Table(t.Context(), name)
		wantErr(t, fmt.Sprintf("Table %q", name), err, db.ErrInvalid)
	}
	for _, name := range []string{"x", "select", "table", "order", "a1_b2", strings.Repeat("x", 48)} { // also words of SQL
		tb := openTable(t, d, name)
		mustCreate(t, tb, &db.Record{ID: "x", Metadata: map[string]any{"a": name}})
		b.settle(t)
		if got := ids(t, tb, db.Where(db.Equal("a", name))); len(got) != 1 {
			t.Errorf("table %q has %v", name, got)
		}
	}
	_, err := d.Table(t.Context(), "y", db.Index("@id"))
	wantErr(t, "Index", err, db.ErrInvalid)
	_, err = d.Table(t.Context(), "y", nil)
	wantErr(t, "nil option", err, db.ErrInvalid)
}

func tooLarge(t *testing.T, b *bench) {
	_, tb := b.table(t, db.WithMaxBytes(100))
	many := map[string]any{}
	for i := range 65 {
		many[fmt.Sprint(i)] = i
	}
	for name, r := range map[string]*db.Record{
		"data": {ID: "x", Data: make([]byte, 101)}, "id": {ID: strings.Repeat("x", 129)}, "key": {ID: "x", Metadata: map[string]any{strings.Repeat("k", 65): 1}},
		"value": {ID: "x", Metadata: map[string]any{"a": strings.Repeat("v", 1025)}}, "keys": {ID: "x", Metadata: many},
		"list": {ID: "x", Metadata: map[string]any{"a": make([]string, 65)}},
	} {
		wantErr(t, name, tb.Create(t.Context(), r), db.ErrTooLarge)
	}
	mustCreate(t, tb, &db.Record{ID: "x", Data: make([]byte, 100)})
	b.settle(t)
	if got := ids(t, tb); len(got) != 1 {
		t.Errorf("stored %v, want only what fits", got)
	}
}
