package metrics

import (
	"sync"
	"sync/atomic"
	"time"
)

// Exemplar is one observation with the span in which it was made, for whoever
// wants to see a call behind a number. The zero value is none.
type Exemplar struct {
	Value   float64
	Time    time.Time
	TraceID [16]byte
	SpanID  [8]byte
}

// exemplars keeps the newest observation of each bucket that was made in a
// sampled span. It takes no memory before the first.
type exemplars struct {
	slots atomic.Pointer[[]slot]
}

// slot is written in place, so that an observation does not allocate.
type slot struct {
	mu    sync.Mutex
	nanos int64 // 0: none
	value float64
	trace [16]byte
	span  [8]byte
}

// keep stores an observation of bucket i of n. Where several write at once, one
// of them wins: each is as good.
func (e *exemplars) keep(i, n int, v float64, trace [16]byte, span [8]byte) {
	slots := e.slots.Load()
	if slots == nil {
		made := make([]slot, n)
		if !e.slots.CompareAndSwap(nil, &made) {
			slots = e.slots.Load()
		} else {
			slots = &made
		}
	}
	s := &(*slots)[i]
	if !s.mu.TryLock() {
		return
	}
	s.nanos, s.value, s.trace, s.span = time.Now().UnixNano(), v, trace, span
	s.mu.Unlock()
}

// snapshot returns one exemplar for each bucket, or nil if there is none at all.
func (e *exemplars) snapshot() []Exemplar {
	slots := e.slots.Load()
	if slots == nil {
		return nil
	}
	all := make([]Exemplar, len(*slots))
	for i := range *slots {
		s := &(*slots)[i]
		s.mu.Lock()
		if s.nanos != 0 {
			all[i] = Exemplar{s.value, time.Unix(0, s.nanos), s.trace, s.span}
		}
		s.mu.Unlock()
	}
	return all
}
