// Package sql keeps the documents of config/store in a SQLite, MySQL (or MariaDB)
// or PostgreSQL database.
//
//	st, err := store.New(storesql.Postgres("postgres://shop:secret@10.0.0.1/shop"))
//
// One table holds all versions; its primary key (namespace, number) is what
// makes one of two concurrent writes win. The table is created if it is
// missing. Watching is a query by primary key every 300 ms.
package sql

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/micro/go-platform/config/store"
	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option is an option of the constructors.
type Option func(*driver) error

// WithTable names the table; the default is config_versions.
func WithTable(name string) Option {
	return func(d *driver) error {
		if !tableName.MatchString(name) {
			return fmt.Errorf("WithTable: %q, want letters, digits and underscores, at most 60", name)
		}
		d.name = name
		return nil
	}
}

// lookEvery is how often Watch looks: a change is seen within a second.
const lookEvery = 300 * time.Millisecond

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,59}$`)

// SQLite keeps documents in a file, or in ":memory:".
func SQLite(file string, opts ...Option) store.Option {
	return open(sql.At(sql.SQLite, file, 0), opts)
}

// MySQL keeps documents in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string, opts ...Option) store.Option {
	return open(sql.At(sql.MySQL, addr, 0), opts)
}

// Postgres keeps documents in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string, opts ...Option) store.Option {
	return open(sql.At(sql.Postgres, addr, 0), opts)
}

// On keeps documents in the database that the engine is connected to, and leaves it
// open. Package engine/sql has TLS, the limits of the pool, and engines of a *sql.DB
// of your own.
func On(e *engine.Engine, opts ...Option) store.Option { return open(e.Conn, opts) }

func open(connect func() (*sql.DB, error), opts []Option) store.Option {
	return store.WithDriver("config/store/sql", func(context.Context) (store.Driver, error) {
		d := &driver{name: "config_versions", every: lookEvery}
		if err := fronts.Apply(d, opts); err != nil {
			return nil, fault.Mark(store.ErrInvalid, err)
		}
		db, err := connect()
		if err != nil {
			return nil, err
		}
		d.db = db
		d.tables = d.schema()
		return d, nil
	})
}
