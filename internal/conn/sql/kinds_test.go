package sql_test

import (
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// Errors as the clients return them.
func pg(code string) error { return fmt.Errorf("exec: %w", &pgconn.PgError{Code: code}) }
func my(n uint16) error    { return fmt.Errorf("exec: %w", &mysql.MySQLError{Number: n, Message: "m"}) }

type liteError struct {
	code int
	text string
}

func (e liteError) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }
func (e liteError) Code() int     { return e.code }

func lite(code int, text string) error { return liteError{code, text} }

// coded has a code that is none of SQLite's.
type coded int

func (coded) Error() string { return "HTTP" }
func (c coded) Code() int   { return int(c) }

// Each question is true of these errors and of none of the others.
func TestWhatTheDatabaseSays(t *testing.T) {
	says := map[string]struct {
		is   func(error) bool
		errs []error
	}{
		"duplicate":      {sql.IsDuplicate, []error{pg("23505"), my(1062), lite(1555, ""), lite(2067, "")}},
		"collision":      {sql.IsCollision, []error{pg("40001"), pg("40P01"), my(1020), my(1205), my(1213), my(3572), lite(5, ""), lite(6, ""), lite(17, ""), lite(17, "no such table: x"), lite(17, "no such column: x"), lite(5|1<<8, ""), lite(6|2<<8, "")}},
		"missing":        {sql.IsMissing, []error{pg("42P01"), my(1146), lite(1, "no such table: x"), lite(17, "no such table: x")}},
		"missing column": {sql.IsMissingColumn, []error{pg("42703"), my(1054), lite(1, "no such column: x"), lite(17, "no such column: x")}},
		"too large":      {sql.IsTooLarge, []error{pg("54000"), my(1406), my(1118), my(1153), lite(18, "")}},
		"there":          {sql.IsThere, []error{pg("42P07"), pg("42710"), pg("23505"), my(1050), my(1060), my(1061), lite(1, "table x already exists"), lite(1, "duplicate column name: x")}},
	}
	all := []error{nil, errors.New("plain"), pg("42601"), my(1064), lite(1, "syntax error"), lite(2, "no such table: x already exists, duplicate column, no such column"), coded(5), coded(1555), io.EOF}
	for _, c := range says {
		all = append(all, c.errs...)
	}
	for name, c := range says {
		for _, err := range all {
			want := false
			for _, e := range c.errs {
				want = want || fmt.Sprint(e) == fmt.Sprint(err)
			}
			if got := c.is(err); got != want {
				t.Errorf("%s: of %v it is %v, want %v", name, err, got, want)
			}
		}
	}
}

func TestKindsOfErrors(t *testing.T) {
	type both struct{ read, write error }
	same := func(kind error) both { return both{kind, kind} }
	for _, c := range []struct {
		err error
		both
	}{
		{nil, same(nil)},
		{pg("42601"), same(nil)}, {my(1064), same(nil)}, {lite(1, "syntax error"), same(nil)}, {pg("23505"), same(nil)},
		// Refused.
		{pg("28P01"), same(fault.Denied)}, {pg("28000"), same(fault.Denied)}, {pg("42501"), same(fault.Denied)},
		{my(1045), same(fault.Denied)}, {my(1142), same(fault.Denied)}, {my(4151), same(fault.Denied)}, {lite(3, ""), same(fault.Denied)}, {lite(23, ""), same(fault.Denied)},
		// Not now.
		{pg("26000"), same(fault.Unavailable)}, {pg("42P05"), same(fault.Unavailable)}, // a pooler shares connections
		{pg("57P03"), same(fault.Unavailable)}, {pg("53300"), same(fault.Unavailable)}, {pg("25006"), same(fault.Unavailable)},
		{my(1040), same(fault.Unavailable)}, {my(1290), same(fault.Unavailable)}, {my(3024), same(fault.Unavailable)},
		{lite(5, ""), same(fault.Unavailable)}, {lite(13, ""), same(fault.Unavailable)}, {lite(10|3<<8, ""), same(fault.Unavailable)},
		// A server's or a connection's last word: a commit may have been done.
		{pg("57P01"), both{fault.Unavailable, fault.UnknownOutcome}}, {pg("08006"), both{fault.Unavailable, fault.UnknownOutcome}},
		{my(1053), both{fault.Unavailable, fault.UnknownOutcome}}, {my(1927), both{fault.Unavailable, fault.UnknownOutcome}},
		// Nothing was sent.
		{driver.ErrBadConn, same(fault.Unavailable)}, {&net.OpError{Op: "dial", Err: io.EOF}, same(fault.Unavailable)}, {&pgconn.ConnectError{}, same(fault.Unavailable)},
		{errors.New("sql: database is closed"), same(fault.Unavailable)},
		// Rolled back.
		{pgx.ErrTxCommitRollback, same(fault.Unavailable)},
		// No answer.
		{io.EOF, both{fault.Unavailable, fault.UnknownOutcome}}, {&net.OpError{Op: "read", Err: io.EOF}, both{fault.Unavailable, fault.UnknownOutcome}},
		{context.Canceled, both{context.Canceled, fault.UnknownOutcome}}, {context.DeadlineExceeded, both{context.DeadlineExceeded, fault.UnknownOutcome}},
		// Has its kind.
		{fault.Markf(fault.Conflict, "x"), same(fault.Conflict)}, {fault.Markf(fault.Invalid, "x"), same(fault.Invalid)},
	} {
		if c.err != nil && strings.Contains(fmt.Sprintf("%T", c.err), "ConnectError") {
			_, c.err = pgconn.Connect(t.Context(), "postgres://127.0.0.1:1/x") // its text needs all of it
		}
		for how, got := range map[string]error{"read": sql.ReadError(c.err), "write": sql.WriteError(c.err)} {
			want := c.read
			if how == "write" {
				want = c.write
			}
			if kind := fault.KindOf(got); kind != want || !errors.Is(got, c.err) {
				t.Errorf("a %s with %v: %v of kind %v, want %v", how, c.err, got, kind, want)
			}
		}
	}
}

func TestCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := sql.Bound(t.Context())
		defer cancel()
		if end, ok := ctx.Deadline(); !ok || time.Until(end) != 10*time.Second {
			t.Errorf("a call that nobody has bounded ends %v, %v, want in 10 s", end, ok)
		}
		long, cancel2 := context.WithTimeout(t.Context(), time.Hour)
		defer cancel2()
		ctx, cancel3 := sql.Bound(long)
		cancel3()
		if end, _ := ctx.Deadline(); time.Until(end) != time.Hour || ctx.Err() != nil {
			t.Errorf("the caller's own deadline became %v", end)
		}
		<-long.Done()
		late := fmt.Errorf("query: %w", context.DeadlineExceeded)
		for _, c := range []struct {
			ctx  context.Context
			err  error
			want error
		}{
			{t.Context(), late, fault.Unavailable}, {long, late, context.DeadlineExceeded}, {t.Context(), context.Canceled, context.Canceled}, {t.Context(), nil, nil},
		} {
			if err := sql.Unanswered(c.ctx, c.err); fault.KindOf(err) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%v is %v, want %v", c.err, err, c.want)
			}
		}
	})
}

// What collides is tried again 20 times, while the context lasts.
func TestCollisionsAreTriedAgain(t *testing.T) {
	for _, c := range []struct {
		err      error
		until    int // calls that fail
		calls    int
		returned error
	}{
		{my(1213), 0, 1, nil}, {my(1213), 1, 2, nil}, {my(1213), 20, 21, nil}, {my(1213), 21, 21, my(1213)}, {my(1064), 5, 1, my(1064)},
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			err := sql.Retry(t.Context(), func() error {
				if calls++; calls <= c.until {
					return c.err
				}
				return nil
			})
			if calls != c.calls || fmt.Sprint(err) != fmt.Sprint(c.returned) {
				t.Errorf("%v, %d times: %d calls and %v, want %d and %v", c.err, c.until, calls, err, c.calls, c.returned)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := sql.Retry(ctx, func() error { calls++; cancel(); return my(1213) })
	if calls != 1 || !errors.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1213") {
		t.Errorf("after the end of the context: %d calls and %v", calls, err)
	}
}

func TestTypesOfColumns(t *testing.T) {
	const table, index = "CREATE TABLE x (a {text 255}, b {text}, c {bytes 9}, d {bytes}, e {serial}, f {number})", "CREATE INDEX IF NOT EXISTS i ON x (a)"
	for kind, want := range map[sql.Kind][2]string{
		sql.SQLite:   {"CREATE TABLE x (a TEXT, b TEXT, c BLOB, d BLOB, e INTEGER PRIMARY KEY AUTOINCREMENT, f {number})", index},
		sql.MySQL:    {"CREATE TABLE x (a VARBINARY(255), b LONGBLOB, c VARBINARY(9), d LONGBLOB, e BIGINT AUTO_INCREMENT PRIMARY KEY, f {number}) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "CREATE INDEX i ON x (a)"},
		sql.Postgres: {"CREATE TABLE x (a TEXT, b TEXT, c BYTEA, d BYTEA, e BIGSERIAL PRIMARY KEY, f {number})", index},
	} {
		if got := [2]string{kind.Schema(table), kind.Schema(index)}; got != want {
			t.Errorf("%v: %q\nwant %q", kind, got, want)
		}
	}
	for kind, want := range map[sql.Kind][2]string{0: {"sql", `"a"`}, sql.SQLite: {"sqlite", `"a"`}, sql.MySQL: {"mysql", "`a`"}, sql.Postgres: {"postgres", `"a"`}, 4: {"sql", `"a"`}} {
		if got := [2]string{kind.String(), kind.Quote("a")}; got != want {
			t.Errorf("%d: %q, want %q", int(kind), got, want)
		}
	}
	if got := sql.Places(1) + "; " + sql.Places(3); got != "?; ?, ?, ?" {
		t.Errorf("places %q", got)
	}
}

func TestSchemesOfURLs(t *testing.T) {
	for addr, want := range map[string]struct {
		kind sql.Kind
		own  string
	}{
		"postgres://h/x": {sql.Postgres, "postgres://h/x"}, "postgresql://h/x": {sql.Postgres, "postgresql://h/x"}, "MySQL://h/x": {sql.MySQL, "MySQL://h/x"},
		"mariadb://h/x": {sql.MySQL, "mariadb://h/x"}, "sqlite:x.db": {sql.SQLite, "x.db"}, "sqlite:///x.db": {sql.SQLite, "/x.db"}, "sqlite::memory:": {sql.SQLite, ":memory:"},
		"oracle://u:s3cret@h/x": {}, "x.db": {}, "": {},
	} {
		kind, own, err := sql.ByScheme(addr)
		if kind != want.kind || own != want.own || (err == nil) != (kind != 0) {
			t.Errorf("%q is %v at %q, %v, want %v at %q", addr, kind, own, err, want.kind, want.own)
		}
		if err != nil && (!errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

// Open says what is wrong; just below and above each limit it does not.
func TestOpenNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		sql.Config
		why, at string
	}{
		{sql.Config{Kind: 0, Address: "x"}, "dialect 0", ""},
		{sql.Config{Kind: 4, Address: "x"}, "dialect 4", ""},
		{sql.Config{Kind: sql.SQLite}, "empty address", ""},
		{sql.Config{Kind: sql.SQLite, Address: "x", MaxOpen: -1}, "negative number", ""},
		{sql.Config{Kind: sql.SQLite, Address: "x?y"}, "want a plain one", ""},
		{sql.Config{Kind: sql.SQLite, Address: "x#y"}, "want a plain one", ""},
		{sql.Config{Kind: sql.SQLite, Address: "file:x"}, "want a plain one", ""},
		{sql.Config{Kind: sql.SQLite, Address: "xfile:", MaxOpen: 1}, "", "xfile:"},
		{sql.Config{Kind: sql.MySQL, Address: "mysql://u:p@h"}, "names no database", ""},
		{sql.Config{Kind: sql.MySQL, Address: "mysql://u:p@h/d?timeout=x"}, "malformed parameters", ""},
		{sql.Config{Kind: sql.MySQL, Address: "u:p@tcp(h)/"}, "names no database", ""},
		{sql.Config{Kind: sql.MySQL, Address: "u:p@h/d"}, "malformed address", ""},
		{sql.Config{Kind: sql.MySQL, Address: "u:p@tcp(h)/d"}, "", "h:3306/d"},
		{sql.Config{Kind: sql.MySQL, Address: "mariadb://u:p@h:1/d", MaxOpen: 1}, "", "h:1/d"},
		{sql.Config{Kind: sql.Postgres, Address: "postgres://u:p@h:x/d"}, "malformed address", ""},
		{sql.Config{Kind: sql.Postgres, Address: "postgres://u:p@h/d"}, "", "h:5432/d"},
	} {
		d, err := sql.Open(c.Config)
		if c.why != "" {
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%+v: %v, want Invalid: %s", c.Config, err, c.why)
			}
			continue
		}
		if err != nil || d.Addr() != c.at {
			t.Errorf("%+v: %v, at %v, want %s", c.Config, err, d, c.at)
			continue
		}
		if n := d.Read.Stats().MaxOpenConnections; c.MaxOpen > 0 && n != c.MaxOpen || n < 1 {
			t.Errorf("%+v: a pool of %d", c.Config, n)
		}
		if err := errors.Join(d.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestSQLiteIsSetUp(t *testing.T) {
	for _, c := range []struct {
		durable bool
		want    int
	}{{false, 1}, {true, 2}} {
		path := filepath.Join(t.TempDir(), "x y%20.db")
		d, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: path, Durable: c.durable})
		if err != nil {
			t.Fatal(err)
		}
		var synchronous, keys int
		var journal string
		for q, into := range map[string]any{"synchronous": &synchronous, "foreign_keys": &keys, "journal_mode": &journal} {
			if err := d.QueryRowContext(t.Context(), "PRAGMA "+q).Scan(into); err != nil {
				t.Fatal(err)
			}
		}
		if synchronous != c.want || keys != 1 || journal != "wal" || !d.Durable() {
			t.Errorf("synchronous %d, keys %d, journal %s, durable %v; want %d, 1, wal, true", synchronous, keys, journal, d.Durable(), c.want)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if d.Read == d.DB || d.Read.Stats().MaxOpenConnections < 4 {
			t.Errorf("readers: %+v, want a pool of their own with four connections at least", d.Read.Stats())
		}
		shared := d.Shared()
		if err := errors.Join(shared.Close(), d.Ping(t.Context())); err != nil {
			t.Errorf("after who shares it has closed it: %v", err)
		}
		d.Close()
		if err := d.Ping(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "closed") {
			t.Errorf("a closed one: %v", err)
		}
		if err := d.Read.PingContext(t.Context()); err == nil {
			t.Error("Close left the readers open")
		}
	}
	d, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Read != d.DB || d.Durable() {
		t.Errorf("in memory: readers of their own %v, durable %v", d.Read != d.DB, d.Durable())
	}
	own, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	u, err := sql.Open(sql.Config{Kind: sql.SQLite, DB: own})
	if err != nil || u.DB != own || u.Read != own || !u.Durable() {
		t.Errorf("the user's own: %+v, %v", u, err)
	}
	if err := errors.Join(u.Close(), own.PingContext(t.Context())); err != nil {
		t.Errorf("Close of the user's own: %v", err)
	}
}

// Tables are made when they are missing, and again only after they were lost.
func TestTablesAreMadeOnce(t *testing.T) {
	d, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	asked := 0
	tables := sql.Tables{DB: d, There: func(ctx context.Context) error { asked++; return d.HasStripes(ctx, "stripes") }, Statements: sql.MakeStripes("stripes")}
	make := func(wantAsked int) {
		t.Helper()
		if err := tables.Make(t.Context()); err != nil || asked != wantAsked {
			t.Errorf("Make = %v, and has asked %d times, want %d", err, asked, wantAsked)
		}
	}
	exec := func(q string) {
		t.Helper()
		if _, err := d.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	make(1)
	make(1)
	counts, err := d.Counts(t.Context(), "stripes")
	if err != nil || counts[0] < time.Now().Add(-time.Hour).UnixMilli() || counts[sql.Stripes-1] != counts[0] {
		t.Errorf("counts %v, %v, want them to begin at the clock", counts, err)
	}
	exec("INSERT INTO stripes VALUES (-1, 1), (64, 1)") // of another version
	if more, err := d.Counts(t.Context(), "stripes"); err != nil || more != counts {
		t.Errorf("counts %v, %v, want %v", more, err, counts)
	}
	exec("DROP TABLE stripes")
	_, err = d.Counts(t.Context(), "stripes")
	if tables.Lost(io.EOF) || tables.Lost(nil) || !tables.Lost(err) || !tables.Lost(dbsql.ErrNoRows) {
		t.Errorf("a table that is missing is not known as lost by %v", err)
	}
	make(2)
	make(2)
	if err := d.HasStripes(t.Context(), "stripes"); err != nil {
		t.Error(err)
	}
	exec("DELETE FROM stripes WHERE id = 7")
	if err := d.HasStripes(t.Context(), "stripes"); !errors.Is(err, dbsql.ErrNoRows) {
		t.Errorf("a row is missing: %v", err)
	}
	looked := 0
	there := sql.Tables{DB: d, There: func(context.Context) error { looked++; return nil }, Statements: []string{"nonsense"}}
	broken := sql.Tables{DB: d, There: func(context.Context) error { return fault.Denied }, Statements: []string{"nonsense"}}
	missing := sql.Tables{DB: d, There: func(context.Context) error { return dbsql.ErrNoRows }, Statements: []string{"CREATE TABLE stripes (x INTEGER)", "nonsense"}}
	for range 2 {
		if err := there.Make(t.Context()); err != nil || looked != 1 {
			t.Errorf("what is there: %v, looked at %d times, want once", err, looked)
		}
	}
	if err := broken.Make(t.Context()); !errors.Is(err, fault.Denied) {
		t.Errorf("what can't be asked: %v", err)
	}
	for range 2 {
		if err := missing.Make(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("what can't be made: %v, want that of the second statement", err)
		}
	}
}

func TestNamesThatHoldTheWordOfTheClock(t *testing.T) {
	clock := sql.SQLite.Text("NOW")
	for text, want := range map[string]string{
		"NOW": clock, "NOW+1": clock + "+1", "1+NOW": "1+" + clock, "NOW NOW": clock + " " + clock, "(NOW)": "(" + clock + ")",
		"ANOW": "ANOW", "NOWA": "NOWA", "NOWZ": "NOWZ", "aNOW": "aNOW", "NOWz": "NOWz", "0NOW": "0NOW", "NOW9": "NOW9", "_NOW": "_NOW",
		"@NOW": "@" + clock, "NOW[": clock + "[", "`NOW": "`" + clock, "NOW{": clock + "{", "/NOW": "/" + clock, "NOW:": clock + ":", "": "", "now": "now",
	} {
		if got := sql.SQLite.Text(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
