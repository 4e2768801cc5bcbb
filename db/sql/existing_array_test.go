package sql_test

import (
	dbsql "database/sql"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
)

// TestExistingArraysAreLists reads PostgreSQL's arrays of texts, which were left out.
func TestExistingArraysAreLists(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		if name != "postgres" {
			return
		}
		exec(t, raw, "CREATE TABLE "+table+" (id INT PRIMARY KEY, tags TEXT[], codes VARCHAR(9)[], numbers INT[])", "CREATE INDEX ON "+table+" (tags)",
			"INSERT INTO "+table+` VALUES (1, '{a,b}', '{x}', '{1}'), (2, '{}', NULL, NULL), (3, NULL, '{"a b","c\"d","é",""}', NULL), (4, '{B,NULL}', NULL, NULL), (5, '{{a},{b}}', NULL, NULL)`)
		d := open(sql.WithExisting("lists", sql.Existing{Table: table, ID: "id"}))
		tb, err := d.Table(t.Context(), "lists")
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]*db.Record{}
		for id, want := range map[string]map[string]any{
			"1": {"tags": []string{"a", "b"}, "codes": []string{"x"}}, "2": {"tags": []string{}}, "3": {"codes": []string{"a b", `c"d`, "é", ""}}, "4": nil, "5": nil,
		} {
			r, err := tb.Read(t.Context(), id)
			switch {
			case want == nil:
				if !errors.Is(err, db.ErrUnsupported) {
					t.Errorf("%s: %+v, %v, want ErrUnsupported: no record has that", id, r, err)
				}
			case err != nil || !reflect.DeepEqual(r.Metadata, want):
				t.Errorf("%s: %+v, %v, want %v", id, r, err, want)
			default:
				all[id] = r
			}
		}
		exec(t, raw, "DELETE FROM "+table+" WHERE id > 3")
		for _, f := range []db.Filter{
			db.Has("tags", "a"), db.Has("tags", "A"), db.Has("tags", "a\x00"), db.Has("tags", ""), db.Has("codes", ""), db.Has("codes", "é"), db.Has("codes", `c"d`), db.Has("codes", "c"),
			db.Contains("tags", "b"), db.Contains("codes", "a"), db.Prefix("codes", "x"), db.Exists("tags"), db.Not(db.Has("tags", "a")), db.Equal("codes", "x"), db.Greater("codes", "a"), db.Has("id", "1"),
		} {
			var want, got []string
			for id, r := range all {
				if f.Match(r) {
					want = append(want, id)
				}
			}
			slices.Sort(want)
			for r, err := range tb.All(t.Context(), db.Where(f), db.AllowScan()) {
				if err != nil {
					t.Fatalf("%+v: %v", f, err)
				}
				got = append(got, r.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v finds %q, want %q", f, got, want)
			}
		}
		if err := errOf(tb.Search(t.Context(), db.OrderBy("tags"), db.AllowScan())); !errors.Is(err, db.ErrUnsupported) {
			t.Errorf("by lists: %v, want ErrUnsupported", err)
		}
		if err := errOf(tb.Search(t.Context(), db.OrderBy("id"), db.AllowScan())); err != nil {
			t.Errorf("by another column: %v", err)
		}
		if err := errOf(d.Table(t.Context(), "lists", db.Index("tags"))); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("an Index of lists: %v, want ErrInvalid", err)
		}
	})
}
