package sql

import (
	"context"
	"sync"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/conn/sql"
)

// driver is a database with tables.
type driver struct {
	pool    *sql.DB
	kind    sql.Kind
	c       config
	durable bool
	read    *statements
	write   *statements

	mu     sync.RWMutex
	tables map[string]*table // by the name that db gives
}

var (
	_ dbdriver.Transactor = (*driver)(nil)
	_ dbdriver.Explainer  = (*driver)(nil)
	_ dbdriver.Indexer    = (*driver)(nil)
	_ dbdriver.Executor   = (*transaction)(nil)
	_ dbdriver.Explainer  = (*transaction)(nil)
)

func newDriver(pool *sql.DB, c config) *driver {
	d := &driver{pool: pool, kind: pool.Kind, c: c, durable: pool.Durable(), tables: map[string]*table{}}
	d.write = &statements{pool: pool.DB, keep: d.kind == sql.SQLite}
	d.read = d.write
	if pool.Read != pool.DB {
		d.read = &statements{pool: pool.Read, keep: true}
	}
	return d
}

func (d *driver) Features() db.Features {
	return db.Features{
		Durable: d.durable, Shared: d.durable, Transactions: true, Compare: true, Prefix: true,
		Contains: true, Exists: true, Or: true, Not: true, Order: true, Count: true, FullText: true, Immediate: true,
	}
}

func (d *driver) Ping(ctx context.Context) error { return d.pool.Ping(ctx) }

func (d *driver) Close() error {
	d.read.close()
	d.write.close()
	return d.pool.Close()
}
