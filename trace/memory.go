package trace

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Store is a store of the newest spans in this process, and the reporter that
// fills it. It is safe for concurrent use.
type Store struct {
	max int
	age time.Duration

	mu     sync.Mutex
	traces map[TraceID]*list.Element // of *stored
	order  *list.List                // the trace that was last added to is at the back
	spans  int
}

type stored struct {
	id    TraceID
	spans []SpanData
	added time.Time
}

// NewStore returns a store of at most spans (0 means 10000), none of a trace
// that got its last span longer than age ago (0 means any age). Whole traces
// leave it, the ones that were not added to for longest first.
func NewStore(spans int, age time.Duration) *Store {
	if spans <= 0 {
		spans = 10_000
	}
	return &Store{max: spans, age: age, traces: map[TraceID]*list.Element{}, order: list.New()}
}

// Memory reports to m, which several tracers may share.
func Memory(m *Store) Option {
	return func(o *options) error {
		if m == nil {
			return fault.Markf(ErrInvalid, "Memory(nil)")
		}
		return WithDriver("memory", func(context.Context) (Driver, error) { return m, nil })(o)
	}
}

// Report stores spans.
func (m *Store) Report(_ context.Context, spans []SpanData) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, s := range spans {
		e := m.traces[s.Context.TraceID]
		if e == nil {
			e = m.order.PushBack(&stored{id: s.Context.TraceID})
			m.traces[s.Context.TraceID] = e
		}
		t := e.Value.(*stored)
		if len(t.spans) == m.max { // one trace may not have all and grow
			t.spans = append(t.spans[:0], t.spans[1:]...)
			m.spans--
		}
		t.spans, t.added = append(t.spans, s), now
		m.order.MoveToBack(e)
		m.spans++
	}
	for m.spans > m.max {
		m.remove(m.order.Front())
	}
	m.expire(now)
	return len(spans), nil
}

func (m *Store) remove(e *list.Element) {
	t := m.order.Remove(e).(*stored)
	delete(m.traces, t.id)
	m.spans -= len(t.spans)
}

func (m *Store) expire(now time.Time) {
	if m.age <= 0 {
		return
	}
	for e := m.order.Front(); e != nil && now.Sub(e.Value.(*stored).added) > m.age; e = m.order.Front() {
		m.remove(e)
	}
}

// Trace returns what is known of one trace.
func (m *Store) Trace(id TraceID) (Trace, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(time.Now())
	if e, ok := m.traces[id]; ok {
		return NewTrace(id, e.Value.(*stored).spans), true
	}
	return Trace{}, false
}

// Search returns the traces that q selects. Pages don't overlap, also while
// traces are added.
func (m *Store) Search(_ context.Context, q Query) (Page, error) {
	m.mu.Lock()
	m.expire(time.Now())
	var found []Trace
	if !q.TraceID.IsZero() {
		if e, ok := m.traces[q.TraceID]; ok && q.selects(e.Value.(*stored).spans) {
			found = append(found, NewTrace(q.TraceID, e.Value.(*stored).spans))
		}
	} else {
		for e := m.order.Front(); e != nil; e = e.Next() {
			if t := e.Value.(*stored); q.selects(t.spans) {
				found = append(found, NewTrace(t.id, t.spans))
			}
		}
	}
	m.mu.Unlock()
	return Paginate(found, q)
}

// Len returns how many spans are stored.
func (m *Store) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spans
}

// Reset forgets all spans.
func (m *Store) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.traces, m.spans = map[TraceID]*list.Element{}, 0
	m.order.Init()
}

// Ping returns nil.
func (m *Store) Ping(context.Context) error { return nil }

// Close returns nil; the spans stay.
func (m *Store) Close() error { return nil }
