package sql_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/leak"
)

// TestRangesArePlannedOnce has PostgreSQL keep its plan of a range in the order of its
// key: it planned each such search again that its statistics took for smaller than a
// page, which cost more than the search, and more among more records.
func TestRangesArePlannedOnce(t *testing.T) {
	leak.Check(t)
	raw := openRaw(t, "postgres")
	raw.SetMaxOpenConns(1) // whose statements can be asked for
	ns := "p" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
	d, err := db.New(patient(sql.On(enginesql.FromDB(enginesql.Postgres, raw)), db.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.Index("total"), db.Index("owner"), db.Index("owner", "total"))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, tb, 5000)
	exec(t, raw, `VACUUM ANALYZE "`+ns+`__things"`)
	at := time.Now().Add(time.Hour)
	id := func(n int) string { return fmt.Sprintf("id%06d", n) }
	for _, c := range []struct {
		what  string
		once  bool
		finds int
		opts  func(i int) []db.SearchOption
	}{
		{"up", true, 3, func(i int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.GreaterOrEqual("total", i), db.Less("total", i+3)), db.OrderBy("total")}
		}},
		{"down", true, 2, func(i int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.Greater("total", i), db.LessOrEqual("total", i+2)), db.OrderBy("-total")}
		}},
		{"a prefix", true, 5, func(i int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.Prefix("owner", fmt.Sprint("owner", 500+i))), db.OrderBy("owner", "total")}
		}},
		{"times", true, 0, func(int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.Greater(db.FieldCreated, at), db.LessOrEqual(db.FieldCreated, at.Add(1))), db.OrderBy(db.FieldCreated)}
		}},
		{"ids", true, 4, func(i int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.GreaterOrEqual(db.FieldID, id(i)), db.Less(db.FieldID, id(i+4)))}
		}},
		{"by another key", false, 3, func(i int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.GreaterOrEqual("total", i), db.Less("total", i+3)), db.OrderBy("owner")}
		}},
		{"beside another filter", false, 5, func(i int) []db.SearchOption {
			return []db.SearchOption{db.Where(db.Equal("owner", fmt.Sprint("owner", i)), db.GreaterOrEqual("total", 0)), db.OrderBy("total")}
		}},
	} {
		raw.SetMaxIdleConns(-1) // a new connection, which has prepared nothing
		raw.SetMaxIdleConns(1)
		for i := range 20 {
			p, err := tb.Search(t.Context(), append(c.opts(i+1), db.Limit(20))...)
			if err != nil || len(p.Records) != c.finds {
				t.Fatalf("%s, %d: found %d, %v, want %d", c.what, i, len(p.Records), err, c.finds)
			}
			order := func(a, b *db.Record) int { return strings.Compare(a.ID, b.ID) }
			if c.what == "ids" && !slices.IsSortedFunc(p.Records, order) {
				t.Errorf("%s: %v", c.what, p.Records)
			}
		}
		var blind, generic int
		if err := raw.QueryRow(`SELECT COUNT(*) FILTER (WHERE statement LIKE '%(SELECT $%'), COALESCE(MAX(generic_plans), 0) FROM pg_prepared_statements WHERE statement LIKE 'SELECT r.id%'`).Scan(&blind, &generic); err != nil {
			t.Fatal(err)
		}
		if c.once && generic < 10 || !c.once && blind > 0 {
			t.Errorf("%s: %d of 20 searches by the plan of earlier ones, want it: %v", c.what, generic, c.once)
		}
		if p, err := tb.Explain(t.Context(), append(c.opts(1), db.Limit(20))...); err != nil || p.Scan {
			t.Errorf("%s: %+v, %v", c.what, p, err)
		}
	}
}
