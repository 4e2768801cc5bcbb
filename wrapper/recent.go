package wrapper

import (
	"sync"
	"sync/atomic"
)

// recentMax bounds each of the two generations of a recent.
const recentMax = 512

// recent keeps what belongs to names that strangers may choose: what was used
// last stays, however many names there are. When the new generation is full
// the old one is dropped, so it holds at most twice recentMax values, and any
// name that is among the last recentMax used. It is safe for concurrent use.
type recent[T any] struct {
	mu       sync.Mutex
	count    int
	new, old atomic.Pointer[sync.Map]
	dropped  func(T) // told what is dropped; may be nil
}

// get returns the value of a name, made by newValue if there is none.
func (r *recent[T]) get(name string, newValue func(name string) T) T {
	if m := r.new.Load(); m != nil {
		if v, ok := m.Load(name); ok {
			return v.(T)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.new.Load()
	if m == nil || r.count >= recentMax {
		r.turn(m)
		m = r.new.Load()
	}
	if v, ok := m.Load(name); ok {
		return v.(T)
	}
	var v T
	if old := r.old.Load(); old != nil {
		if kept, ok := old.LoadAndDelete(name); ok {
			v = kept.(T)
			m.Store(name, v)
			r.count++
			return v
		}
	}
	v = newValue(name)
	m.Store(name, v)
	r.count++
	return v
}

// turn makes the new generation the old one.
func (r *recent[T]) turn(m *sync.Map) {
	if old := r.old.Swap(m); old != nil && r.dropped != nil {
		old.Range(func(_, v any) bool { r.dropped(v.(T)); return true })
	}
	r.new.Store(&sync.Map{})
	r.count = 0
}

// each calls f with all values.
func (r *recent[T]) each(f func(T)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range []*sync.Map{r.new.Load(), r.old.Load()} {
		if m != nil {
			m.Range(func(_, v any) bool { f(v.(T)); return true })
		}
	}
}
