package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// write is one call that changes an item, and what came of it.
type write struct {
	kv.Write
	what  what
	delta int64

	rev kv.Revision
	sum int64
	err error
}

type what int

const (
	put what = iota
	remove
	add
)

// fill makes a nil value an empty one: a column takes no NULL.
func (w *write) fill() {
	if w.Value == nil {
		w.Value = []byte{}
	}
}

func (w *write) size() int { return len(w.Key) + len(w.Value) }

// own copies the value: the caller may leave, and change it.
func (w *write) own() { w.Value = append([]byte{}, w.Value...) }

// reads reports whether the write depends on what is there.
func (w *write) reads() bool { return w.what != put || w.IfAbsent || w.IfRevision != 0 }

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	one := &write{Write: w}
	one.fill()
	if err := d.do(ctx, one); err != nil {
		return 0, err
	}
	return one.rev, nil
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	return d.do(ctx, &write{what: remove, Write: kv.Write{Key: key, IfRevision: rev}})
}

func (d *driver) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	one := &write{what: add, delta: delta, Write: kv.Write{Key: key, TTL: ttl}}
	if err := d.do(ctx, one); err != nil {
		return 0, err
	}
	return one.sum, nil
}

func (d *driver) do(ctx context.Context, w *write) error {
	certainlyNot, err := d.writes.Do(ctx, w)
	switch {
	case err == nil:
		return w.err
	case certainlyNot:
		return err
	}
	return fault.Mark(kv.ErrUnknownOutcome, err)
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	ws := make([]*write, len(writes))
	for i, w := range writes {
		ws[i] = &write{Write: w}
		ws[i].fill()
	}
	for chunk := range batch.Chunks(ws, perStatement, maxValue, (*write).size) {
		d.run(ctx, chunk)
	}
	errs, failed := make([]error, len(ws)), false
	for i, w := range ws {
		errs[i] = w.err
		failed = failed || w.err != nil
	}
	if !failed {
		return nil
	}
	return errs
}

// run makes the writes in one transaction, or each alone if that fails for the
// sake of one of them.
func (d *driver) run(caller context.Context, ws []*write) {
	ctx, cancel := sql.Bound(caller)
	defer cancel()
	err := d.retry(ctx, func() error {
		if d.kind == sql.Postgres && len(ws) == 1 && ws[0].what == put {
			return d.putAlone(ctx, ws[0])
		}
		return d.transact(ctx, ws)
	})
	switch {
	case err == nil:
		d.tail.Poke()
		d.clean()
		return
	case len(ws) > 1 && fault.KindOf(err) == nil && ctx.Err() == nil:
		for _, w := range ws {
			d.run(caller, []*write{w})
		}
		return
	}
	err = sql.Unanswered(caller, err) // rolled back
	for _, w := range ws {
		w.err = err
	}
}

// begin starts a transaction. Its isolation may be the weakest, since the row
// of kv_state lets one writer in at a time.
func (d *driver) begin(ctx context.Context) (*dbsql.Tx, error) {
	var o *dbsql.TxOptions
	if d.kind != sql.SQLite {
		o = &dbsql.TxOptions{Isolation: dbsql.LevelReadCommitted}
	}
	t, err := d.db.BeginTx(ctx, o)
	return t, d.readError(err)
}

func (d *driver) transact(ctx context.Context, ws []*write) error {
	t, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer t.Rollback() // after Commit it does nothing
	rev, now, err := d.next(ctx, t, len(ws))
	if err != nil {
		return d.refused(err)
	}
	rows, err := d.read(ctx, t, ws)
	if err != nil {
		return d.refused(err)
	}
	c := change{rows: rows, now: now, rev: rev - int64(len(ws))}
	for _, w := range ws {
		c.rev++
		c.apply(w)
	}
	if len(c.changed) == 0 {
		return nil
	}
	if err := d.store(ctx, t, c); err != nil {
		return d.refused(err)
	}
	return sql.WriteError(t.Commit())
}

// refused is the error of a statement in a transaction that is rolled back: it
// was not applied.
func (d *driver) refused(err error) error {
	if sql.IsTooLarge(err) {
		return fault.Mark(kv.ErrTooLarge, err)
	}
	return d.readError(err)
}

// counting takes n revisions, says the last of them and the time, and
// notifies the watches of PostgreSQL when the transaction is committed.
func (d *driver) counting(n string) string {
	const update = "UPDATE kv_state SET rev = rev + "
	switch d.kind {
	case sql.MySQL:
		return update + n + " WHERE id = 1"
	case sql.Postgres:
		// The clock is that of the moment in which the row was locked.
		return d.kind.Rebind(update + n + " WHERE id = 1 RETURNING rev, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now, CAST(pg_notify('" + channel + "', '') AS TEXT) AS told")
	}
	return d.kind.Text(update + n + " WHERE id = 1 RETURNING rev, NOW, ''")
}

// next locks kv_state and takes n revisions.
func (d *driver) next(ctx context.Context, t *dbsql.Tx, n int) (last, now int64, err error) {
	var told string
	if d.kind != sql.MySQL {
		err = t.QueryRowContext(ctx, d.count, n).Scan(&last, &now, &told)
		return last, now, err
	}
	if _, err := t.ExecContext(ctx, d.count, n); err != nil {
		return 0, 0, err
	}
	err = t.QueryRowContext(ctx, d.kind.Text("SELECT rev, NOW FROM kv_state WHERE id = 1")).Scan(&last, &now)
	return last, now, err
}

// read returns the rows that the writes depend on, with the value where it
// counts.
func (d *driver) read(ctx context.Context, t *dbsql.Tx, ws []*write) (map[string]row, error) {
	rows := make(map[string]row, len(ws))
	for _, value := range []string{"v", "''"} {
		var keys []any
		for _, w := range ws {
			if w.reads() && (w.what == add) == (value == "v") {
				keys = append(keys, []byte(w.Key))
			}
		}
		if len(keys) == 0 {
			continue
		}
		found, err := t.QueryContext(ctx, d.kind.Text("SELECT k, "+value+", rev, until FROM kv_items WHERE k IN ("+sql.Places(len(keys))+")"), keys...)
		if err != nil {
			return nil, err
		}
		for found.Next() {
			var (
				key []byte
				r   row
			)
			if err := found.Scan(&key, &r.value, &r.rev, &r.until); err != nil {
				found.Close()
				return nil, err
			}
			if _, ok := rows[string(key)]; !ok { // the one with the value came first
				rows[string(key)] = r
			}
		}
		if err := found.Err(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// store writes the rows that have changed.
func (d *driver) store(ctx context.Context, t *dbsql.Tx, c change) error {
	args := make([]any, 0, 4*len(c.changed))
	for key := range c.changed {
		r := c.rows[key]
		args = append(args, []byte(key), r.value, r.rev, r.until)
	}
	set := " ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = excluded.rev, until = excluded.until"
	if d.kind == sql.MySQL {
		set = " ON DUPLICATE KEY UPDATE v = VALUES(v), rev = VALUES(rev), until = VALUES(until)"
	}
	text := "INSERT INTO kv_items (k, v, rev, until) VALUES (?, ?, ?, ?)" + strings.Repeat(", (?, ?, ?, ?)", len(c.changed)-1) + set
	_, err := t.ExecContext(ctx, d.kind.Rebind(text), args...)
	return err
}

// putAlone is a Put in one statement of PostgreSQL. Its conditions are looked at
// again when the row is locked, by which time kv_state is.
func (d *driver) putAlone(ctx context.Context, w *write) error {
	query := "WITH s AS (" + d.counting("1") + ") "
	until := "CASE WHEN $3::bigint = 0 THEN 0 ELSE s.now + $3::bigint END"
	args := []any{[]byte(w.Key), w.Value, millis(w.TTL)}
	if w.IfRevision != 0 {
		query += "UPDATE kv_items i SET v = $2, rev = s.rev, until = " + until + " FROM s WHERE i.k = $1 AND i.rev = $4 AND (i.until = 0 OR i.until > s.now) RETURNING i.rev"
		args = append(args, int64(w.IfRevision))
	} else {
		query += "INSERT INTO kv_items AS i (k, v, rev, until) SELECT $1, $2, s.rev, " + until + " FROM s ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = excluded.rev, until = excluded.until"
		if w.IfAbsent {
			query += " WHERE i.until > 0 AND i.until <= (SELECT now FROM s)"
		}
		query += " RETURNING i.rev"
	}
	var rev int64
	err := d.db.QueryRowContext(ctx, query, args...).Scan(&rev)
	w.rev, w.err = kv.Revision(rev), nil
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dbsql.ErrNoRows) && w.IfAbsent:
		w.err = kv.ErrExists
		return nil
	case errors.Is(err, dbsql.ErrNoRows) && w.IfRevision != 0:
		w.err = kv.ErrConflict
		return nil
	case d.tables.Lost(err):
		return fault.Mark(kv.ErrUnavailable, err)
	case sql.IsTooLarge(err):
		return fault.Mark(kv.ErrTooLarge, err)
	}
	return sql.WriteError(err)
}

// millis is a life as the database counts it: rounded up, and 0 for none.
func millis(ttl time.Duration) int64 {
	ms := int64(ttl / time.Millisecond)
	if ttl%time.Millisecond > 0 && ms < math.MaxInt64/int64(time.Millisecond) {
		ms++
	}
	return ms
}

// row is an item as it is stored.
type row struct {
	value      []byte
	rev, until int64
}

// change is what a transaction does to the rows that it has read.
type change struct {
	rows    map[string]row
	changed map[string]bool
	now     int64
	rev     int64 // of the next write
}

func (c *change) apply(w *write) {
	r, ok := c.rows[w.Key]
	there := ok && (r.until == 0 || r.until > c.now)
	w.rev, w.sum, w.err = 0, 0, nil
	switch {
	case w.IfAbsent && there:
		w.err = kv.ErrExists
		return
	case w.IfRevision != 0 && (!there || r.rev != int64(w.IfRevision)):
		w.err = kv.ErrConflict
		return
	case w.what == remove && !there:
		return
	}
	next := row{value: w.Value, rev: c.rev}
	if w.TTL > 0 {
		next.until = c.now + millis(w.TTL)
	}
	switch w.what {
	case remove:
		next.value, next.until = []byte{}, c.now
	case add:
		old := []byte("0")
		if there {
			old, next.until = r.value, r.until
		}
		w.sum, w.err = kvdriver.AddTo(old, w.delta)
		if w.err != nil {
			return
		}
		next.value = strconv.AppendInt(nil, w.sum, 10)
	}
	if c.changed == nil {
		c.changed = map[string]bool{}
	}
	c.rows[w.Key], c.changed[w.Key] = next, true
	w.rev = kv.Revision(c.rev)
}
