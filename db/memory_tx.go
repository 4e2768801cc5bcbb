package db

import (
	"context"
	"math"

	"github.com/micro/go-platform/internal/fault"
)

// memTx collects writes until Commit. It holds the turn of the writers, so
// nothing that it reads is changed by another.
type memTx struct {
	m     *memory
	floor map[string]uint64             // by table: the highest version of what the transaction deleted
	over  map[string]map[string]*Record // by table and id; nil: deleted

	before func() error // is called with the locks, and must succeed
}

func (m *memory) Begin(ctx context.Context, _ IsolationLevel) (transaction, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	return &memTx{m: m, floor: map[string]uint64{}, over: map[string]map[string]*Record{}}, nil
}

// see returns a record as the transaction sees it, or nil.
func (x *memTx) see(table, id string) *Record {
	if r, ok := x.over[table][id]; ok {
		return r
	}
	x.m.mu.RLock()
	defer x.m.mu.RUnlock()
	return x.m.tables[table].rows[id]
}

// lowest is the version that new records are above.
func (x *memTx) lowest(table string) uint64 {
	x.m.mu.RLock()
	defer x.m.mu.RUnlock()
	return max(x.floor[table], x.m.tables[table].floor)
}

func (x *memTx) lay(table, id string, r *Record) {
	if x.over[table] == nil {
		x.over[table] = map[string]*Record{}
	}
	x.over[table][id] = r
}

func (x *memTx) Get(ctx context.Context, table, id string) (*Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := x.see(table, id)
	if r == nil {
		return nil, fault.NotFound
	}
	return r.Clone(), nil
}

func (x *memTx) Put(ctx context.Context, table string, r *Record, c Condition) error {
	if err := decide(x.see(table, r.ID), r, c, x.lowest(table)); err != nil {
		return err
	}
	x.lay(table, r.ID, r.Clone())
	return ctx.Err()
}

func (x *memTx) Delete(ctx context.Context, table, id string, version uint64) error {
	old := x.see(table, id)
	if err := (Condition{Must: Exist, Version: version}).check(old); err != nil {
		return err
	}
	x.floor[table] = max(x.floor[table], old.Version)
	x.lay(table, id, nil)
	return ctx.Err()
}

func (x *memTx) Query(ctx context.Context, table string, q Query) ([]*Record, error) {
	return x.m.query(ctx, table, q, x.over[table])
}

func (x *memTx) Count(ctx context.Context, table string, f Filter) (int64, error) {
	if len(x.over[table]) == 0 {
		return x.m.Count(ctx, table, f)
	}
	rs, err := x.m.query(ctx, table, Query{Filter: f, Order: []Order{{Key: FieldID}}, Limit: math.MaxInt}, x.over[table])
	return int64(len(rs)), err
}

func (x *memTx) Commit(context.Context) error {
	defer x.m.unlock()
	x.m.mu.Lock()
	defer x.m.mu.Unlock()
	if x.before != nil {
		if err := x.before(); err != nil {
			return err
		}
	}
	for table, rows := range x.over {
		t := x.m.tables[table]
		t.floor = max(t.floor, x.floor[table])
		for id, r := range rows {
			t.set(id, r)
		}
	}
	return nil
}

func (x *memTx) Rollback(context.Context) error {
	x.m.unlock()
	return nil
}
