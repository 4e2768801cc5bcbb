package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
)

func TestExplainSaysWhatMemoryDoes(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.Index("rare"), db.Index("common"), db.Index("n"), db.Index("common", "-n"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		r := &db.Record{Metadata: map[string]any{"rare": i % 400, "common": i % 2, "n": i, "other": i, "list": []string{fmt.Sprint(i % 100)}}}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	rare, common := db.Equal("rare", 7), db.Equal("common", 1)
	check := func(tb db.Table) {
		for what, c := range map[string]struct {
			opts       []db.SearchOption
			index      string
			scan, sort bool
		}{
			"all":                   {nil, "@id", false, false},
			"backwards":             {[]db.SearchOption{db.OrderBy("-@id")}, "@id", false, false},
			"one":                   {[]db.SearchOption{db.Where(db.Equal("@id", "x"))}, "@id", false, false},
			"newest":                {[]db.SearchOption{db.OrderBy("-@created")}, "@created", false, false},
			"equal":                 {[]db.SearchOption{db.Where(rare)}, "rare", false, false},
			"equal, sorted":         {[]db.SearchOption{db.Where(rare), db.OrderBy("other")}, "rare", false, true},
			"in":                    {[]db.SearchOption{db.Where(db.In("rare", 1, 2))}, "rare", false, true},
			"rare and common":       {[]db.SearchOption{db.Where(rare, common)}, "rare", false, false},
			"common and rare":       {[]db.SearchOption{db.Where(common, rare)}, "rare", false, false},
			"range":                 {[]db.SearchOption{db.Where(db.Greater("n", 5), db.Less("n", 10)), db.OrderBy("-n")}, "n", false, false},
			"order":                 {[]db.SearchOption{db.OrderBy("n")}, "n", false, false},
			"two keys":              {[]db.SearchOption{db.Where(common, db.Less("n", 100)), db.OrderBy("-n")}, "common,-n", false, false},
			"in the order of two":   {[]db.SearchOption{db.Where(common), db.OrderBy("common", "n")}, "common,-n", false, false},
			"a list":                {[]db.SearchOption{db.Where(db.Has("list", "7"))}, "has", false, false},
			"a list, the last ones": {[]db.SearchOption{db.Where(db.Has("list", "7")), db.OrderBy("-@id")}, "has", false, false},
			"one or the other":      {[]db.SearchOption{db.Where(db.Or(rare, db.Equal("n", 3)))}, "rare n", false, true},
			"not":                   {[]db.SearchOption{db.Where(db.Not(rare)), db.AllowScan()}, "@id", true, false},
			"not, in an order":      {[]db.SearchOption{db.Where(db.Not(rare)), db.OrderBy("n"), db.AllowScan()}, "n", true, false},
			"no index":              {[]db.SearchOption{db.OrderBy("other"), db.AllowScan()}, "@id", true, true},
		} {
			p, err := tb.Explain(t.Context(), c.opts...)
			if err != nil || strings.Join(p.Indexes, " ") != c.index || p.Scan != c.scan || p.Sort != c.sort || p.Engine == "" {
				t.Errorf("%s: %+v, %v, want the index %q, scan %v, sort %v", what, p, err, c.index, c.scan, c.sort)
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
	m, err := db.Memory().OpenDriver(t.Context())
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
