package sql

import (
	"context"
	"database/sql"

	"github.com/micro/go-platform/internal/fault"
)

// Striped is a backend whose writes lock a stripe first: they count it up, and
// PostgreSQL notifies of them.
type Striped struct {
	Tables  *Tables
	Stripes string // the table
	Channel string // of PostgreSQL's notifications
	Lax     bool   // PostgreSQL needn't wait for its disk: others notice what a crash loses
}

// Tx is a transaction that has locked a stripe.
type Tx struct {
	*sql.Tx
	Kind Kind
	Seq  int64 // the stripe's count, used by nobody before
	Now  int64 // the database's clock, after the stripe was locked
}

// Do runs f in a transaction that has locked a stripe, again when it collides
// with another. If f returns an error, nothing was done.
func (s *Striped) Do(ctx context.Context, stripe int, f func(t *Tx) error) error {
	err := s.Tables.Make(ctx)
	if err != nil {
		return err
	}
	return Retry(ctx, func() error { return s.once(ctx, stripe, f) })
}

func (s *Striped) once(ctx context.Context, stripe int, f func(t *Tx) error) error {
	db := s.Tables.DB
	var o *sql.TxOptions
	if db.Kind != SQLite {
		o = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	inner, err := db.BeginTx(ctx, o)
	if err != nil {
		return s.Tables.ReadError(err)
	}
	defer inner.Rollback() // after Commit it does nothing
	t := &Tx{Tx: inner, Kind: db.Kind}
	err = s.lock(ctx, t, stripe)
	if err != nil {
		return s.Tables.ReadError(err)
	}
	err = f(t)
	switch {
	case fault.KindOf(err) != nil:
		return err
	case err != nil:
		return s.Tables.ReadError(err)
	}
	return WriteError(inner.Commit())
}

func (s *Striped) lock(ctx context.Context, t *Tx, stripe int) error {
	update := "UPDATE " + s.Stripes + " SET seq = seq + 1 WHERE id = ?"
	switch t.Kind {
	case MySQL:
		_, err := t.ExecContext(ctx, update, stripe)
		if err != nil {
			return err
		}
		return t.QueryRowContext(ctx, t.Kind.Text("SELECT seq, NOW FROM "+s.Stripes+" WHERE id = ?"), stripe).Scan(&t.Seq, &t.Now)
	case Postgres:
		notify := "CAST(pg_notify('" + s.Channel + "', '') AS TEXT)"
		if s.Lax {
			notify += " || set_config('synchronous_commit', 'off', true)"
		}
		var told string
		return t.QueryRowContext(ctx, t.Kind.Rebind(update)+" RETURNING seq, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), "+notify, stripe).Scan(&t.Seq, &t.Now, &told)
	}
	return t.QueryRowContext(ctx, t.Kind.Text(update+" RETURNING seq, NOW"), stripe).Scan(&t.Seq, &t.Now)
}

// Change executes a statement and returns how many rows it has changed.
func (t *Tx) Change(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, t.Kind.Text(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
