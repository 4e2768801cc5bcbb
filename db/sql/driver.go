package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// driver is a database with tables.
type driver struct {
	pool    *sql.DB
	kind    sql.Kind
	durable bool
	read    *statements
	write   *statements

	mu     sync.RWMutex
	tables map[string]*table // by the name that db gives
}

func newDriver(pool *sql.DB, durable bool) *driver {
	d := &driver{pool: pool, kind: pool.Kind, durable: durable, tables: map[string]*table{}}
	d.write = &statements{pool: pool.DB, keep: d.kind == sql.SQLite}
	d.read = d.write
	if pool.Read != pool.DB {
		d.read = &statements{pool: pool.Read, keep: true}
	}
	return d
}

func (d *driver) Features() db.Features {
	return db.Features{
		Durable: d.durable, Shared: d.durable, Transactions: true, AnyKey: true, Compare: true, Prefix: true,
		Contains: true, Exists: true, Or: true, Not: true, Order: true, Count: true, Immediate: true,
	}
}

func (d *driver) Ping(ctx context.Context) error { return d.pool.Ping(ctx) }

func (d *driver) Close() error {
	d.read.close()
	d.write.close()
	return d.pool.Close()
}

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

// session is where statements run: the pool of readers, or a transaction.
type session struct {
	d  *driver
	tx *dbsql.Tx // nil: the readers

	made map[string]*dbsql.Stmt // of the transaction
}

// statement returns the prepared form of a text, or nil.
func (s *session) statement(ctx context.Context, text string) (*dbsql.Stmt, error) {
	if s.tx == nil {
		return s.d.read.get(ctx, text)
	}
	if !s.d.write.keep {
		return nil, nil
	}
	if st := s.made[text]; st != nil {
		return st, nil
	}
	s.d.write.mu.RLock()
	st := s.d.write.made[text]
	s.d.write.mu.RUnlock()
	if st != nil {
		st = s.tx.StmtContext(ctx, st)
	} else { // not on the pool: its connection is this transaction's
		var err error
		if st, err = s.tx.PrepareContext(ctx, text); err != nil {
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
	case s.tx != nil:
		return s.tx.QueryContext(ctx, text, args...)
	}
	return s.d.pool.Read.QueryContext(ctx, text, args...)
}

// exec runs a statement of a transaction and returns how many rows it changed.
func (s *session) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.d.kind == sql.SQLite { // a row is written at once; for a context that can end the client starts a goroutine
		ctx = context.WithoutCancel(ctx)
	}
	st, err := s.statement(ctx, text)
	if err != nil {
		return 0, err
	}
	var res dbsql.Result
	if st != nil {
		res, err = st.ExecContext(ctx, args...)
	} else {
		res, err = s.tx.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// do runs f, which is one write, in a transaction of its own: again when it
// collides with another. prepare names statements that f uses.
func (d *driver) do(ctx context.Context, prepare []string, f func(s *session) error) error {
	for _, text := range prepare {
		if _, err := d.write.get(ctx, text); err != nil {
			return sql.ReadError(err)
		}
	}
	wait := backoff.Policy{Min: time.Millisecond, Max: 100 * time.Millisecond}
	for n := 0; ; n++ {
		err := d.once(ctx, dbsql.LevelReadCommitted, f)
		if !errors.Is(err, db.ErrSerialization) {
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
	if err := f(&session{d: d, tx: tx}); err != nil {
		tx.Rollback()
		return undone(err)
	}
	return commit(ctx, tx)
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
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dbsql.ErrTxDone): // rolled back when ctx ended
		tx.Rollback()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.Mark(fault.Unavailable, err)
	case sql.IsCollision(err):
		tx.Rollback() // SQLite's transaction stays open
		return collision(err)
	}
	tx.Rollback()
	return sql.WriteError(err)
}

// undone gives the error of a transaction that was rolled back its kind.
func undone(err error) error {
	if sql.IsCollision(err) && !errors.Is(err, db.ErrSerialization) {
		return collision(err)
	}
	return sql.ReadError(err)
}

func collision(err error) error { return fmt.Errorf("%w: %w", db.ErrSerialization, err) }
