package nth

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"strings"
	"testing"
)

// SQLite is a file of SQLite, and the same behind a plan. Who tests links the driver.
func SQLite(t *testing.T, p Plan) (plain, planned *sql.DB) {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "x.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)"
	plain, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	return plain, SQL(p, plain.Driver(), dsn)
}

// Rows is the State of a World: what a query for one text finds, "" as long as its table
// is not there.
func Rows(t *testing.T, plain *sql.DB, query string) string {
	t.Helper()
	rows, err := plain.QueryContext(context.WithoutCancel(t.Context()), query)
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := ""
	for rows.Next() {
		var one string
		err := rows.Scan(&one)
		if err != nil {
			t.Fatal(err)
		}
		all += one + " "
	}
	return all
}

// SQL is a database behind a plan: its Exec, Query, Begin and Commit fail. d is a driver
// of database/sql whose connections take contexts. None of them panics: one that does
// within a transaction leaves that locked for good, by database/sql itself.
func SQL(p Plan, d driver.Driver, dsn string) *sql.DB { return sql.OpenDB(connector{d, dsn, p}) }

type connector struct {
	d   driver.Driver
	dsn string
	p   Plan
}

func (c connector) Driver() driver.Driver { return c.d }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.d.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return sqlConn{conn, c.p}, nil
}

type sqlConn struct {
	driver.Conn
	p Plan
}

func (c sqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return spared(func() (driver.Result, error) {
		return Change(ctx, c.p, "Exec", func() (driver.Result, error) { return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args) })
	})
}

func (c sqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return spared(func() (driver.Rows, error) {
		return Read(ctx, c.p, "Query", func() (driver.Rows, error) { return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args) })
	})
}

func (c sqlConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := spared(func() (driver.Tx, error) {
		return Read(ctx, c.p, "Begin", func() (driver.Tx, error) { return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o) })
	})
	if err != nil {
		return nil, err
	}
	return sqlTx{ctx, tx, c.p}, nil
}

type sqlTx struct {
	ctx context.Context
	driver.Tx
	p Plan
}

// Commit ends the transaction, also if it fails.
func (t sqlTx) Commit() error {
	done := false
	defer func() {
		if !done {
			_ = t.Tx.Rollback()
		}
	}()
	_, err := spared(func() (struct{}, error) {
		return struct{}{}, Write(t.ctx, t.p, "Commit", func() error { done = true; return t.Tx.Commit() })
	})
	return err
}

// spared makes the panic of a plan an error.
func spared[T any](call func() (T, error)) (v T, err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if r != Err {
			panic(r)
		}
		err = Err
	}()
	return call()
}
