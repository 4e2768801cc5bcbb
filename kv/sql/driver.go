package sql

import (
	"context"
	dbsql "database/sql"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// driver implements kv.Driver.
type driver struct {
	db   *sql.DB
	kind sql.Kind

	tables sql.Tables

	get    string                     // statements that are needed often
	quick  atomic.Pointer[dbsql.Stmt] // get, for SQLite: others' clients keep it prepared, or send it with its arguments
	count  string
	writes batch.Group[write]
	stop   context.CancelFunc // of writes that nobody waits for

	tail sql.Tail[state]

	cleaned  atomic.Int64 // when dead rows were last removed, as UnixNano
	cleaning sync.WaitGroup
}

const (
	maxValue = 1 << 20
	channel  = "kv_items" // of PostgreSQL's notifications
)

func newDriver(db *sql.DB) *driver {
	d := &driver{db: db, kind: db.Kind}
	d.tables = sql.Tables{DB: db, Statements: d.schema(), There: func(ctx context.Context) error {
		_, err := d.ask(ctx)
		return err
	}}
	d.get = d.kind.Text("SELECT " + columns + " FROM kv_items WHERE k = ? AND " + alive)
	d.count = d.counting("?")
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	lanes := 2 // the row of kv_state lets one in, while another is on its way to it
	if d.kind == sql.SQLite {
		lanes = 1
	}
	d.writes = batch.Group[write]{
		Run: d.run, Max: perStatement, MaxBytes: maxValue, Size: (*write).size, Queued: (*write).own, Context: ctx, MaxLanes: lanes,
	}
	d.tail = sql.Tail[state]{DB: db, Channel: channel, Ask: d.ask, Slowest: 250 * time.Millisecond}
	d.cleaned.Store(time.Now().UnixNano())
	return d
}

func (d *driver) Features() kv.Features {
	return kv.Features{
		List: true, Watch: true, Batch: true, Counter: true, Versions: true, Linearizable: true,
		Durable: d.db.Durable(), Shared: d.db.Durable(), ExpiryStep: time.Millisecond, MaxValue: maxValue,
	}
}

func (d *driver) Ping(ctx context.Context) error { return d.db.Ping(ctx) }

func (d *driver) Close() error {
	d.stop()
	d.writes.Wait()
	d.cleaning.Wait()
	d.tail.Close()
	if s := d.quick.Load(); s != nil {
		_ = s.Close()
	}
	return d.db.Close()
}

// columns of an item, and the time at which they are read. alive is true of
// items that are there.
const (
	columns = "k, v, rev, until, NOW"
	alive   = "(until = 0 OR until > NOW)"
)

func (d *driver) schema() []string {
	some := " WHERE until > 0"
	if d.kind == sql.MySQL { // it indexes all rows or none
		some = ""
	}
	return []string{
		"CREATE TABLE IF NOT EXISTS kv_items (k {bytes 1024} NOT NULL PRIMARY KEY, v {bytes} NOT NULL, rev BIGINT NOT NULL, until BIGINT NOT NULL)",
		"CREATE INDEX IF NOT EXISTS kv_items_rev ON kv_items (rev)",
		"CREATE INDEX IF NOT EXISTS kv_items_until ON kv_items (until)" + some,
		"CREATE TABLE IF NOT EXISTS kv_state (id INTEGER NOT NULL PRIMARY KEY, rev BIGINT NOT NULL, cleaned BIGINT NOT NULL)",
		// After a loss of the tables revisions are larger than those before it.
		"INSERT INTO kv_state (id, rev, cleaned) VALUES (1, NOW, 0)",
	}
}

// state is the newest revision, and that up to which dead rows may be missing.
type state struct{ rev, cleaned int64 }

func (d *driver) ask(ctx context.Context) (s state, err error) {
	err = d.db.Read.QueryRowContext(ctx, "SELECT rev, cleaned FROM kv_state WHERE id = 1").Scan(&s.rev, &s.cleaned)
	if err != nil {
		return s, d.readError(err)
	}
	return s, nil
}

// readError gives the error of a statement that changes nothing its kind.
func (d *driver) readError(err error) error {
	if d.tables.Lost(err) {
		return fault.Mark(kv.ErrUnavailable, err)
	}
	return sql.ReadError(err)
}

// retry runs f again while it collides with another writer.
func (d *driver) retry(ctx context.Context, f func() error) error {
	if err := d.tables.Make(ctx); err != nil {
		return err
	}
	return sql.Retry(ctx, f)
}
