package sql_test

import (
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/sql"
)

// gate is a database driver that holds up one look at the queue.
type gate struct {
	driver.Driver
	dsn   string
	armed atomic.Bool
	came  chan struct{}
	pass  chan struct{}
}

func (g *gate) Connect(context.Context) (driver.Conn, error) {
	c, err := g.Driver.Open(g.dsn)
	return &gated{Conn: c, g: g}, err
}

type gated struct {
	driver.Conn
	g  *gate
	tx bool // a transaction has begun on it
}

// PrepareContext stops at the gate outside of transactions alone: within one the
// connection keeps all others from writing.
func (c *gated) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if !c.tx && strings.HasPrefix(query, "SELECT nonce") && c.g.armed.CompareAndSwap(true, false) {
		c.g.came <- struct{}{}
		<-c.g.pass
	}
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *gated) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.tx = true
	return ended{tx, c}, nil
}

// ended notes the end of a transaction.
type ended struct {
	driver.Tx
	c *gated
}

func (e ended) Commit() error   { e.c.tx = false; return e.Tx.Commit() }
func (e ended) Rollback() error { e.c.tx = false; return e.Tx.Rollback() }

func (g *gate) open(t *testing.T) *dbsql.DB {
	db := dbsql.OpenDB(connector{g})
	t.Cleanup(func() { db.Close() })
	return db
}

type connector struct{ *gate }

func (c connector) Driver() driver.Driver { return c.gate.Driver }

// TestALateTurnIsNone: a waiter that is held up until its place in the queue has
// ended, and the next one holds, does not get the lock too.
func TestALateTurnIsNone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "locks.db")
	dsn := "file:" + file + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_txlock=immediate"
	plain, err := dbsql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	g := &gate{Driver: plain.Driver(), dsn: dsn, pass: make(chan struct{}), came: make(chan struct{})}
	ns := dsync.WithNamespace(servertest.Namespace(t))
	open := func(backend dsync.Option) dsync.Sync {
		s, err := dsync.New(backend, ns, dsync.WithTimeout(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	holder, next := open(sql.SQLite(file)), open(sql.SQLite(file))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	held, err := holder.Lock(ctx, "x", dsync.TTL(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}

	late := open(sql.On(enginesql.FromDB(enginesql.SQLite, g.open(t))))
	pass := sync.OnceFunc(func() { close(g.pass) })
	t.Cleanup(pass) // before late is closed, which waits for its callers
	const ttl = 500 * time.Millisecond
	type result struct {
		lock dsync.Lock
		err  error
	}
	answer := make(chan result, 1)
	go func() {
		l, err := late.Lock(ctx, "x", dsync.TTL(ttl))
		answer <- result{l, err}
	}()
	for queued := 0; queued < 2; <-time.After(time.Millisecond) {
		if err := plain.QueryRow("SELECT COUNT(*) FROM sync_claims").Scan(&queued); err != nil {
			t.Fatal(err)
		}
	}
	behind := make(chan result, 1)
	go func() {
		l, err := next.Lock(ctx, "x", dsync.TTL(10*time.Second))
		behind <- result{l, err}
	}()
	for queued := 0; queued < 3; <-time.After(time.Millisecond) {
		if err := plain.QueryRow("SELECT COUNT(*) FROM sync_claims").Scan(&queued); err != nil {
			t.Fatal(err)
		}
	}
	g.armed.Store(true)
	<-g.came // it has renewed its place, and looks who is before it
	if err := held.Unlock(ctx); err != nil {
		t.Fatal(err)
	}
	r := <-behind
	if r.err != nil {
		t.Fatal(r.err)
	}
	pass()
	select {
	case l := <-answer:
		if l.err == nil && r.lock.Context().Err() == nil {
			t.Errorf("two hold the lock, with the tokens %d and %d", l.lock.Token(), r.lock.Token())
		}
	case <-time.After(2 * ttl): // or it waits
	}
	if err := r.lock.Unlock(ctx); err != nil {
		t.Error(err)
	}
	cancel()
}
