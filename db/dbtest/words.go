package dbtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
)

// texts are by the ids of the records that have them.
var texts = map[string]any{
	"1": "Three red bicycles, and a bell.", "2": "a RED car", "3": "The car's bell-tower (red)", "4": "blue", "5": "predator redder", "6": "", "7": 7, "8": []string{"red"},
	"9": "https://example.com/red?x=1&y=-2.50", "a": "to be or not to be", "b": "a@b.example x_y \x01red\x02 42", "c": strings.Repeat("w ", 500) + "last",
}

var queries = map[string][]string{
	"red": {"1", "2", "3", "9", "b"}, "RED": {"1", "2", "3", "9", "b"}, "red car": {"2", "3"}, "car, red": {"2", "3"}, "bell": {"1", "3"}, "tower": {"3"}, "a": {"1", "2", "b"}, "to be": {"a"},
	"not": {"a"}, "x": {"9", "b"}, "y 50": {"9"}, "example": {"9", "b"}, "com": {"9"}, "42": {"b"}, "last": {"c"}, "none": {}, "red none": {}, "re": {}, `"red" OR blue`: {}, "red*": {"1", "2", "3", "9", "b"}, "' & | ! red": {"1", "2", "3", "9", "b"},
}

func words(t *testing.T, b *bench) {
	d := b.open(t)
	if !d.Features().FullText {
		_, err := d.Table(t.Context(), "things", db.FullText("t"))
		wantErr(t, "FullText", err, db.ErrUnsupported)
		tb := openTable(t, d, "things")
		wantErr(t, "Match", errOnly(tb.Search(t.Context(), db.Where(db.Match("t", "red")), db.AllowScan())), db.ErrUnsupported)
		return
	}
	tb, err := d.Table(t.Context(), "things", db.FullText("t", "odd 'key'"), db.Index("owner"), db.SoftDelete(0))
	if err != nil {
		t.Fatal(err)
	}
	for id, text := range texts {
		mustCreate(t, tb, &db.Record{ID: id, Metadata: map[string]any{"t": text, "odd 'key'": text, "owner": "ann"}})
	}
	mustCreate(t, tb, &db.Record{ID: "none"})
	checkWords(t, tb)
	for what, c := range map[string]struct {
		opts []db.SearchOption
		want string
	}{
		"another key":   {[]db.SearchOption{db.Where(db.Match("odd 'key'", "red car"))}, "[2 3]"},
		"and":           {[]db.SearchOption{db.Where(db.Match("t", "red"), db.Equal("owner", "ann"), db.Greater(db.FieldID, "1"))}, "[2 3 9 b]"},
		"or":            {[]db.SearchOption{db.Where(db.Or(db.Match("t", "blue"), db.Match("t", "bell")))}, "[1 3 4]"},
		"not":           {[]db.SearchOption{db.Where(db.Equal("owner", "ann"), db.Not(db.Match("t", "red")))}, "[4 5 6 7 8 a c]"},
		"in an order":   {[]db.SearchOption{db.Where(db.Match("t", "red")), db.OrderBy("-@id"), db.Limit(2)}, "[b 9 3 2 1]"},
		"by a key":      {[]db.SearchOption{db.Where(db.Match("t", "bell")), db.OrderBy("-t")}, "[1 3]"},
		"of no deleted": {[]db.SearchOption{db.OnlyDeleted(), db.Where(db.Match("t", "red"))}, "[]"},
	} {
		if got := fmt.Sprint(ids(t, tb, c.opts...)); got != c.want {
			t.Errorf("%s: found %s, want %s", what, got, c.want)
		}
	}
	// Words go with their records.
	r := mustRead(t, tb, "4")
	r.Metadata["t"] = "green"
	if err := tb.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := tb.Delete(t.Context(), "2"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(ids(t, tb, db.Where(db.Match("t", "blue"))), ids(t, tb, db.Where(db.Match("t", "green"))), ids(t, tb, db.Where(db.Match("t", "car"))), ids(t, tb, db.OnlyDeleted(), db.Where(db.Match("t", "car")))); got != "[] [4] [3] [2]" {
		t.Errorf("after an update and a delete: %s", got)
	}
	if d.Features().Transactions {
		err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			x, err := tx.Table(ctx, "things")
			if err == nil {
				err = x.Create(ctx, &db.Record{ID: "in", Metadata: map[string]any{"t": "inside"}})
			}
			if err == nil && len(ids(t, x, db.Where(db.Match("t", "inside")))) != 1 {
				t.Error("a transaction does not find its own words")
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	for what, f := range map[string]db.Filter{"no word": db.Match("t", " ,;"), "many words": db.Match("t", "a b c d e f g h i j k l m n o p q"), "the id": db.Match(db.FieldID, "x"), "a time": db.Match(db.FieldCreated, "x")} {
		wantErr(t, what, errOnly(tb.Search(t.Context(), db.Where(f))), db.ErrInvalid)
	}
	wantErr(t, "a key that is not declared", errOnly(tb.Search(t.Context(), db.Where(db.Match("other", "x")), db.AllowScan())), db.ErrUnsupported)
	_, err = d.Table(t.Context(), "bad", db.FullText())
	wantErr(t, "no keys", err, db.ErrInvalid)
}

func checkWords(t *testing.T, tb db.Table) {
	t.Helper()
	for q, want := range queries {
		if got := ids(t, tb, db.Where(db.Match("t", q))); !slices.Equal(got, want) {
			t.Errorf("%q finds %q, want %q", q, got, want)
		}
		if n, err := tb.Count(t.Context(), db.Where(db.Match("t", q))); err != nil || int(n) != len(want) {
			t.Errorf("%q: counted %d, %v, want %d", q, n, err, len(want))
		}
	}
}

// wordsLater declares the index when the records are there, and writes others
// through a handle that knows nothing of it.
func wordsLater(t *testing.T, b *bench) {
	d := b.open(t)
	if fs := d.Features(); !fs.FullText {
		t.Skip("the backend has no full text")
	}
	plain := openTable(t, d, "things")
	n := 0
	for id, text := range texts {
		n++
		if n%2 == 0 {
			mustCreate(t, plain, &db.Record{ID: id, Metadata: map[string]any{"t": text}})
		}
	}
	open := func() db.Table {
		t.Helper()
		tb, err := d.Table(t.Context(), "things", db.FullText("t"))
		if err != nil {
			t.Fatal(err)
		}
		return tb
	}
	tb := open()
	for id, text := range texts {
		if err := plain.Update(t.Context(), &db.Record{ID: id, Metadata: map[string]any{"t": text}}, db.Upsert()); err != nil {
			t.Fatal(err)
		}
	}
	checkWords(t, tb)
	checkWords(t, open())
}
