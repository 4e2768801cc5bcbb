package sql_test

import (
	"bytes"
	"cmp"
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// ddl has each engine's types for the columns of the tables here: names compare
// without case where the engine can, codes byte by byte.
var ddl = map[string]map[string]string{
	"sqlite":   {"id": "TEXT", "name": "TEXT COLLATE NOCASE", "code": "TEXT", "int": "INTEGER", "float": "DOUBLE", "fixed": "DECIMAL(10,2)", "bool": "BOOLEAN", "time": "", "bytes": "BLOB"},
	"mysql":    {"id": "VARCHAR(60)", "name": "VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "code": "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "int": "INT", "float": "DOUBLE", "fixed": "DECIMAL(10,2)", "bool": "", "time": "DATETIME(6)", "bytes": "BLOB"},
	"postgres": {"id": "VARCHAR(60)", "name": "TEXT", "code": `TEXT COLLATE "C"`, "int": "INT", "float": "DOUBLE PRECISION", "fixed": "NUMERIC(10,2)", "bool": "BOOLEAN", "time": "TIMESTAMPTZ", "bytes": "BYTEA"},
}

// names are what the customers are called.
var names = []string{"ann", "Ann", "ANN", "anna", "bob", "a%b", "a_b", "a*b", "é", "", "it's"}

// foreign runs a test on each engine with a table that somebody else has made.
func foreign(t *testing.T, run func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB)) {
	for name := range ddl {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			var raw *dbsql.DB
			backend := func(opts ...sql.Option) db.Option { return sql.Postgres(servertest.SharedPostgres(t).DSN(), opts...) }
			switch name {
			case "sqlite":
				file := filepath.Join(t.TempDir(), "x.db")
				var err error
				if raw, err = dbsql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { raw.Close() })
				backend = func(opts ...sql.Option) db.Option { return sql.SQLite(file, opts...) }
			case "mysql":
				backend = func(opts ...sql.Option) db.Option {
					return sql.MySQL(records(t, servertest.SharedMariaDB(t)), opts...)
				}
				raw = openRaw(t, name)
			default:
				raw = openRaw(t, name)
			}
			table := "crm_" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
			run(t, name, raw, table, func(opts ...sql.Option) db.DB {
				d, err := db.New(patient(backend(opts...), db.WithNamespace("mine"))...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
				return d
			})
		})
	}
}

func exec(t *testing.T, raw *dbsql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := raw.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// customers makes the table of customers with records in it, and returns them.
func customers(t *testing.T, name string, raw *dbsql.DB, table string) map[string]*db.Record {
	types := ddl[name]
	columns := []string{"id " + types["id"] + " PRIMARY KEY", "name " + types["name"], "code " + types["code"] + " NOT NULL", "age " + types["int"], "score " + types["float"], "price " + types["fixed"], "body " + types["bytes"], "rev " + types["int"] + " NOT NULL"}
	for _, c := range []string{"bool active", "time born", "time made"} {
		if kind, column, _ := strings.Cut(c, " "); types[kind] != "" {
			columns = append(columns, column+" "+types[kind])
		}
	}
	exec(t, raw, "CREATE TABLE "+table+" ("+strings.Join(columns, ", ")+")",
		"CREATE INDEX "+table+"_n ON "+table+" (name)", "CREATE INDEX "+table+"_a ON "+table+" (age, name)", "CREATE INDEX "+table+"_c ON "+table+" (code)")
	if types["time"] != "" {
		exec(t, raw, "CREATE INDEX "+table+"_m ON "+table+" (made)")
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	want := map[string]*db.Record{}
	start := time.Date(2020, 2, 3, 4, 5, 6, 789_000, time.UTC)
	for i := range 300 {
		md := map[string]any{"code": fmt.Sprintf("%c%d", 'A'+rune(i%40), i)}
		r := &db.Record{ID: fmt.Sprintf("c%03d", i), Version: uint64(i%7 + 1), Metadata: md, Data: []byte{0, byte(i)}}
		for column, v := range map[string]any{"name": names[rnd.IntN(len(names))], "age": int64(rnd.IntN(9)), "score": float64(rnd.IntN(8)) / 4, "price": float64(rnd.IntN(50)) / 100} {
			if rnd.IntN(5) > 0 {
				md[column] = v
			}
		}
		if types["bool"] != "" {
			md["active"] = i%3 == 0
		}
		if types["time"] != "" {
			r.Created = start.Add(time.Duration(i%50) * time.Second)
			if i%4 > 0 {
				md["born"] = start.Add(time.Duration(rnd.IntN(20)) * time.Hour)
			}
		}
		want[r.ID] = r
		fields, args := []string{"id", "rev", "body"}, []any{r.ID, int64(r.Version), r.Data}
		if !r.Created.IsZero() {
			md["made"] = r.Created
		}
		for column, v := range md {
			if at, ok := v.(time.Time); ok && name == "mysql" {
				v = at.Format("2006-01-02 15:04:05.000000")
			}
			fields, args = append(fields, column), append(args, v)
		}
		delete(md, "made")
		places := make([]string, len(args))
		for i := range places {
			places[i] = map[bool]string{true: fmt.Sprintf("$%d", i+1), false: "?"}[name == "postgres"]
		}
		if _, err := raw.ExecContext(t.Context(), "INSERT INTO "+table+" ("+strings.Join(fields, ", ")+") VALUES ("+strings.Join(places, ", ")+")", args...); err != nil {
			t.Fatal(err)
		}
	}
	if name != "sqlite" {
		exec(t, raw, map[string]string{"mysql": "ANALYZE TABLE ", "postgres": "ANALYZE "}[name]+table)
	}
	return want
}

func mapping(name, table string) sql.Option {
	e := sql.Existing{Table: table, ID: "id", Data: "body", Version: "rev"}
	if ddl[name]["time"] != "" {
		e.Created = "made"
	}
	return sql.WithExisting("customers", e)
}

// TestExistingTablesAreRead compares what is read of a table, and what random
// searches find in it, with what was inserted.
func TestExistingTablesAreRead(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		want := customers(t, name, raw, table)
		d := open(mapping(name, table))
		tb, err := d.Table(t.Context(), "customers", db.Index("name"), db.Index("age", "name"), db.Index("code"))
		if err != nil {
			t.Fatal(err)
		}
		for id, w := range want {
			if got, err := tb.Read(t.Context(), id); err != nil || !reflect.DeepEqual(got, w) {
				t.Fatalf("read %+v, %v, want %+v", got, err, w)
			}
		}
		if _, err := tb.Read(t.Context(), "none"); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("a record that is not there: %v", err)
		}
		g := asker{rand.New(rand.NewPCG(5, 6))}
		for range 150 {
			f := g.filter(0)
			var ids []string
			for id, r := range want {
				if f.Match(r) {
					ids = append(ids, id)
				}
			}
			slices.Sort(ids)
			var got []string
			for r, err := range tb.All(t.Context(), db.Where(f), db.AllowScan(), db.Limit(40)) {
				if err != nil {
					t.Fatalf("%+v: %v", f, err)
				}
				got = append(got, r.ID)
			}
			if !slices.Equal(got, ids) {
				t.Fatalf("%+v finds\n%q, want\n%q", f, got, ids)
			}
			if n, err := tb.Count(t.Context(), db.Where(f), db.AllowScan()); err != nil || int(n) != len(ids) {
				t.Fatalf("%+v: counted %d, %v, want %d", f, n, err, len(ids))
			}
		}
		for _, name := range names { // each, whatever the seed says
			for _, f := range []db.Filter{db.Equal("name", name), db.Prefix("name", name), db.Contains("name", name)} {
				var ids int64
				for _, r := range want {
					if f.Match(r) {
						ids++
					}
				}
				if n, err := tb.Count(t.Context(), db.Where(f), db.AllowScan()); err != nil || n != ids || ids == 0 {
					t.Errorf("%+v: counted %d, %v, want %d", f, n, err, ids)
				}
			}
		}
		p, err := tb.Search(t.Context(), db.Where(db.Equal("code", "B1")), db.Select("code"))
		if err != nil || len(p.Records) != 1 || p.Records[0].Data != nil || len(p.Records[0].Metadata) != 1 {
			t.Errorf("of one key: %+v, %v", p.Records, err)
		}
	})
}

// asker makes filters for customers.
type asker struct{ *rand.Rand }

func (g asker) filter(depth int) db.Filter {
	compare := []func(string, any) db.Filter{db.Equal, db.NotEqual, db.Less, db.LessOrEqual, db.Greater, db.GreaterOrEqual}
	some := func() []db.Filter { return []db.Filter{g.filter(depth + 1), g.filter(depth + 1)} }
	n := 9
	if depth < 3 {
		n = 12
	}
	texts := []string{"ann", "Ann", "an", "a", "A", "", "a%", "a_b", "a*", "é", "\x00", "a\x00", "'"}
	text := texts[g.IntN(len(texts))]
	numbers := []any{0, 1, 4, 4.0, 0.25, 1.5, 3.5, 0.07, 0.4, -1, 1e30, 1 << 60, "4", true}
	at := time.Date(2020, 2, 3, 4+g.IntN(20), 5, 6, 789_000, time.UTC)
	switch g.IntN(n) {
	case 0:
		return compare[g.IntN(2)]("name", text)
	case 1:
		return []func(string, string) db.Filter{db.Prefix, db.Contains, db.Has}[g.IntN(3)]("name", text)
	case 2:
		return compare[g.IntN(6)]("code", []string{"B", "B1", "C4", "b", "", "B\x00"}[g.IntN(6)])
	case 3, 4:
		return compare[g.IntN(6)]([]string{"age", "score", "price"}[g.IntN(3)], numbers[g.IntN(len(numbers))])
	case 5:
		return db.In([]string{"age", "name"}[g.IntN(2)], "ann", 3, 4.0, "Bob")
	case 6:
		return db.Exists([]string{"name", "born", "age", "none"}[g.IntN(4)])
	case 7:
		return compare[g.IntN(6)]("born", at)
	case 8:
		return []db.Filter{db.Equal("active", true), db.Equal(db.FieldID, "c007"), db.Prefix(db.FieldID, "c01"), db.Greater(db.FieldVersion, 3), db.Less(db.FieldID, "c1"), db.Equal("none", 1), db.NotEqual("none", 1)}[g.IntN(7)]
	case 9:
		return db.Not(g.filter(depth + 1))
	case 10:
		return db.Or(some()...)
	}
	return db.And(some()...)
}

// TestExistingTablesHavePages walks through orders with and without missing keys:
// each record comes once, in the order that one long page has, which is that of the
// values.
func TestExistingTablesHavePages(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		want := customers(t, name, raw, table)
		tb, err := open(mapping(name, table)).Table(t.Context(), "customers")
		if err != nil {
			t.Fatal(err)
		}
		for _, order := range [][]string{{"name"}, {"-name"}, {"age", "name"}, {"-age", "name"}, {"age", "-name"}, {"-age", "-name"}, {"price"}, {"-score", "age"}, {"code"}, {"-" + db.FieldID}, {"-born"}, {"born", "-age"}, {"none", "code"}, {db.FieldVersion}} {
			opts := []db.SearchOption{db.OrderBy(order...), db.AllowScan()}
			long, err := tb.Search(t.Context(), append(opts, db.Limit(1000))...)
			if err != nil || len(long.Records) != len(want) {
				t.Fatalf("by %v: %d records, %v", order, len(long.Records), err)
			}
			i := 0
			for r, err := range tb.All(t.Context(), append(opts, db.Limit(7))...) {
				if err != nil || i == len(want) || r.ID != long.Records[i].ID {
					t.Fatalf("by %v, record %d in pages of 7: %v, %v", order, i, r, err)
				}
				i++
			}
			if i != len(want) {
				t.Errorf("by %v: %d records in pages of 7, want %d", order, i, len(want))
			}
			key, desc := strings.CutPrefix(order[0], "-")
			if key == "name" { // whose collation is the engine's
				continue
			}
			if !slices.IsSortedFunc(long.Records, func(a, b *db.Record) int {
				c := compareKeys(a.Value(key), b.Value(key), name == "postgres")
				if desc {
					c = -c
				}
				return c
			}) {
				t.Errorf("by %v the records are not in order", order)
			}
		}
		if name != "sqlite" { // which has no times here
			p, err := tb.Search(t.Context(), db.OrderBy("-"+db.FieldCreated), db.Limit(3))
			if err != nil || len(p.Records) != 3 || p.Records[0].Created.Before(p.Records[2].Created) {
				t.Errorf("the newest: %v, %v", p.Records, err)
			}
		}
	})
}

func compareKeys(a, b any, nullsLast bool) int {
	if (a == nil) != (b == nil) && nullsLast {
		return cmp.Compare(len(dbdriver.SortKey(b)), len(dbdriver.SortKey(a)))
	}
	return bytes.Compare(dbdriver.SortKey(a), dbdriver.SortKey(b))
}

// TestExistingTablesAreLeftAlone has everything refused that a table of others
// can't do, and finds no trace of it afterwards.
func TestExistingTablesAreLeftAlone(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		customers(t, name, raw, table)
		d := open(mapping(name, table),
			sql.WithExisting("gone", sql.Existing{Table: "no_such_table", ID: "id"}),
			sql.WithExisting("nocolumn", sql.Existing{Table: table, ID: "nr"}),
			sql.WithExisting("nokey", sql.Existing{Table: table, ID: "id", Keys: map[string]string{"a": "nr"}}),
			sql.WithExisting("wrong", sql.Existing{Table: table, ID: "id", Version: "name"}),
			sql.WithExisting("few", sql.Existing{Table: table, ID: "id", Keys: map[string]string{"years": "age"}}))
		tb, err := d.Table(t.Context(), "customers", db.Index("age"), db.Index("name"))
		if err != nil {
			t.Fatal(err)
		}
		var opts []db.TableOption
		for _, c := range []struct {
			table string
			opts  []db.TableOption
			want  error
		}{
			{"few", append(opts, db.Index("years")), nil},
			{"few", append(opts, db.Index("age")), db.ErrInvalid},
			{"customers", append(opts, db.Index("score")), db.ErrInvalid},
			{"customers", append(opts, db.Index("name", "age")), db.ErrInvalid},
			{"customers", append(opts, db.FullText("name")), db.ErrUnsupported},
			{"customers", append(opts, db.TTL(time.Hour)), db.ErrUnsupported},
			{"customers", append(opts, db.SoftDelete(0)), db.ErrUnsupported},
			{"gone", nil, db.ErrInvalid}, {"nocolumn", nil, db.ErrInvalid}, {"nokey", nil, db.ErrInvalid}, {"wrong", nil, db.ErrInvalid},
		} {
			if _, err := d.Table(t.Context(), c.table, c.opts...); !errors.Is(err, c.want) {
				t.Errorf("Table %q: %v, want %v", c.table, err, c.want)
			}
		}
		r, err := tb.Read(t.Context(), "c001")
		if err != nil {
			t.Fatal(err)
		}
		write := func(tb db.Table) map[string]error {
			return map[string]error{
				"Create": tb.Create(t.Context(), &db.Record{ID: "new"}), "Update": tb.Update(t.Context(), r.Clone()), "Upsert": tb.Update(t.Context(), r.Clone(), db.Upsert()),
				"Delete": tb.Delete(t.Context(), "c001"), "Batch": tb.Batch(t.Context(), db.DeleteOp("c001")),
			}
		}
		all := write(tb)
		all["scan"] = errOf(tb.Search(t.Context(), db.Where(db.Equal("score", 1))))
		all["updated"] = errOf(tb.Search(t.Context(), db.OrderBy(db.FieldUpdated)))
		d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			x, err := tx.Table(ctx, "customers")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := x.Read(ctx, "c001"); err != nil || !reflect.DeepEqual(got, r) {
				t.Errorf("in a transaction: %v, %v", got, err)
			}
			all["in a transaction"] = x.Create(ctx, &db.Record{ID: "new"})
			return nil
		})
		for what, err := range all {
			if !errors.Is(err, db.ErrUnsupported) {
				t.Errorf("%s: %v, want ErrUnsupported", what, err)
			}
		}
		p, err := tb.Explain(t.Context(), db.Where(db.Equal("age", 3), db.Equal("name", "ann")))
		if err != nil || p.Scan || len(p.Indexes) == 0 {
			t.Errorf("the plan is %+v, %v", p, err)
		}
		if n, err := tb.Count(t.Context()); err != nil || n != 300 {
			t.Errorf("there are %d, %v, of 300", n, err)
		}
		own, err := d.Table(t.Context(), "own") // beside it
		if err == nil {
			err = own.Create(t.Context(), &db.Record{})
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestExistingTablesAreNamed refuses what Table could never find, or the engine never
// have, before anything is opened.
func TestExistingTablesAreNamed(t *testing.T) {
	e := sql.Existing{ID: "id"}
	named := func(table string) sql.Existing { return sql.Existing{ID: "id", Table: table} }
	keyed := func(key string) sql.Existing { return sql.Existing{ID: "id", Keys: map[string]string{key: "a"}} }
	for what, c := range map[string]struct {
		opts []sql.Option
		says string // "": it is accepted
	}{
		"a name":                {[]sql.Option{sql.WithExisting("crm_customer", e)}, ""},
		"nil":                   {[]sql.Option{nil}, "nil option"},
		"no name":               {[]sql.Option{sql.WithExisting("", e)}, "Table takes no such name"},
		"capitals":              {[]sql.Option{sql.WithExisting("Customer", e)}, "Table takes no such name"},
		"capitals, mapped":      {[]sql.Option{sql.WithExisting("customer", named("Customer"))}, ""},
		"a schema":              {[]sql.Option{sql.WithExisting("crm.customer", e)}, "Table takes no such name"},
		"a schema, mapped":      {[]sql.Option{sql.WithExisting("customer", named("crm.customer"))}, ""},
		"a namespace":           {[]sql.Option{sql.WithExisting("mine__customer", e)}, "Table takes no such name"},
		"an end of ours":        {[]sql.Option{sql.WithExisting("customer_deleted_", e)}, "Table takes no such name"},
		"48 letters":            {[]sql.Option{sql.WithExisting(strings.Repeat("c", 48), e)}, ""},
		"49 letters":            {[]sql.Option{sql.WithExisting(strings.Repeat("c", 49), e)}, "Table takes no such name"},
		"twice":                 {[]sql.Option{sql.WithExisting("customer", e), sql.WithExisting("customer", e)}, "there twice"},
		"two":                   {[]sql.Option{sql.WithExisting("customer", e), sql.WithExisting("other", e)}, ""},
		"no id":                 {[]sql.Option{sql.WithExisting("customer", sql.Existing{})}, "no column for ID"},
		"quotes":                {[]sql.Option{sql.WithExisting("customer", named(`a"b`))}, "want a name, or schema.name"},
		"three parts":           {[]sql.Option{sql.WithExisting("customer", named("a.b.c"))}, "want a name, or schema.name"},
		"an empty part":         {[]sql.Option{sql.WithExisting("customer", named(".b"))}, "want a name, or schema.name"},
		"a key":                 {[]sql.Option{sql.WithExisting("customer", keyed("a"))}, ""},
		"an empty key":          {[]sql.Option{sql.WithExisting("customer", keyed(""))}, "no record has the key"},
		"a key that is a field": {[]sql.Option{sql.WithExisting("customer", keyed("@id"))}, "no record has the key"},
	} {
		d, err := db.New(sql.SQLite(":memory:", c.opts...))
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.says != "" && (!errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want ErrInvalid that says %q", what, err, c.says)
		}
		if err == nil {
			d.Close()
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// TestExistingTablesMayHaveOtherIDs reads a view, and tables whose ids are numbers,
// or UUIDs.
func TestExistingTablesMayHaveOtherIDs(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		exec(t, raw, "CREATE TABLE "+table+" (nr INTEGER PRIMARY KEY, total "+ddl[name]["int"]+")",
			"INSERT INTO "+table+" VALUES (7, 70), (9, 90), (10, NULL), (100, 5)",
			"CREATE VIEW "+table+"_v AS SELECT nr AS id, total AS twice FROM "+table+" WHERE total > 10")
		options := []sql.Option{sql.WithExisting("orders", sql.Existing{Table: table, ID: "nr"}), sql.WithExisting("view", sql.Existing{Table: table + "_v", ID: "id", Keys: map[string]string{"double": "twice"}})}
		var uuid = "0190a1b2-0000-7000-8000-00000000abcd"
		if name == "postgres" {
			exec(t, raw, "CREATE TABLE "+table+"_u (id UUID PRIMARY KEY)", "INSERT INTO "+table+"_u VALUES ('"+uuid+"'), ('ff90a1b2-0000-7000-8000-00000000abcd')")
			options = append(options, sql.WithExisting("uuids", sql.Existing{Table: "public." + table + "_u", ID: "id"}))
		}
		d := open(options...)
		find := func(table string, opts ...db.SearchOption) string {
			t.Helper()
			tb, err := d.Table(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for r, err := range tb.All(t.Context(), append(opts, db.Limit(1))...) {
				if err != nil {
					return err.Error()
				}
				ids = append(ids, r.ID)
			}
			return strings.Join(ids, " ")
		}
		for _, c := range []struct {
			table string
			f     db.Filter
			want  string
		}{
			{"orders", db.Filter{}, "7 9 10 100"},
			{"orders", db.Greater(db.FieldID, "9"), "10 100"},
			{"orders", db.In(db.FieldID, "07", "9", "x", "100"), "9 100"},
			{"orders", db.Prefix(db.FieldID, "10"), "10 100"},
			{"orders", db.Equal(db.FieldID, " 9"), ""},
			{"view", db.Greater("double", 60.5), "7 9"},
			{"view", db.Equal("double", 70), "7"},
			{"uuids", db.Filter{}, uuid + " ff90a1b2-0000-7000-8000-00000000abcd"},
			{"uuids", db.Equal(db.FieldID, uuid), uuid},
			{"uuids", db.Equal(db.FieldID, strings.ToUpper(uuid)), ""},
			{"uuids", db.Prefix(db.FieldID, "0190"), uuid},
			{"uuids", db.Less(db.FieldID, "1"), uuid},
		} {
			if c.table == "uuids" && name != "postgres" {
				continue
			}
			if got := find(c.table, db.Where(c.f), db.AllowScan()); got != c.want {
				t.Errorf("%s, %+v: %q, want %q", c.table, c.f, got, c.want)
			}
		}
		tb, _ := d.Table(t.Context(), "orders")
		if err := errOf(tb.Search(t.Context(), db.Where(db.Greater(db.FieldID, "x")))); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("ids that are numbers, compared with x: %v", err)
		}
		if err := errOf(tb.Read(t.Context(), "x")); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("Read of x: %v", err)
		}
		view, _ := d.Table(t.Context(), "view")
		if err := errOf(view.Search(t.Context(), db.Where(db.Equal("double", 70)))); !errors.Is(err, db.ErrUnsupported) {
			t.Errorf("a view without AllowScan: %v", err)
		}
	})
}

// TestExistingTablesHavePagesOverNull walks through orders by columns that may be
// NULL where a record has the zero value, and by one that stands for two keys.
func TestExistingTablesHavePagesOverNull(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		e := sql.Existing{Table: table, ID: "id", Version: "rev", Keys: map[string]string{"again": "made", "note": "note"}}
		kind, orders := ddl[name]["time"], []string{db.FieldVersion, "again"}
		if kind == "" {
			kind = "TEXT"
		} else {
			e.Created, orders = "made", append(orders, db.FieldCreated)
		}
		exec(t, raw, "CREATE TABLE "+table+" (id INTEGER PRIMARY KEY, rev INT, made "+kind+", note TEXT)", "CREATE INDEX "+table+"_m ON "+table+" (made)")
		for i := range 12 {
			rev, made := "NULL", "NULL"
			if i%3 > 0 {
				rev, made = fmt.Sprint(i%3-1), fmt.Sprintf("'2020-01-%02d 00:00:00'", i+1)
			}
			exec(t, raw, fmt.Sprintf("INSERT INTO %s (id, rev, made) VALUES (%d, %s, %s)", table, i+1, rev, made))
		}
		d := open(sql.WithExisting("nulls", e))
		tb, err := d.Table(t.Context(), "nulls", db.Index("again"))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range orders {
			for _, by := range []string{key, "-" + key} {
				opts := []db.SearchOption{db.OrderBy(by), db.AllowScan()}
				long, err := tb.Search(t.Context(), append(opts, db.Limit(100))...)
				if err != nil || len(long.Records) != 12 {
					t.Fatalf("by %s: %d records, %v", by, len(long.Records), err)
				}
				n := 0
				for r, err := range tb.All(t.Context(), append(opts, db.Limit(2))...) {
					if err != nil || n == 12 || r.ID != long.Records[n].ID {
						t.Fatalf("by %s, record %d in pages of 2: %v, %v", by, n, r, err)
					}
					n++
				}
				if n != 12 {
					t.Errorf("by %s: %d records in pages of 2, want 12", by, n)
				}
			}
		}
		if n, err := tb.Count(t.Context(), db.Where(db.Equal(db.FieldVersion, 0)), db.AllowScan()); err != nil || n != 8 {
			t.Errorf("with version 0: %d, %v, want 8", n, err)
		}
		if kind == "TEXT" {
			return
		}
		zero := map[string]string{"mysql": "'0001-01-01 00:00:00'", "postgres": "'0001-01-01 00:00:00+00'"}[name]
		exec(t, raw, "INSERT INTO "+table+" (id, made) VALUES (100, "+zero+")")
		if err := errOf(tb.Search(t.Context(), db.OrderBy(db.FieldCreated))); !errors.Is(err, db.ErrUnsupported) {
			t.Errorf("by a time that stands for NULL: %v, want ErrUnsupported", err)
		}
		if err := errOf(tb.Search(t.Context(), db.OrderBy("again"))); err != nil {
			t.Errorf("by a key with the zero time: %v", err)
		}
		if name == "postgres" {
			exec(t, raw, "INSERT INTO "+table+" (id, made) VALUES (101, 'infinity')")
			r, err := tb.Read(t.Context(), "101")
			if err != nil || !r.Created.IsZero() || len(r.Metadata) > 0 {
				t.Errorf("with an infinite time: %+v, %v", r, err)
			}
			if err := errOf(tb.Search(t.Context(), db.OrderBy("-again"))); !errors.Is(err, db.ErrUnsupported) {
				t.Errorf("by an infinite time: %v, want ErrUnsupported", err)
			}
		}
	})
}

// TestExistingListsAreTexts reads and walks through ENUMs, whose own order is that of
// their declaration. PostgreSQL's were left out, since its driver has a number for
// each such type.
func TestExistingListsAreTexts(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		kind, narrow := "VARCHAR(9)", "VARCHAR(9)"
		switch name {
		case "mysql":
			kind = "ENUM('low', 'high', 'mid')"
			narrow = kind
		case "postgres":
			kind, narrow = `"`+table+` Rank"`, table+"_narrow"
			exec(t, raw, "CREATE TYPE "+kind+" AS ENUM ('low', 'high', 'mid')", "CREATE DOMAIN "+narrow+" AS "+kind+" CHECK (VALUE <> 'mid')",
				"CREATE TYPE "+table+"_pair AS (a INT, b INT)")
		}
		exec(t, raw, "CREATE TABLE "+table+" (id INTEGER PRIMARY KEY, rank_ "+kind+", narrow "+narrow+" UNIQUE)", "CREATE INDEX "+table+"_r ON "+table+" (rank_)",
			"INSERT INTO "+table+" VALUES (1, 'low', 'low'), (2, 'high', NULL), (3, 'mid', NULL), (4, 'low', NULL), (5, 'high', NULL), (6, 'mid', NULL)")
		if name == "postgres" { // another type that its driver does not know
			exec(t, raw, "ALTER TABLE "+table+" ADD pair "+table+"_pair DEFAULT (1, 2)")
		}
		d := open(sql.WithExisting("ranks", sql.Existing{Table: table, ID: "id"}), sql.WithExisting("by_rank", sql.Existing{Table: table, ID: "narrow"}))
		tb, err := d.Table(t.Context(), "ranks", db.Index("rank_"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := tb.Read(t.Context(), "1"); err != nil || !reflect.DeepEqual(r.Metadata, map[string]any{"rank_": "low", "narrow": "low"}) {
			t.Errorf("read %+v, %v, want both as texts", r, err)
		}
		for by, want := range map[string]string{"rank_": "2 5 1 4 3 6", "-rank_": "6 3 4 1 5 2"} {
			var ids []string
			for r, err := range tb.All(t.Context(), db.OrderBy(by), db.Limit(1)) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.ID)
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("by %s: %q, want %q", by, got, want)
			}
		}
		for _, c := range []struct {
			want string
			f    db.Filter
		}{
			{"1 4", db.Equal("rank_", "low")}, {"", db.Equal("rank_", "Low")}, {"", db.Equal("rank_", "lo")}, {"", db.Equal("rank_", int64(1))},
			{"1 2 4 5", db.In("rank_", "low", "high", "none")}, {"1 3 4 6", db.NotEqual("rank_", "high")}, {"1 2 3 4 5 6", db.NotEqual("rank_", "none")},
			{"3 6", db.Greater("rank_", "low")}, {"1 3 4 6", db.GreaterOrEqual("rank_", "low")}, {"2 5", db.Less("rank_", "low")},
			{"2 5", db.Prefix("rank_", "hi")}, {"", db.Prefix("rank_", "i")}, {"2 3 5 6", db.Contains("rank_", "i")},
			{"1", db.Equal("narrow", "low")}, {"", db.Equal("narrow", "mid")}, {"1", db.Prefix("narrow", "l")}, {"1", db.Exists("narrow")},
		} {
			p, err := tb.Search(t.Context(), db.Where(c.f), db.OrderBy("@id"), db.AllowScan())
			var ids []string
			for _, r := range p.Records {
				ids = append(ids, r.ID)
			}
			if got := strings.Join(ids, " "); err != nil || got != c.want {
				t.Errorf("%+v: %q, %v, want %q", c.f, got, err, c.want)
			}
		}
		if name == "postgres" { // and a value that is added since; and one that is rare enough for its index
			exec(t, raw, "INSERT INTO "+table+" (id, rank_) SELECT n, 'mid' FROM generate_series(10, 3000) n", "ALTER TYPE "+kind+" ADD VALUE 'new'", "INSERT INTO "+table+" VALUES (7, 'new')", "ANALYZE "+table)
			if n, err := tb.Count(t.Context(), db.Where(db.Equal("rank_", "new"))); n != 1 || err != nil {
				t.Errorf("with a new value: %d, %v, want 1", n, err)
			}
			if p, err := tb.Explain(t.Context(), db.Where(db.Equal("rank_", "high"))); err != nil || p.Scan || !slices.Contains(p.Indexes, "rank_") {
				t.Errorf("equal values are found by %+v, %v, want the index", p, err)
			}
		}
		if tb, err = d.Table(t.Context(), "by_rank"); err != nil {
			t.Fatal(err)
		}
		if r, err := tb.Read(t.Context(), "low"); err != nil || r.Metadata["id"] != int64(1) {
			t.Errorf("by an id that is one: %+v, %v", r, err)
		}
	})
}

// TestExistingIndexesHaveAnOrder refuses an Index for which there is only one of a
// kind that has none.
func TestExistingIndexesHaveAnOrder(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		exec(t, raw, "CREATE TABLE "+table+" (id INTEGER PRIMARY KEY, note VARCHAR(60))")
		if index := map[string]string{"mysql": "CREATE FULLTEXT INDEX %s_f ON %s (note)", "postgres": "CREATE INDEX %s_f ON %s USING hash (note)"}[name]; index != "" {
			exec(t, raw, fmt.Sprintf(index, table, table))
		}
		d := open(sql.WithExisting("notes", sql.Existing{Table: table, ID: "id"}))
		if err := errOf(d.Table(t.Context(), "notes", db.Index("note"))); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("without an index that has an order: %v, want ErrInvalid", err)
		}
		exec(t, raw, "CREATE INDEX "+table+"_n ON "+table+" (note)")
		if err := errOf(d.Table(t.Context(), "notes", db.Index("note"))); err != nil {
			t.Errorf("with one: %v", err)
		}
	})
}

// TestExistingTimestampsCompareWithAllTimes compares MySQL's TIMESTAMP, which begins
// in 1970 and ends in 2038 or later, with times before and after.
func TestExistingTimestampsCompareWithAllTimes(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		kind := map[string]string{"mysql": "TIMESTAMP(6) NULL", "postgres": "TIMESTAMPTZ"}[name]
		if kind == "" {
			return // SQLite has no times
		}
		exec(t, raw, "CREATE TABLE "+table+" (id INTEGER PRIMARY KEY, stamp "+kind+")", "INSERT INTO "+table+" VALUES (1, '2020-01-02 00:00:00'), (2, NULL)")
		tb, err := open(sql.WithExisting("stamps", sql.Existing{Table: table, ID: "id"})).Table(t.Context(), "stamps")
		if err != nil {
			t.Fatal(err)
		}
		for year, late := range map[int]bool{1: false, 1960: false, 2020: false, 2021: true, 3000: true, 9999: true} {
			at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
			for _, c := range []struct {
				f    db.Filter
				want bool
			}{{db.Less("stamp", at), late}, {db.LessOrEqual("stamp", at), late}, {db.Greater("stamp", at), !late}, {db.GreaterOrEqual("stamp", at), !late}, {db.Equal("stamp", at), false}} {
				n, err := tb.Count(t.Context(), db.Where(c.f), db.AllowScan())
				if err != nil || n > 1 || (n == 1) != c.want {
					t.Errorf("%s %v: counted %d, %v, want %v", c.f.Op, at, n, err, c.want)
				}
			}
		}
	})
}

// A column of SQLite may hold values of other types than its own. What no field can
// hold is an error, and never another field's value.
func TestExistingColumnsWithOtherValuesThanTheirTypes(t *testing.T) {
	leak.Check(t)
	file := filepath.Join(t.TempDir(), "x.db")
	raw, err := dbsql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	exec(t, raw, "CREATE TABLE mixed (id TEXT PRIMARY KEY, rev INTEGER, body BLOB)",
		"INSERT INTO mixed VALUES ('bytes', 3, x'0102'), ('text', 4, 'abc'), ('number', 5, 77), ('fraction', 6, 1.5), ('revision', 2.5, x'01'), ('none', 7, NULL)")
	d, err := db.New(sql.SQLite(file, sql.WithExisting("mixed", sql.Existing{Table: "mixed", ID: "id", Version: "rev", Data: "body"})))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "mixed")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]*db.Record{
		"bytes": {Version: 3, Data: []byte{1, 2}}, "text": {Version: 4, Data: []byte("abc")}, "none": {Version: 7},
		"number": nil, "fraction": nil, "revision": nil,
	} {
		r, err := tb.Read(t.Context(), id)
		switch {
		case want == nil:
			if !errors.Is(err, db.ErrUnsupported) {
				t.Errorf("%s: %+v, %v, want ErrUnsupported", id, r, err)
			}
		case err != nil || r.Version != want.Version || !bytes.Equal(r.Data, want.Data):
			t.Errorf("%s: %+v, %v, want %+v", id, r, err, want)
		}
	}
}
