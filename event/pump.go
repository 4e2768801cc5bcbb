package event

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

// direct reports whether pump hands the records out: where fetching takes no
// time, nothing is gained by doing it ahead, and a queue between two goroutines
// costs as much as the rest.
func (s *subscription) direct() bool {
	return s.f.memory != nil && s.o.concurrency == 1 && s.o.key == nil
}

// unpacked is how many records are decoded at once. They live and die together.
const unpacked = 8

// pump fetches and runs the handler until stop.
func (s *subscription) pump() {
	for {
		ds, err := s.source.Fetch(s.ctx, s.window())
		if s.ctx.Err() != nil {
			s.q.push(ds) // to be released
			return
		}
		if err != nil { // the group was deleted
			s.failure(err)
			if backoff.Sleep(s.ctx, time.Second) != nil {
				return
			}
			continue
		}
		s.lastErr.Store(nil)
		s.fetched.Add(int64(len(ds)))
		s.ahead.Store(int64(len(ds)))
		start, n := time.Now(), len(ds)
		for len(ds) > 0 {
			now := ds[:min(len(ds), unpacked)]
			done := s.handle(now)
			if ds = ds[done:]; done < len(now) {
				s.q.push(ds)
				s.ahead.Store(0)
				return
			}
		}
		s.took(time.Since(start), n)
	}
}

// slow is what a handler takes whose record is acknowledged alone.
const slow = 50 * time.Microsecond

// handle runs the handler on records, until stop, and returns how many of them
// are done, or in the queue.
func (s *subscription) handle(ds []Delivered) int {
	out := unpack(ds)
	every := len(ds)
	if s.pace.Load() > int64(slow) {
		every = 1
	}
	var done [unpacked]Delivered // not acknowledged
	n := 0
	for i := range ds {
		if s.ctx.Err() != nil {
			s.acknowledge(done[:n])
			return i
		}
		if s.try(&ds[i], &out[i]) {
			done[n] = ds[i]
			n++
		}
		s.ahead.Add(-1)
		if n >= every || i == len(ds)-1 {
			s.acknowledge(done[:n])
			n = 0
		}
	}
	return len(ds)
}

// try makes the first attempt at a record, and puts it into the queue if it
// failed.
func (s *subscription) try(d *Delivered, out *handout) bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	if d.Attempt > 1 {
		s.redelivered.Add(1)
		if s.o.attempts > 0 && d.Attempt > s.o.attempts {
			s.q.push([]Delivered{*d}) // straight to the dead letters
			return false
		}
	}
	s.running.Add(1)
	defer s.running.Add(-1)
	err := s.call(out, d.Attempt)
	if err == nil {
		s.handled.Add(1)
		return true
	}
	if t := s.q.hold(*d); !s.again(t, d.Attempt, err) {
		s.giveUp(t, d.Attempt)
	}
	return false
}

// acknowledge is without I/O.
func (s *subscription) acknowledge(ds []Delivered) {
	if !s.live && len(ds) > 0 {
		s.source.Ack(context.Background(), ds)
	}
}
