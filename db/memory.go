package db

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// Memory keeps the tables in this process's memory. It is the default. Its
// indexes are as real as a database's: each costs memory and a little of every
// write.
func Memory() Option {
	return WithDriver("memory", func(context.Context) (Driver, error) { return newMemory(), nil })
}

// memory is tables behind one lock. A transaction collects its writes aside
// and holds the turn of the writers until it ends; readers don't wait for it.
type memory struct {
	turn chan struct{} // holds one value while somebody writes

	mu     sync.RWMutex
	tables map[string]*memTable
}

// memTable has the records by id, and in the order of each index.
type memTable struct {
	rows    map[string]*Record // never changed, only replaced
	byID    *memIndex
	indexes []*memIndex // those of builtin first, then those declared
	lists   postings
	texts   []*textIndex
	floor   uint64 // no record that was deleted had a higher version
}

func newMemTable() *memTable {
	t := &memTable{rows: map[string]*Record{}, byID: newMemIndex(nil), lists: newElements()}
	for _, keys := range builtin {
		t.indexes = append(t.indexes, newMemIndex(keys))
	}
	return t
}

func newMemory() *memory {
	return &memory{turn: make(chan struct{}, 1), tables: map[string]*memTable{}}
}

func (m *memory) Features() Features {
	return Features{
		Transactions: true, Compare: true, Prefix: true, Contains: true, Exists: true,
		Or: true, Not: true, Order: true, Count: true, FullText: true, Immediate: true,
	}
}

func (m *memory) Ping(context.Context) error { return nil }
func (m *memory) Close() error               { return nil }

func (m *memory) Ensure(ctx context.Context, t TableSpec) error {
	for _, keys := range t.Indexes {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.build(t, keys)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	table := m.table(t.Name)
	for _, key := range t.FullText {
		if !slices.ContainsFunc(table.texts, func(x *textIndex) bool { return x.key == key }) {
			x := newTextIndex(key)
			for r := range table.byID.walk(span{}, false) {
				x.replace(nil, r)
			}
			table.texts = append(table.texts, x)
		}
	}
	return nil
}

// table returns a table, and makes it if it isn't there.
func (m *memory) table(name string) *memTable {
	t := m.tables[name]
	if t == nil {
		t = newMemTable()
		m.tables[name] = t
	}
	return t
}

// build makes an index that a table lacks. Readers and writers wait, for a few
// microseconds a record.
func (m *memory) build(spec TableSpec, keys []Order) {
	m.mu.RLock()
	t := m.tables[spec.Name]
	there := t != nil && t.index(keys) != nil
	p := IndexProgress{Index: indexName(keys)}
	if t != nil {
		p.Total = int64(len(t.rows))
	}
	m.mu.RUnlock()
	if there {
		return
	}
	tell := func() {
		if spec.Progress != nil && p.Total > 0 {
			spec.Progress(p)
		}
	}
	tell()
	start := time.Now()
	m.mu.Lock()
	if t := m.table(spec.Name); t.index(keys) == nil {
		x := newMemIndex(keys)
		for r := range t.byID.walk(span{}, false) {
			x.replace(nil, r)
		}
		t.indexes = append(t.indexes, x)
		p.Total = int64(len(t.rows))
	}
	m.mu.Unlock()
	p.Done, p.Elapsed, p.Ready = p.Total, time.Since(start), true
	tell()
}

// index returns the index over keys, or nil.
func (t *memTable) index(keys []Order) *memIndex {
	for _, x := range t.indexes {
		if slices.Equal(x.keys[:len(x.keys)-1], keys) {
			return x
		}
	}
	return nil
}

func (m *memory) HasIndex(_ context.Context, table string, keys []Order) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t := m.tables[table]
	return t != nil && t.index(keys) != nil, nil
}

// lock takes the turn of the writers, or gives up with ctx.
func (m *memory) lock(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) unlock() { <-m.turn }

func (m *memory) Get(ctx context.Context, table, id string) (*Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	r := m.tables[table].rows[id]
	m.mu.RUnlock()
	if r == nil {
		return nil, fault.NotFound
	}
	return r.Clone(), nil
}

// check applies the condition to what is there.
func (c Condition) check(old *Record) error {
	switch {
	case c.Must == NotExist && old != nil:
		return fault.Exists
	case c.Must == Exist && old == nil:
		return fault.NotFound
	case c.Must == Exist && c.Version != 0 && c.Version != old.Version:
		return dbvalue.Conflict(old.Version, c.Version)
	}
	return nil
}

// decide applies a condition to what is there, and completes r. floor is the
// table's.
func decide(old, r *Record, c Condition, floor uint64) error {
	if err := c.check(old); err != nil {
		return err
	}
	r.Version = floor + 1
	if old != nil {
		r.Version, r.Created = old.Version+1, old.Created
	}
	return nil
}

func (m *memory) Put(ctx context.Context, table string, r *Record, c Condition) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[table]
	if err := decide(t.rows[r.ID], r, c, t.floor); err != nil {
		return err
	}
	t.set(r.ID, r.Clone())
	return nil
}

func (m *memory) Delete(ctx context.Context, table, id string, version uint64) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[table]
	if err := (Condition{Must: Exist, Version: version}).check(t.rows[id]); err != nil {
		return err
	}
	t.set(id, nil)
	return nil
}

// set replaces a record; nil removes it.
func (t *memTable) set(id string, r *Record) {
	old := t.rows[id]
	switch {
	case r == nil && old == nil:
		return
	case r == nil:
		t.floor = max(t.floor, old.Version)
		delete(t.rows, id)
	default:
		t.rows[id] = r
	}
	t.byID.replace(old, r)
	for _, x := range t.indexes {
		x.replace(old, r)
	}
	t.lists.replace(old, r)
	for _, x := range t.texts {
		x.replace(old, r)
	}
}

func (m *memory) Query(ctx context.Context, table string, q Query) ([]*Record, error) {
	return m.query(ctx, table, q, nil)
}

// query searches a table as it looks with changes laid over it.
func (m *memory) query(ctx context.Context, table string, q Query, over map[string]*Record) ([]*Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	t := m.tables[table]
	found := t.page(q, t.plan(q), over)
	m.mu.RUnlock()
	if len(over) > 0 {
		for _, r := range over {
			if r != nil && q.Filter.Match(r) {
				found = append(found, r)
			}
		}
		found = q.cut(found)
	}
	for i, r := range found {
		found[i] = r.Clone()
	}
	return found, nil
}

// cut sorts records, and keeps those of the page.
func (q Query) cut(records []*Record) []*Record {
	type sortable struct {
		r    *Record
		keys [][]byte
	}
	all := make([]sortable, 0, len(records))
	var after [][]byte
	for _, v := range q.After {
		after = append(after, dbvalue.SortKey(v))
	}
	for _, r := range records {
		s := sortable{r: r, keys: q.sortKeys(r)}
		if after == nil || q.compare(s.keys, after) > 0 {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b sortable) int { return q.compare(a.keys, b.keys) })
	page := make([]*Record, 0, min(len(all), q.Limit))
	for _, s := range all[:min(len(all), q.Limit)] {
		page = append(page, s.r)
	}
	return page
}

func (q Query) compare(a, b [][]byte) int {
	for i, o := range q.Order {
		if c := bytes.Compare(a[i], b[i]); c != 0 {
			if o.Desc {
				return -c
			}
			return c
		}
	}
	return 0
}

func (m *memory) Count(ctx context.Context, table string, f Filter) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	t := m.tables[table]
	if len(f.Conjuncts()) == 0 {
		return int64(len(t.rows)), nil
	}
	var n int64
	for r := range t.plan(Query{Filter: f}).records() {
		if f.Match(r) {
			n++
		}
	}
	return n, nil
}
