package db_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/db"
)

// Filters that no function makes are refused by searches, and match nothing.
func TestHandMadeFiltersAreRefused(t *testing.T) {
	d, err := db.New(db.WithScans())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.FullText("a"))
	if err != nil {
		t.Fatal(err)
	}
	text, list := &db.Record{ID: "text", Metadata: map[string]any{"a": "v"}}, &db.Record{ID: "list", Metadata: map[string]any{"a": []string{"v"}}}
	if err := tb.Batch(t.Context(), db.CreateOp(text), db.CreateOp(list)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    db.Filter
		want error
	}{
		{db.Filter{Op: db.OpNot, Filters: []db.Filter{db.Equal("a", "w")}}, nil},
		{db.Filter{Op: db.OpNot}, db.ErrInvalid},
		{db.Filter{Op: db.OpNot, Filters: []db.Filter{db.Equal("a", "w"), db.Equal("a", "x")}}, db.ErrInvalid},
		{db.Filter{Op: db.OpAnd, Filters: []db.Filter{{Op: db.OpNot}}}, db.ErrInvalid},
		{db.Filter{Op: db.OpPrefix, Key: "a", Value: "v"}, nil},
		{db.Filter{Op: db.OpPrefix, Key: "a", Value: int64(1)}, db.ErrInvalid},
		{db.Filter{Op: db.OpContains, Key: "a", Value: true}, db.ErrInvalid},
		{db.Filter{Op: db.OpHas, Key: "a", Value: 1.5}, db.ErrInvalid},
		{db.Filter{Op: db.OpHas, Key: "a"}, db.ErrInvalid},
		{db.Filter{Op: db.OpMatch, Key: "a", Value: int64(1)}, db.ErrInvalid},
		{db.Filter{Op: db.OpLess, Key: "a"}, db.ErrInvalid},
		{db.Filter{Op: db.OpIn, Key: "a"}, db.ErrInvalid},
		{db.Filter{Op: "like", Key: "a", Value: "v"}, db.ErrInvalid},
	} {
		_, err := tb.Search(t.Context(), db.Where(c.f))
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.f, err, c.want)
		}
		if got := c.f.Match(text) || c.f.Match(list); got != (c.want == nil) {
			t.Errorf("%+v matches: %v", c.f, got)
		}
	}
}
