package trace

import (
	"container/list"
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
	gaveWay bool // to newer ones: nothing is held any more
	held    []*span

	// Guarded by holding.mu.
	at *list.Element // in the order of holding; nil: nothing is held
	n  int64         // how many
}

// holding is what is held of all traces.
type holding struct {
	mu     sync.Mutex
	n      int64
	traces list.List // of *localTrace, that which has held something for longest first
}

// hold takes an ended span that the sampler left out.
func (t *tracer) hold(s *span) {
	oldest := t.take(s)
	if oldest != nil {
		t.giveWay(oldest)
	}
}

// take returns the trace that has to give way, if one has to.
func (t *tracer) take(s *span) (oldest *localTrace) {
	l := s.local
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.keep {
		data := s.data()
		l.keep = slices.ContainsFunc(t.keep, func(worth func(SpanData) bool) bool { return t.meets(data, worth) })
	}
	switch {
	case (l.decided || l.gaveWay && s != l.root) && l.keep:
		t.bringBack(s)
	case l.decided:
	case s == l.root:
		l.decided = true
		t.held.release(l)
		if l.keep {
			for _, h := range l.held {
				t.bringBack(h)
			}
			t.bringBack(s)
		}
		l.held = nil
	case !l.gaveWay:
		ok := false
		oldest, ok = t.held.add(l, t.maxHeld)
		if ok {
			l.held = append(l.held, s)
		}
	}
	return oldest
}

// add counts one more span of l. If that is one too many, the oldest trace gives way,
// as one whose root never ends; l itself holds no more if it is the oldest.
func (h *holding) add(l *localTrace, most int64) (oldest *localTrace, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == most {
		oldest = h.traces.Front().Value.(*localTrace)
		if oldest == l {
			return nil, false
		}
		h.drop(oldest)
	}
	if l.at == nil {
		l.at = h.traces.PushBack(l)
	}
	l.n++
	h.n++
	return oldest, true
}

// release counts what is held of l as held no more.
func (h *holding) release(l *localTrace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(l)
}

func (h *holding) drop(l *localTrace) {
	if l.at == nil {
		return
	}
	h.traces.Remove(l.at)
	h.n -= l.n
	l.at, l.n = nil, 0
}

// giveWay drops what is held of l, unless a condition was met already.
func (t *tracer) giveWay(l *localTrace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.held.release(l) // what came since add
	if l.keep {
		for _, h := range l.held {
			t.bringBack(h)
		}
	}
	l.gaveWay, l.held = true, nil
}

func (t *tracer) meets(data SpanData, worth func(SpanData) bool) (yes bool) {
	defer t.caught("a condition of WithKeep", &yes)
	return worth(data)
}

func (t *tracer) bringBack(s *span) {
	t.kept.Add(1)
	t.deliver(s)
}
