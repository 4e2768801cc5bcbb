package monitor

import (
	"sync/atomic"
	"time"
)

// loop is a loop that must turn.
type loop struct {
	name  string
	stall time.Duration
	epoch time.Time
	last  atomic.Int64 // when it turned, since epoch
}

func newLoop(name string, stall time.Duration) *loop {
	return &loop{name: name, stall: stall, epoch: time.Now()}
}

func (l *loop) beat() { l.last.Store(int64(time.Since(l.epoch))) }

// stalled returns for how long the loop has not turned, and whether that is too long.
func (l *loop) stalled() (time.Duration, bool) {
	d := time.Since(l.epoch) - time.Duration(l.last.Load())
	return d, d > l.stall
}
