package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// driver implements discovery.Driver.
type driver struct {
	db   *sql.DB
	kind sql.Kind

	made   atomic.Bool // the tables are there
	making sync.Mutex

	leases *leases
	tail   sql.Tail[counts]
	ends   ends

	stop     context.CancelFunc // of cleaning
	cleaner  context.Context
	cleaned  atomic.Int64 // when old rows were last removed, as UnixNano
	cleaning sync.WaitGroup
}

// stripes is how many rows services share. Two services of one stripe wait for
// each other for the time of a transaction, and wake each other's readers.
const stripes = 64

// counts are those of the stripes: what has changed shows in them.
type counts [stripes]int64

func stripeOf(service string) int {
	h := fnv.New32a()
	h.Write([]byte(service))
	return int(h.Sum32() % stripes)
}

const (
	channel = "discovery_instances"  // of PostgreSQL's notifications
	slowest = 250 * time.Millisecond // between two questions to a database that doesn't notify
)

func newDriver(db *sql.DB) *driver {
	d := &driver{db: db, kind: db.Kind}
	d.cleaner, d.stop = context.WithCancel(context.Background())
	d.leases = &leases{d: d, shared: map[time.Duration]*lease{}, own: map[name]record{}}
	d.tail = sql.Tail[counts]{DB: db, Channel: channel, Ask: d.ask, Slowest: slowest}
	d.ends = ends{dead: map[string]time.Time{}, poke: d.tail.Poke}
	d.cleaned.Store(time.Now().UnixNano())
	return d
}

func (d *driver) Ping(ctx context.Context) error { return d.db.Ping(ctx) }

func (d *driver) Close() error {
	d.stop()
	d.cleaning.Wait()
	d.ends.close()
	d.tail.Close()
	return d.db.Close()
}

// ask is what the tail asks for: what has changed, and who has died.
func (d *driver) ask(ctx context.Context) (counts, error) {
	c, err := d.counts(ctx)
	if err == nil {
		err = d.look(ctx)
	}
	return c, err
}

func (d *driver) counts(ctx context.Context) (c counts, err error) {
	err = d.tables(ctx)
	if err != nil {
		return c, err
	}
	err = d.rows(ctx, "SELECT id, seq FROM discovery_stripes", nil, func(scan func(...any) error) error {
		var id int
		var seq int64
		err := scan(&id, &seq)
		if id >= 0 && id < stripes {
			c[id] = seq
		}
		return err
	})
	return c, err
}

// rows reads rows one after another.
func (d *driver) rows(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := d.db.Read.QueryContext(ctx, d.kind.Text(query), args...)
	if err != nil {
		return d.readError(err)
	}
	defer rows.Close()
	for rows.Next() {
		err := each(rows.Scan)
		if err != nil {
			return d.readError(err)
		}
	}
	return d.readError(rows.Err())
}

// exec runs a statement that may be repeated, so that a lost answer to it is
// nothing, and returns how many rows it found.
func (d *driver) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = d.tables(ctx)
	if err != nil {
		return 0, err
	}
	err = sql.Retry(ctx, func() error {
		r, err := d.db.ExecContext(ctx, d.kind.Text(query), args...)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, d.readError(err)
}

// tables makes what is missing, once.
func (d *driver) tables(ctx context.Context) error {
	if d.made.Load() {
		return nil
	}
	d.making.Lock()
	defer d.making.Unlock()
	if d.made.Load() {
		return nil
	}
	// What is there needs no right to make it.
	var n int
	err := d.db.Read.QueryRowContext(ctx, "SELECT COUNT(*) FROM discovery_stripes").Scan(&n)
	if err == nil && n == stripes {
		d.made.Store(true)
		return nil
	}
	if err != nil && !sql.IsMissing(err) {
		return sql.ReadError(err)
	}
	for _, s := range schema(d.kind) {
		_, err := d.db.ExecContext(ctx, d.kind.Text(s))
		if err != nil && !sql.IsThere(err) && !sql.IsDuplicate(err) {
			return sql.WriteError(err)
		}
	}
	d.made.Store(true)
	return nil
}

func schema(kind sql.Kind) []string {
	name, id, text, end, index := "TEXT", "TEXT", "TEXT", "", "CREATE INDEX IF NOT EXISTS "
	if kind == sql.MySQL {
		// MySQL has no IF NOT EXISTS of an index, and indexes no text without a bound.
		name, id, text, end, index = "VARBINARY(300)", "VARBINARY(255)", "LONGBLOB", " ENGINE=InnoDB", "CREATE INDEX "
	}
	return []string{
		"CREATE TABLE IF NOT EXISTS discovery_instances (service " + name + " NOT NULL, id " + id + " NOT NULL, owner " + id + " NOT NULL, lease " + id +
			" NOT NULL, gone BIGINT NOT NULL, entry " + text + " NOT NULL, PRIMARY KEY (service, id))" + end,
		index + "discovery_instances_lease ON discovery_instances (lease)",
		"CREATE TABLE IF NOT EXISTS discovery_leases (id " + id + " NOT NULL PRIMARY KEY, until BIGINT NOT NULL)" + end,
		index + "discovery_leases_until ON discovery_leases (until)",
		"CREATE TABLE IF NOT EXISTS discovery_stripes (id INTEGER NOT NULL PRIMARY KEY, seq BIGINT NOT NULL)" + end,
		// The last, all or none, so that they say that all is there.
		"INSERT INTO discovery_stripes (id, seq) VALUES " + stripeRows(),
	}
}

// stripeRows is "(0, NOW), (1, NOW)" and so on: after a loss of data no count is
// as it was before.
func stripeRows() string {
	rows := make([]string, stripes)
	for i := range rows {
		rows[i] = "(" + strconv.Itoa(i) + ", NOW)"
	}
	return strings.Join(rows, ", ")
}

// readError gives the error of a statement that changes nothing its kind.
func (d *driver) readError(err error) error {
	d.missing(err)
	return sql.ReadError(err)
}

// missing forgets that the tables are there when they are not, as after a
// loss of data.
func (d *driver) missing(err error) {
	if err != nil && (sql.IsMissing(err) || errors.Is(err, dbsql.ErrNoRows)) {
		d.made.Store(false)
	}
}

// tx is a transaction that has locked the stripe of a service.
type tx struct {
	*dbsql.Tx
	d   *driver
	now int64 // the database's clock, after the stripe was locked
}

// in runs f in a transaction that has locked the stripe of a service, again when
// it collides with another. If f returns an error, nothing was done.
func (d *driver) in(ctx context.Context, service string, f func(t *tx) error) error {
	err := d.tables(ctx)
	if err != nil {
		return err
	}
	return sql.Retry(ctx, func() error { return d.once(ctx, service, f) })
}

func (d *driver) once(ctx context.Context, service string, f func(t *tx) error) error {
	var o *dbsql.TxOptions
	if d.kind != sql.SQLite {
		o = &dbsql.TxOptions{Isolation: dbsql.LevelReadCommitted}
	}
	inner, err := d.db.BeginTx(ctx, o)
	if err != nil {
		return d.readError(err)
	}
	defer inner.Rollback() // after Commit it does nothing
	t := &tx{Tx: inner, d: d}
	err = t.lock(ctx, stripeOf(service))
	if err == nil {
		err = f(t)
	}
	if err != nil {
		if fault.KindOf(err) != nil || errors.Is(err, errEnded) || errors.Is(err, errNobody) {
			return err
		}
		return d.readError(err)
	}
	err = inner.Commit()
	if err != nil {
		return sql.WriteError(err)
	}
	d.tail.Poke()
	return nil
}

// lock locks a stripe. PostgreSQL needn't wait for its disk, and holds up nobody
// meanwhile: what a crash loses is noticed by a heartbeat.
func (t *tx) lock(ctx context.Context, stripe int) error {
	const update = "UPDATE discovery_stripes SET seq = seq + 1 WHERE id = ?"
	switch t.d.kind {
	case sql.MySQL:
		_, err := t.ExecContext(ctx, update, stripe)
		if err != nil {
			return err
		}
		return t.QueryRowContext(ctx, t.d.kind.Text("SELECT NOW FROM discovery_stripes WHERE id = ?"), stripe).Scan(&t.now)
	case sql.Postgres:
		var told, set string
		return t.QueryRowContext(ctx, t.d.kind.Rebind(update)+" RETURNING CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), CAST(pg_notify('"+channel+"', '') AS TEXT), set_config('synchronous_commit', 'off', true)", stripe).Scan(&t.now, &told, &set)
	}
	return t.QueryRowContext(ctx, t.d.kind.Text(update+" RETURNING NOW"), stripe).Scan(&t.now)
}

func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, t.d.kind.Text(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (d *driver) Services(ctx context.Context) (names []string, err error) {
	err = d.tables(ctx)
	if err != nil {
		return nil, err
	}
	err = d.rows(ctx, "SELECT DISTINCT i.service FROM discovery_instances i JOIN discovery_leases l ON l.id = i.lease WHERE i.gone = 0 AND l.until > NOW", nil,
		func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	return names, err
}

var _ discovery.Driver = (*driver)(nil)
