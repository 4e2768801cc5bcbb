package router

import (
	"sync"
	"sync/atomic"
	"time"
)

// Breaker stops calls to what keeps failing, and finds out with few of them
// when it is well again:
//
//	Closed ──failures──► Open ──time──► HalfOpen ──trials go well──► Ramping ──time──► Closed
//	                      ▲                │                            │
//	                      └─ a trial fails, or never reports ── failures┘
//
// It is safe for concurrent use. While it is closed, a call costs a few atomic
// operations and no look at the clock.
type Breaker struct {
	p    *BreakerPolicy
	now  func() time.Duration
	rand func() uint64
	away *atomic.Int32 // how many breakers of its service are not closed; nil if nobody counts

	word      atomic.Uint32 // state in the low two bits, above them how often it changed
	row       atomic.Int32  // failures in a row
	good, bad atomic.Uint64 // outcomes
	opened    atomic.Uint64 // how often
	until     atomic.Int64  // Open: its end. HalfOpen: when there may be room, 0 for now. Ramping: when it began

	turn  atomic.Uint32 // how often Hang has passed
	turns [2]atomic.Int32

	mu      sync.Mutex // of what follows, and of every change of word
	refused *OpenError
	trips   int // in a row, without closing in between
	passed  int // trials that went well
	trials  [mostTrials]lease
	window  window
	turned  time.Duration
}

func state(word uint32) State { return State(word & 3) }

func (b *Breaker) init(p *BreakerPolicy, now func() time.Duration, random func() uint64) {
	b.p, b.now, b.rand = p, now, random
	b.turned = now()
}

// change goes to another state. What began before it says nothing any more.
// The lock is held.
func (b *Breaker) change(s State) {
	if was := state(b.word.Load()); b.away != nil && (was == Closed) != (s == Closed) {
		if s == Closed {
			b.away.Add(-1)
		} else {
			b.away.Add(1)
		}
	}
	b.word.Store((b.word.Load()>>2+1)<<2 | uint32(s))
	b.row.Store(0)
}

// ready reports whether allow would let a call through, as far as can be told
// without the lock.
func (b *Breaker) ready(now time.Duration) bool {
	switch state(b.word.Load()) {
	case Open, HalfOpen:
		return time.Duration(b.until.Load()) <= now
	}
	return true
}

func (b *Breaker) stateAt(now time.Duration) State {
	s := state(b.word.Load())
	switch at := time.Duration(b.until.Load()); {
	case s == Open && at <= now:
		return HalfOpen
	case s == Ramping && at+b.p.Ramp <= now:
		return Closed
	}
	return s
}

// allow lets a call through, or not.
func (b *Breaker) allow(now time.Duration) (Trial, bool) {
	w := b.word.Load()
	if state(w) == Closed && b.p.Hang == 0 {
		return Trial{b: b, word: w}, true
	}
	return b.allowSlowly(now)
}

func (b *Breaker) allowSlowly(now time.Duration) (Trial, bool) {
	if b.p.Hang > 0 {
		b.hung(now)
	}
	if w := b.word.Load(); state(w) == Closed {
		return b.begin(w), true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.onTrial(now)
}

// begin is a call that gets through without being on trial.
func (b *Breaker) begin(w uint32) Trial {
	t := Trial{b: b, word: w}
	if b.p.Hang > 0 {
		t.turn = b.turn.Load()
		b.turns[t.turn&1].Add(1)
	}
	return t
}

func (b *Breaker) done(t Trial, c Class) {
	if b.p.Hang > 0 && t.slot == 0 {
		if b.turn.Load()-t.turn >= 2 {
			return // it was counted as failed
		}
		b.turns[t.turn&1].Add(-1)
	}
	switch {
	case b.word.Load() != t.word: // of a time that is past
	case t.slot > 0:
		b.tried(t, c)
	default:
		b.count(t.word, c)
	}
}

// record takes in a call that the breaker was not asked about.
func (b *Breaker) record(c Class) {
	if w := b.word.Load(); state(w) == Closed || state(w) == Ramping {
		b.count(w, c)
	}
}

// count takes in how a call went that was not on trial.
func (b *Breaker) count(word uint32, c Class) {
	switch {
	case c == Cancelled:
	case !c.Failed():
		b.good.Add(1)
		if b.row.Load() != 0 {
			b.row.Store(0)
		}
	default:
		b.failed(word, 1)
	}
}

// failed counts n failures of calls that were not on trial, and opens the
// breaker if there are too many.
func (b *Breaker) failed(word uint32, n int32) {
	b.bad.Add(uint64(n))
	row := b.row.Add(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.word.Load() != word {
		return
	}
	now := b.now()
	bad := b.bad.Load()
	share, all := b.window.share(now, b.good.Load()+bad, bad)
	if int(row) >= b.p.Consecutive || all >= uint64(b.p.Least) && share > b.p.Share {
		b.trip(now)
	}
}

// trip opens the breaker. The lock is held.
func (b *Breaker) trip(now time.Duration) {
	d := min(b.p.Open<<min(b.trips, 20), b.p.Longest)
	b.trips++
	b.opened.Add(1)
	d += time.Duration(0.4 * (unit(b.rand()) - 0.5) * float64(d))
	b.until.Store(int64(now + d))
	b.change(Open)
	bad := b.bad.Load()
	b.window.begin(now, b.good.Load()+bad, bad)
}

// hung counts the calls that have been under way for longer than Hang as
// failed. Once in a Hang it begins a new turn; the calls of the turn before
// the last are that old.
func (b *Breaker) hung(now time.Duration) {
	b.mu.Lock()
	if now-b.turned < b.p.Hang {
		b.mu.Unlock()
		return
	}
	b.turned = now
	next := b.turn.Load() + 1
	n := b.turns[next&1].Swap(0)
	b.turn.Store(next)
	word := b.word.Load()
	b.mu.Unlock()
	if n > 0 && (state(word) == Closed || state(word) == Ramping) {
		b.failed(word, n)
	}
}

// refusal is the error for a call that was not let through. The same one
// serves until the moment that it names changes.
func (b *Breaker) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var after time.Duration
	if s := state(b.word.Load()); s == Open || s == HalfOpen {
		after = max(time.Duration(b.until.Load())-b.now(), 0)
	}
	if b.refused == nil || b.refused.After != after.Round(time.Millisecond) {
		b.refused = &OpenError{After: after.Round(time.Millisecond)}
	}
	return b.refused
}
