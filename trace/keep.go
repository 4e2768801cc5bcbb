package trace

import (
	"slices"
	"sync"
)

// localTrace is the spans that this process has of one trace that was not
// sampled, held until it is known whether they are worth keeping.
type localTrace struct {
	mu      sync.Mutex
	root    *span
	keep    bool
	decided bool
	held    []*span
}

// hold takes an ended span that the sampler left out.
func (t *tracer) hold(s *span) {
	l := s.local
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.keep {
		data := s.data()
		l.keep = slices.ContainsFunc(t.keep, func(worth func(SpanData) bool) bool { return t.meets(data, worth) })
	}
	switch {
	case l.decided && l.keep:
		t.bringBack(s)
	case l.decided:
	case s == l.root:
		l.decided = true
		t.held.Add(-int64(len(l.held)))
		if l.keep {
			for _, h := range l.held {
				t.bringBack(h)
			}
			t.bringBack(s)
		}
		l.held = nil
	case t.held.Add(1) > t.maxHeld:
		t.held.Add(-1)
	default:
		l.held = append(l.held, s)
	}
}

func (t *tracer) meets(data SpanData, worth func(SpanData) bool) (yes bool) {
	defer t.caught("a condition of WithKeep", &yes)
	return worth(data)
}

func (t *tracer) bringBack(s *span) {
	t.kept.Add(1)
	t.deliver(s)
}
