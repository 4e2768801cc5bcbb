package sql_test

import (
	dbsql "database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
)

// TestExistingIDsAreUnique refuses a column for the ids that does not tell rows apart:
// the pages of a table whose key has two columns left rows out.
func TestExistingIDsAreUnique(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		joined, quote := "tenant || '/' || nr", `"`
		if name == "mysql" {
			joined, quote = "CONCAT(tenant, '/', nr)", "`"
		}
		type existing struct {
			what, columns, after string
			id                   bool
		}
		all := []existing{
			{"the primary key", "nr INT, tenant VARCHAR(9) PRIMARY KEY", "", true},
			{"a unique column", "nr INT PRIMARY KEY, tenant VARCHAR(9) UNIQUE", "", true},
			{"an index made later", "nr INT, tenant VARCHAR(9)", "CREATE UNIQUE INDEX %s ON %s (tenant)", true},
			{"one of the key's two", "nr INT, tenant VARCHAR(9), PRIMARY KEY (tenant, nr)", "", false},
			{"the other one of two", "nr INT, tenant VARCHAR(9), PRIMARY KEY (nr, tenant)", "", false},
			{"one of two in an index", "nr INT PRIMARY KEY, tenant VARCHAR(9)", "CREATE UNIQUE INDEX %s ON %s (tenant, nr)", false},
			{"an index that is not unique", "nr INT PRIMARY KEY, tenant VARCHAR(9)", "CREATE INDEX %s ON %s (tenant)", false},
			{"no index", "nr INT PRIMARY KEY, tenant VARCHAR(9)", "", false},
		}
		if name == "mysql" {
			all = append(all, existing{"a part of it", "nr INT PRIMARY KEY, tenant VARCHAR(9)", "CREATE UNIQUE INDEX %s ON %s (tenant(5))", false})
		} else {
			all = append(all, existing{"some rows", "nr INT PRIMARY KEY, tenant VARCHAR(9)", "CREATE UNIQUE INDEX %s ON %s (tenant) WHERE nr > 3", false},
				existing{"an expression", "nr INT PRIMARY KEY, tenant VARCHAR(9)", "CREATE UNIQUE INDEX %s ON %s (LOWER(tenant))", false})
		}
		d := open(sql.WithExisting("things", sql.Existing{Table: table, ID: "tenant"}), sql.WithExisting("view", sql.Existing{Table: table + " by id", ID: "an id"}))
		for _, c := range all {
			exec(t, raw, "CREATE TABLE "+table+" ("+c.columns+")")
			if c.after != "" {
				exec(t, raw, strings.Replace(strings.Replace(c.after, "%s", table+"_i", 1), "%s", table, 1))
			}
			err := errOf(d.Table(t.Context(), "things"))
			if c.id && err != nil || !c.id && (!errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), `"tenant" is no ID`)) {
				t.Errorf("%s: %v, want it accepted: %v", c.what, err, c.id)
			}
			exec(t, raw, "DROP TABLE "+table)
		}

		// A view makes one column of both.
		view := quote + table + " by id" + quote
		if name != "postgres" && name != "mysql" {
			joined = "CAST(" + joined + " AS TEXT)"
		}
		exec(t, raw, "CREATE TABLE "+table+" (tenant VARCHAR(9), nr INT, PRIMARY KEY (tenant, nr))", "INSERT INTO "+table+" VALUES ('a', 1), ('a', 2), ('b', 1), ('b', 2)",
			"CREATE VIEW "+view+" AS SELECT "+joined+" AS "+quote+"an id"+quote+", tenant FROM "+table)
		tb, err := d.Table(t.Context(), "view")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for r, err := range tb.All(t.Context(), db.Limit(1)) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID)
		}
		if want := []string{"a/1", "a/2", "b/1", "b/2"}; !slices.Equal(ids, want) {
			t.Errorf("the view has %q, want %q", ids, want)
		}
		if r, err := tb.Read(t.Context(), "b/1"); err != nil || r.Metadata["tenant"] != "b" {
			t.Errorf("read %+v, %v", r, err)
		}
	})
}

// TestExistingPartitionsAreExplained has a partitioned table of PostgreSQL, in whose
// plans are the indexes of its partitions, which have names of their own.
func TestExistingPartitionsAreExplained(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		if name != "postgres" {
			return
		}
		exec(t, raw, "CREATE TABLE "+table+" (id INT, day INT, v INT, w INT, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
			"CREATE TABLE "+table+"_1 PARTITION OF "+table+" FOR VALUES FROM (0) TO (10)", "CREATE TABLE "+table+"_2 PARTITION OF "+table+" FOR VALUES FROM (10) TO (20)",
			"CREATE INDEX ON "+table+" (v)", "INSERT INTO "+table+" SELECT n, n % 20, n, n FROM generate_series(1, 5000) n", "ANALYZE "+table)
		tb, err := open(sql.WithExisting("parted", sql.Existing{Table: table, ID: "id"})).Table(t.Context(), "parted", db.Index("v"))
		if err != nil {
			t.Fatal(err)
		}
		where := db.Where(db.Equal("v", 7))
		if p, err := tb.Search(t.Context(), where); err != nil || len(p.Records) != 1 || p.Records[0].ID != "7" {
			t.Errorf("found %v, %v", p.Records, err)
		}
		if p, err := tb.Explain(t.Context(), where); err != nil || p.Scan || !slices.Equal(p.Indexes, []string{"v"}) {
			t.Errorf("the plan is %+v, %v, want the index of v", p, err)
		}
		if p, err := tb.Explain(t.Context(), db.Where(db.Equal("w", 7)), db.AllowScan()); err != nil || !p.Scan {
			t.Errorf("without an index the plan is %+v, %v, want a scan", p, err)
		}
	})
}
