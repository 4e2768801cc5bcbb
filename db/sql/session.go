package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// statements keeps prepared statements of a pool by their text. PostgreSQL's
// client does that by itself, and MySQL's sends values along with the text.
type statements struct {
	pool *dbsql.DB
	keep bool

	mu   sync.RWMutex
	made map[string]*dbsql.Stmt
}

// maxStatements bounds how many are kept; a search has a text for each form
// of its filter.
const maxStatements = 256

// get returns the prepared statement, or nil if it is not to be kept.
func (s *statements) get(ctx context.Context, text string) (*dbsql.Stmt, error) {
	if !s.keep {
		return nil, nil
	}
	s.mu.RLock()
	st, n := s.made[text], len(s.made)
	s.mu.RUnlock()
	if st != nil || n >= maxStatements {
		return st, nil
	}
	st, err := s.pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.made[text]; other != nil {
		st.Close()
		return other, nil
	}
	if s.made == nil {
		s.made = map[string]*dbsql.Stmt{}
	}
	s.made[text] = st
	return st, nil
}

func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.made {
		st.Close()
	}
	s.made = nil
}

// executor executes: a transaction, a connection, or a pool of them.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*dbsql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *dbsql.Row
}

// session is where statements run.
type session struct {
	d    *driver
	on   executor
	kept *statements

	tx   *dbsql.Tx              // that on is; nil: none
	made map[string]*dbsql.Stmt // of tx
}

// reader is the session of what changes nothing.
func (d *driver) reader() *session { return &session{d: d, on: d.pool.Read, kept: d.read} }

// statement returns the prepared form of a text, or nil.
func (s *session) statement(ctx context.Context, text string) (*dbsql.Stmt, error) {
	switch {
	case s.tx == nil:
		return s.kept.get(ctx, text)
	case !s.kept.keep:
		return nil, nil
	}
	if st := s.made[text]; st != nil {
		return st, nil
	}
	s.kept.mu.RLock()
	st := s.kept.made[text]
	s.kept.mu.RUnlock()
	if st != nil {
		st = s.tx.StmtContext(ctx, st)
	} else { // not on the pool: its connection is this transaction's
		var err error
		st, err = s.tx.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
	}
	if s.made == nil {
		s.made = map[string]*dbsql.Stmt{}
	}
	s.made[text] = st
	return st, nil
}

func (s *session) query(ctx context.Context, text string, args ...any) (*dbsql.Rows, error) {
	st, err := s.statement(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case st != nil:
		return st.QueryContext(ctx, args...)
	}
	return s.on.QueryContext(ctx, text, args...)
}

// number runs a statement that returns a number.
func (s *session) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&n)
	}
	if err == nil {
		err = rows.Err()
	}
	return n, err
}

// run runs a statement that changes something.
func (s *session) run(ctx context.Context, text string, args ...any) (dbsql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.d.kind == sql.SQLite && s.tx != nil { // a row is written at once; for a context that can end the client starts a goroutine
		ctx = context.WithoutCancel(ctx)
	}
	st, err := s.statement(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case st != nil:
		return st.ExecContext(ctx, args...)
	}
	return s.on.ExecContext(ctx, text, args...)
}

// exec is run, and returns how many rows were changed.
func (s *session) exec(ctx context.Context, text string, args ...any) (int64, error) {
	res, err := s.run(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// returning runs a statement that changes one row or none, and returns up to two
// numbers of that row. MySQL's is what LAST_INSERT_ID was given.
func (s *session) returning(ctx context.Context, columns int, text string, args ...any) (got [2]int64, ok bool, err error) {
	if s.d.kind == sql.MySQL {
		res, err := s.run(ctx, text, args...)
		if err != nil {
			return got, false, err
		}
		n, err := res.RowsAffected()
		if n == 0 || err != nil {
			return got, false, err
		}
		got[0], err = res.LastInsertId()
		return got, true, err
	}
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return got, false, err
	}
	defer rows.Close()
	to := []any{&got[0], &got[1]}
	for rows.Next() { // to the end, where SQLite commits
		ok = true
		if err := rows.Scan(to[:columns]...); err != nil {
			return got, false, err
		}
	}
	return got, ok, rows.Err()
}

// single runs f, which is one statement that is a write by itself: again when
// it collides with another. On MySQL it is in a transaction: a statement that
// waits for a lock goes on when its caller has left, and must not be committed.
func (d *driver) single(ctx context.Context, f func(s *session) error) error {
	switch d.kind {
	case sql.MySQL:
		return d.do(ctx, nil, f)
	case sql.SQLite:
		return d.retry(ctx, func() error { return undone(f(&session{d: d, on: d.pool.DB, kept: d.write})) })
	}
	return d.retry(ctx, func() error {
		c, err := d.pool.Conn(ctx)
		if err != nil {
			return undone(err)
		}
		defer c.Close()
		err = f(&session{d: d, on: c, kept: d.write})
		if sql.IsCollision(err) {
			return collision(err)
		}
		return sql.WriteError(tooLarge(err))
	})
}

// do runs f, which is one write, in a transaction of its own: again when it
// collides with another. prepare names statements that f uses.
func (d *driver) do(ctx context.Context, prepare []string, f func(s *session) error) error {
	if d.write.keep { // before the transaction has the only connection
		for _, text := range prepare {
			if _, err := d.write.get(ctx, text); err != nil {
				return sql.ReadError(err)
			}
		}
	}
	return d.retry(ctx, func() error { return d.once(ctx, dbsql.LevelReadCommitted, f) })
}

// retry calls f again as long as it collides with others.
func (d *driver) retry(ctx context.Context, f func() error) error {
	wait := backoff.Policy{Min: time.Millisecond, Max: 100 * time.Millisecond}
	for n := 0; ; n++ {
		err := f()
		if !errors.Is(err, dbdriver.ErrSerialization) {
			return err
		}
		if e := backoff.Sleep(ctx, wait.Wait(n)); e != nil {
			return fault.Mark(fault.Unavailable, errors.Join(err, e))
		}
	}
}

func (d *driver) once(ctx context.Context, level dbsql.IsolationLevel, f func(s *session) error) error {
	tx, err := d.begin(ctx, level)
	if err != nil {
		return err
	}
	if err := f(d.within(tx)); err != nil {
		tx.Rollback()
		return undone(err)
	}
	return commit(ctx, tx)
}

// within is a transaction's session.
func (d *driver) within(tx *dbsql.Tx) *session {
	return &session{d: d, on: tx, kept: d.write, tx: tx}
}

func (d *driver) begin(ctx context.Context, level dbsql.IsolationLevel) (*dbsql.Tx, error) {
	var o *dbsql.TxOptions
	if d.kind != sql.SQLite { // which has but one level
		o = &dbsql.TxOptions{Isolation: level}
	}
	tx, err := d.pool.BeginTx(ctx, o)
	if err != nil {
		return nil, undone(err)
	}
	return tx, nil
}

func commit(ctx context.Context, tx *dbsql.Tx) error {
	err := tx.Commit()
	ended := sql.Ended(ctx, err)
	switch {
	case err == nil:
		return nil
	case ended != nil:
		return ended
	case sql.IsCollision(err):
		tx.Rollback() // SQLite's transaction stays open
		return collision(err)
	}
	tx.Rollback()
	return sql.WriteError(err)
}

// undone gives the error of a write that was certainly not done its kind.
func undone(err error) error {
	switch {
	case errors.Is(err, dbdriver.ErrSerialization):
		return err
	case sql.IsCollision(err):
		return collision(err)
	}
	return sql.ReadError(tooLarge(err))
}

func collision(err error) error { return fmt.Errorf("%w: %w", dbdriver.ErrSerialization, err) }

func tooLarge(err error) error {
	if err != nil && sql.IsTooLarge(err) {
		return fault.Mark(fault.TooLarge, err)
	}
	return err
}
