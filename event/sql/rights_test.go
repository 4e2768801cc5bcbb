package sql_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// Tables are made once, by somebody who may. Who may only write rows uses those that
// are there, and is refused where they are missing.
func TestAUserWhoMayMakeNoTables(t *testing.T) {
	for kind, c := range map[string]struct {
		backend func(addr string) event.Option
		open    func(t *testing.T) (driver, dsn, admin, bob string)
		setup   []string
		rights  []string
	}{
		"PostgreSQL": {
			sql.Postgres,
			func(t *testing.T) (driver, dsn, admin, bob string) {
				s := servertest.SharedPostgres(t)
				as := func(user *url.Userinfo) string {
					u, err := url.Parse(s.DSN())
					if err != nil {
						t.Fatal(err)
					}
					u.Path = "/rights"
					if user != nil {
						u.User = user
					}
					return u.String()
				}
				return "pgx", s.DSN(), as(nil), as(url.User("clerk"))
			},
			[]string{"DROP DATABASE IF EXISTS rights", "DROP USER IF EXISTS clerk", "CREATE DATABASE rights", "CREATE USER clerk"},
			[]string{"REVOKE CREATE ON SCHEMA public FROM PUBLIC", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk"},
		},
		"MariaDB": {
			sql.MySQL,
			func(t *testing.T) (driver, dsn, admin, bob string) {
				s := servertest.SharedMariaDB(t)
				return "mysql", s.DSN() + "mysql", s.DSN() + "rights", "mysql://clerk:secret@" + s.Addr() + "/rights"
			},
			[]string{"DROP DATABASE IF EXISTS rights", "DROP USER IF EXISTS clerk", "CREATE DATABASE rights", "CREATE USER clerk IDENTIFIED BY 'secret'"},
			[]string{"GRANT SELECT, INSERT, UPDATE, DELETE ON rights.* TO clerk"},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			driver, dsn, admin, clerk := c.open(t)
			run := func(dsn string, statements ...string) {
				t.Helper()
				db, err := dbsql.Open(driver, dsn)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				for _, s := range statements {
					if _, err := db.ExecContext(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
			}
			use := func(addr, id string) (event.Stream, error) {
				t.Helper()
				s, err := event.New(patient(c.backend(addr), event.WithNamespace("there"))...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close(context.Background()) })
				if err := s.Publish(t.Context(), &event.Record{ID: id, Type: "t"}); err != nil {
					return s, err
				}
				if err := s.PublishAt(t.Context(), time.Now().Add(time.Hour), &event.Record{ID: id, Type: "t"}); err != nil {
					return s, err
				}
				_, err = s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil },
					event.Group("g"), event.Ordered(event.BySubject), event.Partitions(2))
				return s, err
			}
			run(dsn, c.setup...)
			if _, err := use(admin, "admin"); err != nil {
				t.Fatal(err)
			}
			run(admin, c.rights...)
			s, err := use(clerk, "clerk")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for r, err := range s.Query(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, r.ID)
			}
			if len(got) != 2 || got[0] != "admin" || got[1] != "clerk" {
				t.Errorf("the stream has %q", got)
			}
			other, err := event.New(patient(c.backend(clerk), event.WithNamespace("missing"))...)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close(context.Background())
			if err := other.Publish(t.Context(), &event.Record{Type: "t"}); !errors.Is(err, event.ErrDenied) {
				t.Errorf("a table that is missing: %v, want ErrDenied", err)
			}
		})
	}
}
