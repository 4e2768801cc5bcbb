package metrics

import (
	"context"
	"maps"
	"math"
	"sync/atomic"
	"time"
)

// How a series is freed while handles to it may be in use, without a lock in
// them: each number that a handle changes gets a mark, gone, by a
// compare-and-swap that fails if it was changed. From then on whoever changes
// the number sees the mark in the result of its own atomic operation, and asks
// the family under its lock: see instruments.go. The series then comes back, or
// what was counted goes to the one that has taken its place.

// gone is the mark of a freed counter and of a freed histogram's buckets. They
// never count that far.
const gone = 1 << 63

// goneGauge is the mark of a freed gauge, one of the NaNs, which no gauge holds.
const goneGauge = 0x7ff8_6f6e_6521_0001

// use is when a series was last used.
type use struct {
	freed atomic.Bool // written under family.mu
	since time.Time   // when a sweep last found another state
	state uint64      // that it found
}

// sweep frees idle series until ctx ends.
func (f *front) sweep(ctx context.Context, idle time.Duration) {
	ticker := time.NewTicker(max(idle/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := time.Now()
			f.registry.sweep(now, idle, f.exported(now))
		}
	}
}

// exported returns up to when all push backends have what was counted.
func (f *front) exported(now time.Time) time.Time {
	for _, e := range f.exporters {
		e.mu.Lock()
		if e.good.Before(now) {
			now = e.good
		}
		e.mu.Unlock()
	}
	return now
}

func (r *registry) sweep(now time.Time, idle time.Duration, exported time.Time) {
	r.mu.Lock()
	families := make([]*family, 0, len(r.families))
	for _, f := range r.families {
		if len(f.keys) > r.common {
			families = append(families, f)
		}
	}
	r.mu.Unlock()
	for _, f := range families {
		f.sweep(now, idle, exported)
	}
}

func (f *family) sweep(now time.Time, idle time.Duration, exported time.Time) {
	f.mu.Lock()
	freed := 0
	for key, s := range f.series {
		if s.read != nil {
			continue
		}
		if state := s.count(); state != s.state {
			s.state, s.since = state, time.Now() // not before it was read: see exported
			continue
		}
		if now.Sub(s.since) < idle || !s.since.Before(exported) || !s.free() {
			continue
		}
		s.freed.Store(true)
		f.put(key, nil)
		freed++
	}
	vecs := maps.Clone(f.vecs)
	f.mu.Unlock()
	if freed == 0 {
		return
	}
	f.registry.freed.Add(uint64(freed))
	for key, v := range vecs { // not under f.mu: With takes the locks the other way round
		if v.sweep() {
			f.mu.Lock()
			delete(f.vecs, key) // of a scope that nobody uses; one who does has it still
			f.mu.Unlock()
		}
	}
}

// count returns a number that is another one after every use.
func (s *series) count() (n uint64) {
	switch {
	case s.counter != nil:
		return s.counter.n.Load()
	case s.upDown != nil:
		return uint64(s.upDown.n.Load())
	case s.gauge != nil:
		return s.gauge.bits.Load()
	}
	for i := range s.histogram.buckets {
		n += s.histogram.buckets[i].Load()
	}
	return n
}

// free marks the numbers of s, unless they are no longer as s.state says.
func (s *series) free() bool {
	switch {
	case s.counter != nil:
		return s.counter.n.CompareAndSwap(s.state, gone)
	case s.upDown != nil:
		return s.state == 0 && s.upDown.n.CompareAndSwap(0, goneUpDown)
	case s.gauge != nil:
		return s.state<<1 == 0 && s.gauge.bits.CompareAndSwap(s.state, goneGauge)
	}
	return s.histogram.free(s.state)
}

// free marks the buckets and, if they have count observations, empties them.
func (h *histogram) free(count uint64) bool {
	was := make([]uint64, len(h.buckets))
	for i := range h.buckets {
		was[i] = h.buckets[i].Load()
		count -= was[i]
		if !h.buckets[i].CompareAndSwap(was[i], was[i]|gone) {
			h.unmark(i)
			return false
		}
	}
	if count != 0 {
		h.unmark(len(h.buckets))
		return false
	}
	for i, n := range was { // what was counted meanwhile stays
		h.buckets[i].Add(-n)
	}
	h.sum.Store(0)
	h.exemplars.slots.Store(nil)
	if e := h.native; e != nil {
		e.mu.Lock()
		e.scale, e.zero, e.positive, e.negative = maxScale, 0, window{}, window{}
		e.mu.Unlock()
	}
	return true
}

// unmark takes the mark off the first n buckets.
func (h *histogram) unmark(n int) {
	for i := range h.buckets[:n] {
		h.buckets[i].And(^uint64(gone))
	}
}

// back is called by a handle that found the mark, with f.mu held. It returns
// the series that counts now: nil for s itself, which is there again or was
// never freed; back then took off the mark, if it was there.
func (s *series) back() (other *series) {
	f := s.family
	if !s.freed.Load() {
		return nil // somebody was faster, or the sweep found that it is in use
	}
	if other := f.series[s.key]; other != nil {
		return other
	}
	if f.full() {
		return f.rest()
	}
	s.id, s.created = f.registry.ids.Add(1), time.Now()
	s.since, s.state = s.created, math.MaxUint64 // whatever a sweep finds is another state
	switch {
	case s.counter != nil:
		s.counter.n.And(^uint64(gone))
	case s.upDown != nil:
		s.upDown.n.Add(-goneUpDown)
	case s.gauge != nil:
		s.gauge.bits.CompareAndSwap(goneGauge, 0)
	default:
		s.histogram.unmark(len(s.histogram.buckets))
	}
	s.freed.Store(false)
	f.put(s.key, s)
	return nil
}
