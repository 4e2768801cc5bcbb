package sql

import (
	"context"
	dbsql "database/sql"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// Dialect is the kind of a database.
type Dialect int

// The dialects. MySQL stands for MariaDB too.
const (
	SQLite   = Dialect(sql.SQLite)
	MySQL    = Dialect(sql.MySQL)
	Postgres = Dialect(sql.Postgres)
)

// String returns "sqlite", "mysql" or "postgres", and "sql" for another number.
func (d Dialect) String() string { return sql.Kind(d).String() }

// Engine is a database that backends share. It is safe for concurrent use.
type Engine struct {
	conn *sql.DB
	err  error // of FromDB
}

// Open describes the database at addr; the package comment has the forms of an
// address. It connects to nothing: Ping does, and New of the packages. The error
// is engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	e, err := open(addr, opts)
	return e, fault.Wrap("engine/sql", "open", "", err)
}

func open(addr string, opts []Option) (*Engine, error) {
	c, err := conn.Apply(sql.Config{Address: addr, AbandonedTx: abandoned}, opts)
	if err != nil {
		return nil, err
	}
	if c.Kind == 0 {
		c.Kind, c.Address, err = sql.ByScheme(addr)
		if err != nil {
			return nil, err
		}
	}
	db, err := sql.Open(c)
	if err != nil {
		return nil, err
	}
	return &Engine{conn: db}, nil
}

// FromDB is the engine of a database that you have opened, which Close leaves open.
// A MySQL database needs clientFoundRows=true in its address, and for TIMESTAMP columns
// of tables of your own time_zone=%27%2B00%3A00%27; one of SQLite's ":memory:" needs at
// most one connection. A nil database, and an unknown dialect, are errors of what is
// opened on the engine.
func FromDB(d Dialect, db *dbsql.DB) *Engine {
	if db == nil {
		return &Engine{err: fault.Markf(fault.Invalid, "nil database")}
	}
	c, err := sql.Open(sql.Config{Kind: sql.Kind(d), DB: db})
	return &Engine{c, err}
}

// DB returns the pool, for statements of your own. Of a SQLite file it is the
// connection that writes. It is closed with the engine. It is nil if FromDB got
// none.
func (e *Engine) DB() *dbsql.DB {
	if e.conn == nil {
		return nil
	}
	return e.conn.DB
}

// Dialect returns the kind of the database.
func (e *Engine) Dialect() Dialect {
	if e.conn == nil {
		return 0
	}
	return Dialect(e.conn.Kind)
}

// Ping asks the database for a sign of life. The error is engine.ErrUnavailable, or
// engine.ErrDenied if the server refuses the credentials, and names the address.
func (e *Engine) Ping(ctx context.Context) error {
	if e.err != nil {
		return fault.Wrap("engine/sql", "ping", "", e.err)
	}
	return fault.Wrap("engine/sql", "ping", "", e.conn.Ping(ctx))
}

// Close closes the pool, but not a database that was given. It may be called
// again.
func (e *Engine) Close() error {
	if e.conn == nil {
		return nil
	}
	return fault.Wrap("engine/sql", "close", "", e.conn.Close())
}

// Conn is how the backends of this module reach the database.
func (e *Engine) Conn() (*sql.DB, error) {
	switch {
	case e == nil:
		return nil, fault.Markf(fault.Invalid, "nil engine")
	case e.err != nil:
		return nil, e.err
	}
	return e.conn.Shared(), nil
}

// Kind is the dialect for the backends of this module.
func (e *Engine) Kind() sql.Kind {
	if e == nil || e.conn == nil {
		return 0
	}
	return e.conn.Kind
}
