package sql_test

import (
	dbsql "database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
)

// TestExistingTimestampsOfAnHourThatIsThereTwice has MySQL's TIMESTAMP before, in and
// after the hour that the server's zone repeats when clocks are set back.
func TestExistingTimestampsOfAnHourThatIsThereTwice(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		if name != "mysql" {
			return
		}
		var local string
		if err := raw.QueryRow("SELECT CONCAT(FROM_UNIXTIME(1603585800), ' ', FROM_UNIXTIME(1603589400))").Scan(&local); err != nil || strings.Count(local, "02:30:00") != 2 {
			t.Fatalf("the server's zone has no hour twice: %q, %v", local, err)
		}
		conn, err := raw.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, s := range []string{"SET time_zone = '+00:00'", "CREATE TABLE " + table + " (id INTEGER PRIMARY KEY, stamp TIMESTAMP NOT NULL, KEY (stamp))",
			"INSERT INTO " + table + " VALUES (1, '2020-10-24 23:30:00'), (2, '2020-10-25 00:30:00'), (3, '2020-10-25 01:30:00'), (4, '2020-10-25 02:30:00')"} {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		tb, err := open(sql.WithExisting("stamps", sql.Existing{Table: table, ID: "id", Created: "stamp", Keys: map[string]string{"at": "stamp"}})).Table(t.Context(), "stamps", db.Index("at"))
		if err != nil {
			t.Fatal(err)
		}
		find := func(opts ...db.SearchOption) string {
			t.Helper()
			var ids []string
			for r, err := range tb.All(t.Context(), append(opts, db.Limit(1))...) {
				if err != nil || len(ids) > 9 {
					t.Fatalf("after %q: %v", ids, err)
				}
				ids = append(ids, r.ID)
			}
			return strings.Join(ids, " ")
		}
		first := time.Date(2020, 10, 25, 0, 30, 0, 0, time.UTC)
		second := first.Add(time.Hour)
		if r, err := tb.Read(t.Context(), "3"); err != nil || !r.Created.Equal(second) || !r.Metadata["at"].(time.Time).Equal(second) {
			t.Errorf("read %+v, %v, want %v", r, err, second)
		}
		for _, key := range []string{"at", db.FieldCreated} {
			for want, opts := range map[string][]db.SearchOption{
				"2": {db.Where(db.Equal(key, first))}, "3": {db.Where(db.Equal(key, second))},
				"1": {db.Where(db.Less(key, first))}, "1 2": {db.Where(db.Less(key, second))}, "1 2 3": {db.Where(db.LessOrEqual(key, second))},
				"4": {db.Where(db.Greater(key, second))}, "3 4": {db.Where(db.Greater(key, first))}, "2 3 4": {db.Where(db.GreaterOrEqual(key, first))},
				"1 2 3 4": {db.OrderBy(key)}, "4 3 2 1": {db.OrderBy("-" + key)},
			} {
				if got := find(opts...); got != want {
					t.Errorf("by %s: found %q, want %q", key, got, want)
				}
			}
		}
	})
}

// TestExistingZeroDatesAreMissing has MySQL's dates that are none.
func TestExistingZeroDatesAreMissing(t *testing.T) {
	foreign(t, func(t *testing.T, name string, raw *dbsql.DB, table string, open func(opts ...sql.Option) db.DB) {
		if name != "mysql" {
			return
		}
		conn, err := raw.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		at := time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)
		for kind, rows := range map[string]string{
			"DATETIME NOT NULL":  "(1, '2020-01-02'), (2, '0000-00-00')",
			"DATE NULL":          "(1, '2020-01-02'), (2, '2020-00-10'), (3, NULL)",
			"DATETIME(3) NULL":   "(1, '2020-01-02'), (2, '0000-00-00'), (3, NULL)",
			"TIMESTAMP NOT NULL": "(1, '2020-01-02'), (2, '0000-00-00')",
		} {
			for _, s := range []string{"SET sql_mode = ''", "SET time_zone = '+00:00'", "DROP TABLE IF EXISTS " + table, "CREATE TABLE " + table + " (id INTEGER PRIMARY KEY, day " + kind + ", KEY (day))", "INSERT INTO " + table + " VALUES " + rows} {
				if _, err := conn.ExecContext(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			tb, err := open(sql.WithExisting("days", sql.Existing{Table: table, ID: "id"})).Table(t.Context(), "days", db.Index("day"))
			if err != nil {
				t.Fatal(err)
			}
			n := int64(strings.Count(rows, "("))
			for id, want := range map[string]any{"1": at, "2": nil} {
				if r, err := tb.Read(t.Context(), id); err != nil || r.Metadata["day"] != want {
					t.Errorf("%s: read %+v, %v, want %v", kind, r, err, want)
				}
			}
			early, late := at.AddDate(-9, 0, 0), at.AddDate(9, 0, 0)
			for _, c := range []struct {
				f    db.Filter
				want int64
			}{
				{db.Exists("day"), 1}, {db.Not(db.Exists("day")), n - 1}, {db.Equal("day", at), 1}, {db.NotEqual("day", at), n - 1}, {db.Less("day", late), 1}, {db.LessOrEqual("day", at), 1},
				{db.Less("day", early), 0}, {db.Greater("day", early), 1}, {db.GreaterOrEqual("day", at), 1}, {db.Greater("day", late), 0}, {db.Not(db.Less("day", late)), n - 1}, {db.In("day", at, late), 1},
			} {
				if got, err := tb.Count(t.Context(), db.Where(c.f), db.AllowScan()); err != nil || got != c.want {
					t.Errorf("%s: %+v counts %d, %v, want %d", kind, c.f, got, err, c.want)
				}
			}
			if p, err := tb.Search(t.Context()); err != nil || int64(len(p.Records)) != n {
				t.Errorf("%s: all are %v, %v, want %d", kind, p.Records, err, n)
			}
			for _, by := range []string{"day", "-day"} {
				if err := errOf(tb.Search(t.Context(), db.OrderBy(by))); !errors.Is(err, db.ErrUnsupported) || !strings.Contains(err.Error(), "zero date") {
					t.Errorf("%s: by %s: %v, want ErrUnsupported", kind, by, err)
				}
				if _, err := conn.ExecContext(t.Context(), "DELETE FROM "+table+" WHERE id = 2"); err != nil {
					t.Fatal(err)
				}
				if p, err := tb.Search(t.Context(), db.OrderBy(by)); err != nil || int64(len(p.Records)) != n-1 {
					t.Errorf("%s: by %s without it: %v, %v", kind, by, p.Records, err)
				}
				if _, err := conn.ExecContext(t.Context(), "INSERT INTO "+table+" VALUES (2, '0000-00-00')"); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
