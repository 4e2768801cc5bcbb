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
	return s.f.memory != nil && s.o.concurrency == 1 && s.o.key == nil && s.bh == nil
}

// unpacked is how many records are decoded at once. They live and die together.
const unpacked = 8

// pump fetches and runs the handler until stop.
func (r *runner) pump() {
	s := r.s
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
		for r.ds = ds; len(r.ds) > 0; {
			ended, mine := r.handle(r.ds[:min(len(r.ds), unpacked)])
			if !mine {
				return
			}
			if ended {
				s.q.push(r.ds)
				s.ahead.Store(0)
				return
			}
		}
		s.took(time.Since(start), n)
	}
}

// slow is what a handler takes whose record is acknowledged alone.
const slow = 50 * time.Microsecond

// handle runs the handler on records, and takes from r.ds those that are done, or
// in the queue. It reports whether the subscription has ended, and false if the
// handler was left behind.
func (r *runner) handle(ds []Delivered) (ended, mine bool) {
	s := r.s
	out := unpack(ds)
	every := len(ds)
	if s.pace.Load() > int64(slow) {
		every = 1
	}
	r.done = r.room[:0]
	for i := range ds {
		if s.ctx.Err() != nil {
			s.acknowledge(r.done)
			return true, true
		}
		ok, mine := r.try(&ds[i], &out[i])
		if !mine {
			return false, false
		}
		if ok {
			r.done = append(r.done, ds[i])
		}
		r.ds = r.ds[1:]
		s.ahead.Add(-1)
		if len(r.done) >= every || i == len(ds)-1 {
			s.acknowledge(r.done)
			r.done = r.done[:0]
		}
	}
	return false, true
}

// try makes the first attempt at a record, and puts it into the queue if it
// failed. It reports whether the record is handled, and false if the handler was
// left behind.
func (r *runner) try(d *Delivered, out *handout) (handled, mine bool) {
	s := r.s
	s.turn.Lock()
	if d.Attempt > 1 {
		s.redelivered.Add(1)
		if s.o.attempts > 0 && d.Attempt > s.o.attempts {
			s.turn.Unlock()
			s.q.push([]Delivered{*d}) // straight to the dead letters
			return false, true
		}
	}
	err, mine := r.call(out, d.Attempt)
	if !mine {
		return false, false // whoever left it behind has given up the turn
	}
	defer s.turn.Unlock()
	if err == nil {
		s.handled.Add(1)
		return true, true
	}
	s.decide(s.q.hold(*d), err)
	return false, true
}

// acknowledge is without I/O.
func (s *subscription) acknowledge(ds []Delivered) {
	if !s.live && len(ds) > 0 {
		s.source.Ack(context.Background(), ds)
	}
}
