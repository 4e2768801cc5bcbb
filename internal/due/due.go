// Package due keeps what is due at some time: for each name one time, and a value.
package due

import (
	"container/heap"
	"time"
)

// Queue knows which of its entries is due first. It holds no name twice, so its size is
// that of what is still to come, however often that has changed. The zero Queue is
// empty. It is not safe for concurrent use.
type Queue[V any] struct {
	byName map[string]*place[V]
	byTime places[V]
}

// Entry is what Set was given.
type Entry[V any] struct {
	Name  string
	At    time.Time
	Value V
}

// Len returns the number of entries.
func (q *Queue[V]) Len() int { return len(q.byTime) }

// Set makes name due at the given time, whatever it was before.
func (q *Queue[V]) Set(name string, at time.Time, value V) {
	if p := q.byName[name]; p != nil {
		p.At, p.Value = at, value
		heap.Fix(&q.byTime, p.index)
		return
	}
	if q.byName == nil {
		q.byName = map[string]*place[V]{}
	}
	p := &place[V]{Entry: Entry[V]{name, at, value}}
	q.byName[name] = p
	heap.Push(&q.byTime, p)
}

// Get returns the entry of name.
func (q *Queue[V]) Get(name string) (e Entry[V], ok bool) {
	if p := q.byName[name]; p != nil {
		return p.Entry, true
	}
	return e, false
}

// First returns the entry that is due first.
func (q *Queue[V]) First() (e Entry[V], ok bool) {
	if len(q.byTime) == 0 {
		return e, false
	}
	return q.byTime[0].Entry, true
}

// Remove takes the entry of name out.
func (q *Queue[V]) Remove(name string) {
	if p := q.byName[name]; p != nil {
		delete(q.byName, name)
		heap.Remove(&q.byTime, p.index)
	}
}

// place is an entry, and where it is in the heap.
type place[V any] struct {
	Entry[V]
	index int
}

// places is a heap by time, for container/heap.
type places[V any] []*place[V]

func (h places[V]) Len() int           { return len(h) }
func (h places[V]) Less(i, j int) bool { return h[i].At.Before(h[j].At) }
func (h places[V]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *places[V]) Push(v any) {
	p := v.(*place[V])
	p.index = len(*h)
	*h = append(*h, p)
}

func (h *places[V]) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
