package log

import (
	"sync"
	"sync/atomic"
	"time"
)

// limiter lets n records in a period through from each place in the code.
type limiter struct {
	n   uint64
	per time.Duration

	mu    sync.RWMutex
	sites map[uintptr]*site
}

// site is one place. A record that comes while another begins a new period may
// be counted in either.
type site struct {
	began      atomic.Int64
	count      atomic.Uint64
	suppressed atomic.Uint64
}

// allow reports whether a record may pass, and how many did not since the last one that did.
func (l *limiter) allow(pc uintptr, now time.Time) (ok bool, suppressed uint64) {
	if now.IsZero() {
		now = time.Now()
	}
	l.mu.RLock()
	s := l.sites[pc]
	l.mu.RUnlock()
	if s == nil {
		l.mu.Lock()
		s = l.sites[pc]
		if s == nil {
			s = &site{}
			l.sites[pc] = s
		}
		l.mu.Unlock()
	}
	t := now.UnixNano()
	if began := s.began.Load(); t-began >= int64(l.per) || t < began {
		if s.began.CompareAndSwap(began, t) {
			s.count.Store(0)
		}
	}
	if s.count.Add(1) > l.n {
		s.suppressed.Add(1)
		return false, 0
	}
	return true, s.suppressed.Swap(0)
}
