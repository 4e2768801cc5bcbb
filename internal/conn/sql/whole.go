package sql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"
	"github.com/micro/go-platform/internal/fault"
	"modernc.org/sqlite"
)

// whole opens connections whose transactions are done as a whole, or not at all. MySQL
// rolls a transaction back when it deadlocks, SQLite when its disk is full or a write is
// interrupted; both would then commit each later statement by itself.
type whole struct{ driver.Connector }

// Connect implements driver.Connector.
func (w whole) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t := &wholeConn{connection: c.(connection)}
	if l, ok := c.(sqlite.HookRegisterer); ok {
		l.RegisterRollbackHook(t.rolledBack)
		return t, nil
	}
	return &mysqlConn{t, c.(session)}, nil
}

// wholeConn is a connection that does no more of a transaction that the database has
// ended.
type wholeConn struct {
	connection
	open  bool  // a transaction
	ended error // why the database has ended it; nil: it has not
}

// rolledBack is what SQLite calls when it rolls back.
func (c *wholeConn) rolledBack() {
	if c.open && c.ended == nil {
		c.ended = errRolledBack
	}
}

var errRolledBack = fault.Markf(fault.Unavailable, "the database has rolled the transaction back")

// saw looks at the error of a statement, and returns it.
func (c *wholeConn) saw(err error) error {
	var m *mysql.MySQLError
	switch {
	case err == nil || !c.open:
	case errors.As(err, &m) && c.ended == nil && slices.Contains(rollsBack, m.Number), c.ended == errRolledBack && IsCollision(err):
		c.ended = fmt.Errorf("%w: %w", errRolledBack, err)
	case c.ended == errRolledBack: // which may be of a context that is not the transaction's
		c.ended = fmt.Errorf("%w: %v", errRolledBack, err)
	}
	return err
}

// rollsBack has the errors with which MySQL rolls back: a record has changed, a lock
// was waited for too long (with innodb_rollback_on_timeout), too many locks, a deadlock.
var rollsBack = []uint16{1020, 1205, 1206, 1213}

// end returns why the database has ended the transaction.
func (c *wholeConn) end() error {
	err := c.ended
	c.open, c.ended = false, nil
	return err
}

// BeginTx implements driver.ConnBeginTx.
func (c *wholeConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.connection.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	c.open, c.ended = true, nil
	return &wholeTx{tx, c}, nil
}

// ExecContext implements driver.ExecerContext.
func (c *wholeConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.ended != nil {
		return nil, c.ended
	}
	r, err := c.connection.ExecContext(ctx, query, args)
	return r, c.saw(err)
}

// QueryContext implements driver.QueryerContext.
func (c *wholeConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.ended != nil {
		return nil, c.ended
	}
	r, err := c.connection.QueryContext(ctx, query, args)
	return c.rows(r), c.saw(err)
}

// rows looks at the errors of MySQL's rows; SQLite says by itself that it rolled back.
func (c *wholeConn) rows(r driver.Rows) driver.Rows {
	m, ok := r.(mysqlRows)
	if !ok || !c.open {
		return r
	}
	return &wholeRows{m, c}
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *wholeConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.ended != nil {
		return nil, c.ended
	}
	s, err := c.connection.PrepareContext(ctx, query)
	if err != nil {
		return nil, c.saw(err)
	}
	return &wholeStmt{s.(statement), c}, nil
}

// Close implements driver.Conn.
func (c *wholeConn) Close() error {
	if l, ok := c.connection.(sqlite.HookRegisterer); ok {
		l.RegisterRollbackHook(nil) // which is kept beyond the connection
	}
	return c.connection.Close()
}

// session is what a connection of MySQL can do beside.
type session interface {
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

type mysqlConn struct {
	*wholeConn
	session
}

type wholeTx struct {
	driver.Tx
	c *wholeConn
}

// Commit implements driver.Tx.
func (t *wholeTx) Commit() error {
	err := t.c.end()
	if err == nil {
		return t.Tx.Commit()
	}
	_ = t.Tx.Rollback() // MySQL's may be open after all
	return err
}

// Rollback implements driver.Tx.
func (t *wholeTx) Rollback() error {
	ended := t.c.end()
	err := t.Tx.Rollback()
	if ended != nil { // SQLite has nothing to roll back
		return nil
	}
	return err
}

type wholeStmt struct {
	statement
	c *wholeConn
}

// ExecContext implements driver.StmtExecContext.
func (s *wholeStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if s.c.ended != nil {
		return nil, s.c.ended
	}
	r, err := s.statement.ExecContext(ctx, args)
	return r, s.c.saw(err)
}

// QueryContext implements driver.StmtQueryContext.
func (s *wholeStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if s.c.ended != nil {
		return nil, s.c.ended
	}
	r, err := s.statement.QueryContext(ctx, args)
	return s.c.rows(r), s.c.saw(err)
}

// mysqlRows is what rows of MySQL can do. A deadlock may come after the first of them.
type mysqlRows interface {
	driver.RowsNextResultSet
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

type wholeRows struct {
	mysqlRows
	c *wholeConn
}

// Next implements driver.Rows.
func (r *wholeRows) Next(to []driver.Value) error { return r.c.saw(r.mysqlRows.Next(to)) }

// NextResultSet implements driver.RowsNextResultSet.
func (r *wholeRows) NextResultSet() error { return r.c.saw(r.mysqlRows.NextResultSet()) }

// Close implements driver.Rows.
func (r *wholeRows) Close() error { return r.c.saw(r.mysqlRows.Close()) }
