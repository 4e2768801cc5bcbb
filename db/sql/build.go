package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// locked calls f with a session that holds the lock for making tables and
// indexes, also against other processes. SQLite's is its write transaction.
func (d *driver) locked(ctx context.Context, f func(ctx context.Context, x executor) error) error {
	if d.kind == sql.SQLite {
		return d.do(ctx, nil, func(s *session) error { return f(ctx, s.tx) })
	}
	c, err := d.pool.Conn(ctx)
	if err != nil {
		return sql.ReadError(err)
	}
	defer c.Close()
	take, give := "SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 40), '.db$tables'), 0)", "DO RELEASE_LOCK(CONCAT(LEFT(DATABASE(), 40), '.db$tables'))"
	if d.kind == sql.Postgres {
		take, give = "SELECT CASE WHEN pg_try_advisory_lock(7450475527213081702) THEN 1 ELSE 0 END", "SELECT pg_advisory_unlock(7450475527213081702)"
	}
	// Asked again and again: a session that waits for PostgreSQL's lock would hold
	// up the index that is being built under it.
	wait := backoff.Policy{Min: 2 * time.Millisecond, Max: 100 * time.Millisecond}
	for n := 0; ; n++ {
		var got dbsql.NullInt64
		if err := c.QueryRowContext(ctx, take).Scan(&got); err != nil {
			return sql.ReadError(err)
		}
		if got.Int64 == 1 {
			break
		}
		if err := backoff.Sleep(ctx, wait.Wait(n)); err != nil {
			return fault.Markf(fault.Unavailable, "another makes a table or an index: %w", err)
		}
	}
	defer func() { // also when ctx has ended; a connection that is gone holds nothing
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		c.ExecContext(ctx, give)
	}()
	return sql.WriteError(f(ctx, c))
}

// addIndexes builds the indexes that a table lacks, one after another.
func (d *driver) addIndexes(ctx context.Context, x executor, t *table, missing [][]db.Order, progress func(db.IndexProgress)) error {
	for _, index := range missing {
		if err := d.build(ctx, x, t, index, progress); err != nil {
			return err
		}
	}
	d.createView(ctx, x, t)
	// What PostgreSQL plans by it counts now and then by itself; of a new index it
	// knows nothing until then. Who may not ask for it waits for that.
	if d.kind == sql.Postgres {
		x.ExecContext(ctx, "ANALYZE "+t.rows)
	}
	return ctx.Err()
}

// build builds an index and reports how far it is.
func (d *driver) build(ctx context.Context, x executor, t *table, index []db.Order, progress func(db.IndexProgress)) error {
	live := d.kind == sql.Postgres
	if live { // one that was given up is there, and serves nothing
		if _, err := x.ExecContext(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+d.kind.Quote(indexName(t.name, index))); err != nil {
			return err
		}
	}
	if progress == nil {
		return d.addIndex(ctx, x, t, index, nil, live)
	}
	start := time.Now()
	p := db.IndexProgress{Index: dbdriver.IndexName(index)}
	if err := x.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.rows).Scan(&p.Total); err != nil {
		return err
	}
	progress(p)
	done := make(chan error, 1)
	go func() { done <- d.addIndex(ctx, x, t, index, nil, live) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				p.Done, p.Elapsed, p.Ready = p.Total, time.Since(start), true
				progress(p)
			}
			return err
		case <-tick.C:
			if n, err := d.indexed(ctx, t); err == nil && n > p.Done && n <= p.Total {
				p.Done, p.Elapsed = n, time.Since(start)
				progress(p)
			}
		}
	}
}

// indexed asks PostgreSQL how many records the index in the making has; the
// others don't tell.
func (d *driver) indexed(ctx context.Context, t *table) (n int64, err error) {
	if d.kind != sql.Postgres {
		return 0, errors.ErrUnsupported
	}
	err = d.pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(tuples_done), 0) FROM pg_stat_progress_create_index WHERE relid = to_regclass($1)", t.rows).Scan(&n)
	return n, err
}
