package sql_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestOpenRefusesBadAddresses(t *testing.T) {
	for _, c := range []sql.Config{
		{Kind: sql.SQLite}, {Kind: sql.SQLite, Address: "x?mode=ro"}, {Kind: sql.MySQL, Address: "s3cret@@"}, {Kind: sql.MySQL, Address: "mysql://u:s3cret@h"},
		{Kind: sql.MySQL, Address: "http://u:s3cret@h/d"}, {Kind: sql.Postgres, Address: "postgres://u:s3cret@h:x/d"}, {Address: "x"}, {Kind: sql.SQLite, Address: "x", MaxOpen: -1},
	} {
		_, err := sql.Open(c)
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("Open(%+v): got %v, want Invalid", c, err)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %q has the password", err)
		}
	}
}

func TestDeadServerIsUnavailable(t *testing.T) {
	for kind, addr := range map[sql.Kind]string{sql.MySQL: "mysql://u:s3cret@127.0.0.1:1/d", sql.Postgres: "postgres://u:s3cret@127.0.0.1:1/d"} {
		d, err := sql.Open(sql.Config{Kind: kind, Address: addr})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Ping(t.Context())
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: got %v, want Unavailable that names the address and not the password", kind, err)
		}
		if _, err := d.ExecContext(t.Context(), "DELETE FROM x"); !errors.Is(sql.WriteError(err), fault.Unavailable) {
			t.Errorf("%v: a write that reached nobody: %v, want Unavailable", kind, sql.WriteError(err))
		}
		d.Close()
	}
}

func TestErrorsMeanTheSame(t *testing.T) {
	for kind, open := range map[sql.Kind]func(t *testing.T) string{
		sql.SQLite:   func(t *testing.T) string { return filepath.Join(t.TempDir(), "odd %20 näme.db") },
		sql.MySQL:    func(t *testing.T) string { return servertest.SharedMariaDB(t).DSN() + "mysql" },
		sql.Postgres: func(t *testing.T) string { return servertest.SharedPostgres(t).DSN() },
	} {
		t.Run(kind.String(), func(t *testing.T) {
			d, err := sql.Open(sql.Config{Kind: kind, Address: open(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			exec := func(q string, args ...any) error {
				_, err := d.ExecContext(t.Context(), kind.Rebind(q), args...)
				return err
			}
			if err := exec("INSERT INTO conn_errors VALUES (1)"); !sql.IsMissing(err) {
				t.Errorf("a missing table: %v", err)
			}
			defer exec("DROP TABLE conn_errors")
			if err := exec("CREATE TABLE conn_errors (id INTEGER PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			if err := exec("CREATE TABLE conn_errors (id INTEGER PRIMARY KEY)"); !sql.IsThere(err) {
				t.Errorf("made twice: %v", err)
			}
			if err := exec("INSERT INTO conn_errors VALUES (?)", 1); err != nil {
				t.Fatal(err)
			}
			if err := exec("INSERT INTO conn_errors VALUES (?)", 1); !sql.IsDuplicate(err) || sql.IsMissing(err) || sql.IsCollision(err) {
				t.Errorf("a duplicate: %v", err)
			}
			if err := exec("nonsense"); sql.IsDuplicate(err) || sql.IsMissing(err) || sql.IsCollision(err) || fault.KindOf(sql.WriteError(err)) != nil {
				t.Errorf("nonsense: %v", sql.WriteError(err))
			}
		})
	}
}

func TestRebind(t *testing.T) {
	if got := sql.Postgres.Rebind("a = ? AND b IN (?,?)"); got != "a = $1 AND b IN ($2,$3)" {
		t.Errorf("got %q", got)
	}
	if got := sql.MySQL.Rebind("a = ?"); got != "a = ?" {
		t.Errorf("got %q", got)
	}
}

// TestRefusalsAreDenied: who the database does not know, or does not allow, is
// refused; it is not unavailable, and nothing was done.
func TestRefusalsAreDenied(t *testing.T) {
	for kind, c := range map[sql.Kind]struct {
		open  func(t *testing.T) (admin string, user func(password string) string)
		setup []string
	}{
		sql.MySQL: {func(t *testing.T) (string, func(string) string) {
			s := servertest.SharedMariaDB(t)
			return s.DSN() + "mysql", func(password string) string { return "mysql://bob:" + password + "@" + s.Addr() + "/rights" }
		}, []string{"DROP DATABASE IF EXISTS rights", "DROP USER IF EXISTS bob", "CREATE DATABASE rights", "CREATE TABLE rights.x (id INTEGER)", "CREATE USER bob IDENTIFIED BY 'secret'", "GRANT SELECT ON rights.* TO bob"}},
		sql.Postgres: {func(t *testing.T) (string, func(string) string) {
			s := servertest.SharedPostgres(t) // it trusts everybody who exists
			return s.DSN(), func(password string) string {
				user := "bob"
				if password == "wrong" {
					user = "nobody"
				}
				return "postgres://" + user + ":" + password + "@" + s.Addr() + "/postgres?sslmode=disable"
			}
		}, []string{"DROP TABLE IF EXISTS x", "DROP USER IF EXISTS bob", "CREATE TABLE x (id INTEGER)", "CREATE USER bob PASSWORD 'secret'", "GRANT SELECT ON x TO bob"}},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			open := func(addr string) *sql.DB {
				t.Helper()
				d, err := sql.Open(sql.Config{Kind: kind, Address: addr})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
				return d
			}
			addr, user := c.open(t)
			admin := open(addr)
			for _, q := range c.setup {
				if _, err := admin.ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			err := open(user("wrong")).Ping(t.Context())
			if !errors.Is(err, fault.Denied) || errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "127.0.0.1:") {
				t.Errorf("Ping of a stranger: %v, want denied, with the address", err)
			}
			bob := open(user("secret"))
			if err := bob.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if _, err := bob.ExecContext(t.Context(), "SELECT id FROM x"); err != nil {
				t.Errorf("what is allowed: %v", err)
			}
			_, err = bob.ExecContext(t.Context(), "INSERT INTO x VALUES (1)")
			if err = sql.WriteError(err); fault.KindOf(err) != fault.Denied {
				t.Errorf("a write that is not allowed: %v, want denied", err)
			}
		})
	}
}

func TestTextReplacesTheClockAndNoPartOfAName(t *testing.T) {
	got := sql.SQLite.Text("SELECT NOW, NOW_ FROM SNOW_KNOWN WHERE t<NOW")
	const now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
	if want := "SELECT " + now + ", NOW_ FROM SNOW_KNOWN WHERE t<" + now; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
