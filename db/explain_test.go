package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/micro/go-platform/db"
)

func TestExplainSaysWhatMemoryDoes(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.Index("a"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(tb db.Table) {
		for what, c := range map[string]struct {
			opts       []db.SearchOption
			scan, sort bool
		}{
			"all": {nil, false, false}, "backwards": {[]db.SearchOption{db.OrderBy("-@id")}, false, false},
			"equal": {[]db.SearchOption{db.Where(db.Equal("a", 1))}, true, false}, "order": {[]db.SearchOption{db.OrderBy("a")}, true, true},
		} {
			if p, err := tb.Explain(t.Context(), c.opts...); err != nil || p.Scan != c.scan || p.Sort != c.sort || p.Engine == "" {
				t.Errorf("%s: %+v, %v, want scan %v, sort %v", what, p, err, c.scan, c.sort)
			}
		}
		if _, err := tb.Explain(t.Context(), db.OrderBy("none")); !errors.Is(err, db.ErrUnsupported) {
			t.Errorf("a search that is refused: %v, want ErrUnsupported", err)
		}
	}
	check(tb)
	if err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		x, err := tx.Table(ctx, "things")
		if err == nil {
			check(x)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	d.Close()
	if _, err := tb.Explain(t.Context()); !errors.Is(err, db.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

func TestExplainIsUnsupportedWhereTheBackendDoesNotTell(t *testing.T) {
	m, err := db.OpenDriver(t.Context(), db.WithMemory())
	if err != nil {
		t.Fatal(err)
	}
	d, err := db.New(db.WithDriver("plain", func(context.Context) (db.Driver, error) { return plain{m}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Explain(t.Context()); !errors.Is(err, db.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
