package sql_test

import (
	dbsql "database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/leak"
)

// TestExistingIndexesServe accepts an Index where the engine has one that finds and
// sorts as asked, and no other: the plan of a search, with it and without, says
// whether that is so.
func TestExistingIndexesServe(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		type index struct {
			what, on string // of CREATE INDEX
			declared []string
			serves   bool
		}
		all := []index{
			{"both up", "(a, b)", []string{"a", "b"}, true},
			{"both down", "(a, b)", []string{"-a", "-b"}, true},
			{"one down", "(a, b)", []string{"a", "-b"}, false},
			{"the other down", "(a, b)", []string{"-a", "b"}, false},
			{"one of two", "(a, b)", []string{"-a"}, true},
			{"made with one down", "(a, b DESC)", []string{"a", "-b"}, true},
			{"made with one down, the other way", "(a, b DESC)", []string{"-a", "b"}, true},
			{"made with one down, for both up", "(a, b DESC)", []string{"a", "b"}, false},
			{"another key first", "(b, a)", []string{"a", "b"}, false},
		}
		switch name {
		case "sqlite":
			all = append(all,
				index{"the column's collation", "(n)", []string{"n"}, true},
				index{"another collation", "(n COLLATE BINARY)", []string{"n"}, false},
				index{"another collation than the default", "(a COLLATE NOCASE)", []string{"a"}, false},
				index{"another collation, after the key", "(a, n COLLATE RTRIM)", []string{"a"}, true},
				index{"an expression", "(lower(a))", []string{"a"}, false},
				index{"some rows", "(a) WHERE b > 3", []string{"a"}, false},
				index{"another with spaces", "(s)", []string{"s"}, true},
				index{"not its own with spaces", "(s COLLATE NOCASE)", []string{"s"}, false})
		case "postgres":
			all = append(all,
				index{"the column's collation", "(n)", []string{"n"}, true},
				index{"another collation", "(n COLLATE \"POSIX\")", []string{"n"}, false},
				index{"for patterns", "(n text_pattern_ops)", []string{"n"}, false},
				index{"the type's operators by name", "(n varchar_ops)", []string{"n"}, true},
				index{"missing ones first", "(a NULLS FIRST)", []string{"a"}, false},
				index{"missing ones last, downwards", "(a DESC NULLS LAST)", []string{"a"}, false},
				index{"missing ones where they are", "(a DESC NULLS FIRST)", []string{"a"}, true},
				index{"an expression", "(lower(n))", []string{"n"}, false},
				index{"some rows", "(a) WHERE b > 3", []string{"a"}, false})
		case "mysql":
			all = append(all, index{"a part of it", "(n(3))", []string{"n"}, false}, index{"all of it", "(n)", []string{"n"}, true})
		}
		types := map[string]string{"sqlite": "n TEXT COLLATE NOCASE, s TEXT COLLATE RTRIM", "postgres": `n TEXT COLLATE "C"`, "mysql": "n VARCHAR(60)"}[name]
		exec(t, raw, "CREATE TABLE "+table+" (id INTEGER PRIMARY KEY, a INT, b INT, "+types+")")
		d := open(sql.WithExisting("things", sql.Existing{Table: table, ID: "id"}))
		for _, c := range all {
			exec(t, raw, "CREATE INDEX "+table+"_i ON "+table+" "+c.on)
			_, err := d.Table(t.Context(), "things", db.Index(c.declared...))
			if c.serves && err != nil || !c.serves && (!errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), strings.Join(c.declared, ", "))) {
				t.Errorf("%s: an Index of %q where there is one %s: %v, want it to do: %v", c.what, c.declared, c.on, err, c.serves)
			}
			drop := "DROP INDEX " + table + "_i"
			if name == "mysql" {
				drop += " ON " + table
			}
			exec(t, raw, drop)
		}
	})
}

// TestExistingTablesOfAttachedFiles has two tables of one name: each with its own
// columns and indexes.
func TestExistingTablesOfAttachedFiles(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	raw, err := dbsql.Open("sqlite", "file:"+filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetMaxOpenConns(1) // who attaches has but one connection
	exec(t, raw, "ATTACH '"+filepath.Join(dir, "crm.db")+"' AS crm",
		"CREATE TABLE customer (id TEXT PRIMARY KEY, age INT NOT NULL, name TEXT)", "CREATE INDEX by_age ON customer (age)",
		"CREATE TABLE crm.customer (id TEXT PRIMARY KEY, age INT, name TEXT NOT NULL)", "CREATE INDEX crm.by_name ON customer (name)",
		"CREATE TABLE crm.order_ (id TEXT PRIMARY KEY, total INT)", "CREATE INDEX crm.by_total ON order_ (total)",
		"INSERT INTO customer VALUES ('main', 1, 'ann')", "INSERT INTO crm.customer VALUES ('attached', 2, 'bob')", "INSERT INTO crm.order_ VALUES ('o', 3)")
	d, err := db.New(sql.On(enginesql.FromDB(enginesql.SQLite, raw), sql.WithExisting("own", sql.Existing{Table: "customer", ID: "id"}),
		sql.WithExisting("main", sql.Existing{Table: "main.customer", ID: "id"}), sql.WithExisting("crm", sql.Existing{Table: "crm.customer", ID: "id"}),
		sql.WithExisting("orders", sql.Existing{Table: "order_", ID: "id"})))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct{ table, index, finds string }{
		{"own", "age", "main"}, {"own", "name", ""}, {"main", "age", "main"}, {"main", "name", ""}, {"crm", "name", "attached"}, {"crm", "age", ""}, {"orders", "total", "o"},
	} {
		tb, err := d.Table(t.Context(), c.table, db.Index(c.index))
		if c.finds == "" {
			if !errors.Is(err, db.ErrInvalid) {
				t.Errorf("%s by %s: %v, want ErrInvalid: the other one's index", c.table, c.index, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s by %s: %v", c.table, c.index, err)
			continue
		}
		p, err := tb.Search(t.Context(), db.OrderBy(c.index))
		if err != nil || len(p.Records) != 1 || p.Records[0].ID != c.finds {
			t.Errorf("%s by %s: %v, %v, want %s", c.table, c.index, p.Records, err, c.finds)
		}
	}
}
