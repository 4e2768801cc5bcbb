package event

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

// acker acknowledges what is done, in batches: when a batch is full, when
// nothing else is held, or after a few milliseconds.
type acker struct {
	s       *subscription
	mu      sync.Mutex
	waiting []Delivered
	spare   []Delivered   // the room of those that were acknowledged before
	signal  chan struct{} // there is something to acknowledge
	now     chan struct{} // without delay
	ended   chan struct{}

	closing context.Context // ends with finish
	close   context.CancelFunc
}

// ackDelay is how long an acknowledgement waits for others.
const ackDelay = 3 * time.Millisecond

func newAcker(s *subscription) *acker {
	a := &acker{s: s, signal: make(chan struct{}, 1), now: make(chan struct{}, 1), ended: make(chan struct{})}
	a.closing, a.close = context.WithCancel(context.Background())
	return a
}

func (a *acker) add(ds ...Delivered) {
	a.mu.Lock()
	before := len(a.waiting)
	a.waiting = append(a.waiting, ds...)
	n := len(a.waiting)
	a.mu.Unlock()
	if before == 0 {
		poke(a.signal)
	}
	if n >= a.s.o.batch && before < a.s.o.batch {
		poke(a.now)
	}
}

// hurry ends the delay.
func (a *acker) hurry() { poke(a.now) }

// finish makes run acknowledge what is left and return.
func (a *acker) finish() {
	a.close()
	poke(a.signal)
	poke(a.now)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *acker) run() {
	defer close(a.ended)
	timer := time.NewTimer(ackDelay)
	defer timer.Stop()
	failures := 0
	for {
		<-a.signal
		timer.Reset(ackDelay)
		select {
		case <-timer.C:
		case <-a.now:
		}
		closing := a.closing.Err() != nil // then nothing is added any more
		a.mu.Lock()
		ds := a.waiting
		a.waiting, a.spare = a.spare, nil
		a.mu.Unlock()
		if len(ds) > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), a.s.f.o.timeout)
			err := a.s.source.Ack(ctx, ds)
			cancel()
			if err != nil {
				a.s.log.Warn("event: acknowledging failed", "group", a.s.o.group, "records", len(ds), "error", err)
				if !closing { // else they are handed out again: at least once
					a.mu.Lock()
					a.waiting = append(ds, a.waiting...)
					a.mu.Unlock()
					poke(a.signal)
					backoff.Sleep(a.closing, backoff.Policy{}.Wait(failures))
					failures++
					continue
				}
			}
			failures = 0
			clear(ds)
			a.mu.Lock()
			a.spare = ds[:0]
			a.mu.Unlock()
		}
		if closing {
			return
		}
	}
}
