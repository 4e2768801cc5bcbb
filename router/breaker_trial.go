package router

import "time"

// lease is the place of a trial that is under way; ends is 0 if it is free.
type lease struct{ ends time.Duration }

// onTrial is allow for a breaker that is not closed. The lock is held.
func (b *Breaker) onTrial(now time.Duration) (Trial, bool) {
	switch state(b.word.Load()) {
	case Ramping:
		part := float64(now-time.Duration(b.until.Load())) / float64(b.p.Ramp)
		if part >= 1 {
			b.trips = 0
			b.change(Closed)
		} else if unit(b.rand()) >= max(part, 0.1) {
			return Trial{}, false
		}
	case Open:
		if now < time.Duration(b.until.Load()) {
			return Trial{}, false
		}
		b.change(HalfOpen)
		b.passed, b.trials = 0, [mostTrials]lease{}
		fallthrough
	case HalfOpen:
		return b.lease(now)
	}
	return b.begin(b.word.Load()), true
}

// lease gives a free place to a trial. The lock is held.
func (b *Breaker) lease(now time.Duration) (Trial, bool) {
	busy, free := 0, -1
	for i, l := range b.trials[:b.p.Trials] {
		switch {
		case l.ends == 0:
			free = i
		case l.ends <= now: // it never reported
			b.trip(now)
			return Trial{}, false
		default:
			busy++
		}
	}
	if busy >= b.p.Trials-b.passed {
		return Trial{}, false
	}
	b.trials[free].ends = now + b.p.Lease
	b.room()
	return Trial{b: b, word: b.word.Load(), slot: int8(free) + 1}, true
}

// room notes when the next trial may begin. The lock is held.
func (b *Breaker) room() {
	busy, first := 0, time.Duration(0)
	for _, l := range b.trials[:b.p.Trials] {
		if l.ends == 0 {
			continue
		}
		busy++
		if first == 0 || l.ends < first {
			first = l.ends
		}
	}
	if busy < b.p.Trials-b.passed {
		first = 0
	}
	b.until.Store(int64(first))
}

// tried takes in how a trial went.
func (b *Breaker) tried(t Trial, c Class) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &b.trials[t.slot-1]
	if b.word.Load() != t.word || l.ends == 0 {
		return
	}
	l.ends = 0
	switch {
	case c == Cancelled:
	case c.Failed():
		b.trip(b.now())
		return
	default:
		b.passed++
		if b.passed >= b.p.Trials {
			b.change(Ramping)
			b.until.Store(int64(b.now()))
			return
		}
	}
	b.room()
}
