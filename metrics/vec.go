package metrics

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Vec is an instrument with labels: one T for each combination of values. It
// is safe for concurrent use.
type Vec[T any] struct {
	family *family  // nil if the instrument was refused
	fixed  []string // the values of the scope's labels
	keys   int      // how many values With takes
	wrap   func(*series) T
	none   T
	seed   maphash.Seed

	mu    sync.Mutex // guards changes of table
	table atomic.Pointer[table[T]]
}

// table is an open-addressing hash table that is read without a lock: entries
// are only ever added, in place, and a change of size or a deletion makes a
// new table.
type table[T any] struct {
	slots []atomic.Pointer[entry[T]] // a power of two, at most half full
	n     int
}

type entry[T any] struct {
	hash   uint64
	series *series
	values []string
	handle T
}

func newVec[T any](f *family, fixed []string, keys int, wrap func(*series) T, none T) *Vec[T] {
	v := &Vec[T]{family: f, fixed: fixed, keys: keys, wrap: wrap, none: none, seed: maphash.MakeSeed()}
	v.table.Store(&table[T]{slots: make([]atomic.Pointer[entry[T]], 16)})
	return v
}

// With returns the handle for the values of the labels, in the order of the
// keys. It allocates only for a combination that is new; keep the handle where
// that is easy. An empty value leaves the label out. A wrong number of values
// gives a handle that does nothing, and is counted in Stats.Invalid. Over the
// limit of series it is the one of the Overflow series.
func (v *Vec[T]) With(values ...string) T {
	hash := v.hash(values)
	if e := v.table.Load().find(hash, values); e != nil {
		return e.handle
	}
	return v.add(hash, values)
}

func (v *Vec[T]) hash(values []string) uint64 {
	var h uint64
	for _, s := range values {
		hi, lo := bits.Mul64(h^maphash.String(v.seed, s), 0x9e3779b97f4a7c15)
		h = hi ^ lo
	}
	return h
}

func (t *table[T]) find(hash uint64, values []string) *entry[T] {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := t.slots[i].Load()
		if e == nil || e.hash == hash && slices.Equal(e.values, values) {
			return e
		}
	}
}

func (t *table[T]) put(e *entry[T]) {
	mask := uint64(len(t.slots) - 1)
	i := e.hash & mask
	for t.slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	t.slots[i].Store(e)
	t.n++
}

func (v *Vec[T]) add(hash uint64, values []string) T {
	if v.family == nil {
		return v.none
	}
	if len(values) != v.keys {
		v.family.registry.invalid.Add(1)
		return v.none
	}
	defer v.family.registry.words.tell()
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.table.Load()
	if e := t.find(hash, values); e != nil {
		return e.handle
	}
	s, over := v.family.get(v.fixed, values)
	if over {
		return v.wrap(s) // not in the table: that would grow without bound
	}
	if 2*(t.n+1) > len(t.slots) {
		t = v.rebuild(nil)
	}
	e := &entry[T]{hash: hash, series: s, values: make([]string, len(values)), handle: v.wrap(s)}
	for i, s := range values {
		e.values[i] = strings.Clone(s)
	}
	t.put(e)
	return e.handle
}

// rebuild makes a table with room for one more, without one entry and those
// whose series were freed. v.mu is held.
func (v *Vec[T]) rebuild(without *entry[T]) *table[T] {
	old := v.table.Load()
	kept := make([]*entry[T], 0, old.n)
	for i := range old.slots {
		if e := old.slots[i].Load(); e != nil && e != without && !e.series.freed.Load() {
			kept = append(kept, e)
		}
	}
	size := 16
	for size < 2*(len(kept)+1) {
		size *= 2
	}
	t := &table[T]{slots: make([]atomic.Pointer[entry[T]], size)}
	for _, e := range kept {
		t.put(e)
	}
	v.table.Store(t)
	return t
}

// vec is a Vec of any instrument.
type vec interface {
	sweep() (empty bool)
}

// sweep drops the handles of series that were freed.
func (v *Vec[T]) sweep() (empty bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rebuild(nil).n == 0
}

// Delete removes a series and reports whether there was one. Handles to it
// still work, but nobody sees what they count; With begins a new one.
func (v *Vec[T]) Delete(values ...string) bool {
	if v.family == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.table.Load()
	if e := t.find(v.hash(values), values); e != nil {
		v.rebuild(e)
	}
	return v.family.remove(v.fixed, values)
}
