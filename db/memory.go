package db

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/micro/go-platform/internal/fault"
)

// WithMemory keeps the tables in this process's memory. It is the default.
// Searches other than by id look at every record of the table, also those that
// an Index serves elsewhere; what no Index serves is refused here too.
func WithMemory() Option {
	return WithDriver("memory", func(context.Context) (Driver, error) { return newMemory(), nil })
}

// memory is tables behind one lock. A transaction collects its writes aside
// and holds the turn of the writers until it ends; readers don't wait for it.
type memory struct {
	turn chan struct{} // holds one value while somebody writes

	mu     sync.RWMutex
	tables map[string]*memTable
}

// memTable has the records by id, and the ids in order.
type memTable struct {
	ids   []string
	rows  map[string]*Record // never changed, only replaced
	floor uint64             // no record that was deleted had a higher version
}

func newMemory() *memory {
	return &memory{turn: make(chan struct{}, 1), tables: map[string]*memTable{}}
}

func (m *memory) Features() Features {
	return Features{
		Transactions: true, Compare: true, Prefix: true, Contains: true, Exists: true,
		Or: true, Not: true, Order: true, Count: true, Immediate: true,
	}
}

func (m *memory) Ping(context.Context) error { return nil }
func (m *memory) Close() error               { return nil }

func (m *memory) Ensure(_ context.Context, t TableSpec) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tables[t.Name] == nil {
		m.tables[t.Name] = &memTable{rows: map[string]*Record{}}
	}
	return nil
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

// decide applies a condition to what is there, and completes r. floor is the
// table's.
func decide(old, r *Record, c Condition, floor uint64) error {
	switch {
	case c.Must == NotExist && old != nil:
		return fault.Exists
	case c.Must == Exist && old == nil:
		return fault.NotFound
	case c.Must == Exist && c.Version != 0 && c.Version != old.Version:
		return fault.Markf(fault.Conflict, "version %d is stored, not %d", old.Version, c.Version)
	}
	r.Version = floor + 1
	if old != nil {
		r.Version, r.Created = old.Version+1, old.Created
	}
	return nil
}

// refuse is decide for a Delete.
func refuse(old *Record, version uint64) error {
	switch {
	case old == nil:
		return fault.NotFound
	case version != 0 && version != old.Version:
		return fault.Markf(fault.Conflict, "version %d is stored, not %d", old.Version, version)
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
	if err := refuse(t.rows[id], version); err != nil {
		return err
	}
	t.set(id, nil)
	return nil
}

// set replaces a record; nil removes it.
func (t *memTable) set(id string, r *Record) {
	i, found := slices.BinarySearch(t.ids, id)
	switch {
	case r == nil && found:
		t.floor = max(t.floor, t.rows[id].Version)
		t.ids = slices.Delete(t.ids, i, i+1)
		delete(t.rows, id)
	case r != nil:
		if !found {
			t.ids = slices.Insert(t.ids, i, id)
		}
		t.rows[id] = r
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
	var found []*Record
	if len(q.Order) == 1 && len(over) == 0 { // by id: in the order that is there
		found = t.walk(q)
	} else {
		for _, id := range t.ids {
			r := t.rows[id]
			if _, ok := over[id]; !ok && q.Filter.Match(r) {
				found = append(found, r)
			}
		}
	}
	m.mu.RUnlock()
	for _, r := range over {
		if r != nil && q.Filter.Match(r) {
			found = append(found, r)
		}
	}
	if len(q.Order) > 1 || len(over) > 0 {
		found = q.cut(found)
	}
	for i, r := range found {
		found[i] = r.Clone()
	}
	return found, nil
}

// walk follows the order of the ids.
func (t *memTable) walk(q Query) []*Record {
	i, step := 0, 1
	if q.Order[0].Desc {
		i, step = len(t.ids)-1, -1
	}
	if q.After != nil {
		at, found := slices.BinarySearch(t.ids, q.After[0].(string))
		switch {
		case step < 0:
			i = at - 1
		case found:
			i = at + 1
		default:
			i = at
		}
	}
	var found []*Record
	for ; i >= 0 && i < len(t.ids) && len(found) < q.Limit; i += step {
		if r := t.rows[t.ids[i]]; q.Filter.Match(r) {
			found = append(found, r)
		}
	}
	return found
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
		after = append(after, SortKey(v))
	}
	for _, r := range records {
		s := sortable{r: r, keys: make([][]byte, len(q.Order))}
		for i, o := range q.Order {
			s.keys[i] = SortKey(ValueOf(r, o.Key))
		}
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
	if f.Op == OpAll {
		return int64(len(t.ids)), nil
	}
	var n int64
	for _, r := range t.rows {
		if f.Match(r) {
			n++
		}
	}
	return n, nil
}
