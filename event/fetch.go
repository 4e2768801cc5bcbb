package event

import (
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// fetch keeps the queue filled until stop.
func (s *subscription) fetch() {
	wait := backoff.Policy{Min: 50 * time.Millisecond, Max: 5 * time.Second}
	for failures := 0; ; {
		room := s.window()
		if s.bh != nil && s.o.concurrency > 1 {
			room *= 2 * s.o.concurrency // a batch for each handler, and the next ones
		}
		low := room / 2
		if s.bh != nil { // handlers that wait for the rest of a batch have so many at the most
			low = max(low, s.o.concurrency*(s.o.batch-1))
		}
		if !s.q.room(room, low) {
			return
		}
		ds, err := s.source.Fetch(s.ctx, s.window())
		if s.ctx.Err() != nil {
			s.q.push(ds) // to be released
			return
		}
		if errors.Is(err, fault.Lost) {
			s.lost()
			continue
		}
		if err != nil {
			s.failure(err)
			if backoff.Sleep(s.ctx, wait.Wait(failures)) != nil {
				return
			}
			failures++
			continue
		}
		failures = 0
		s.lastErr.Store(nil)
		s.accept(ds)
	}
}

// lost drops what is held and another member's now.
func (s *subscription) lost() {
	if s.track == nil {
		s.q.lost()
		return
	}
	s.q.drop(func(d *Delivered) bool { return !s.track.Kept(*d) })
}

// failure notes that fetching failed.
func (s *subscription) failure(err error) {
	if s.lastErr.Swap(&err) == nil {
		s.log.Warn("event: fetching failed", "backend", s.f.o.backend.Name, "group", s.o.group, "error", err)
	}
}

// accept queues what the subscription asked for, and acknowledges the rest.
func (s *subscription) accept(ds []Delivered) {
	keep := ds[:0]
	var other []Delivered
	for i := range ds {
		d := &ds[i]
		if !d.is(&s.o.patterns) || s.o.mine != nil && !s.mine(d) {
			other = append(other, *d)
			continue
		}
		if d.Attempt > 1 {
			s.redelivered.Add(1)
		}
		keep = keep[:len(keep)+1]
		if len(keep) <= i {
			keep[len(keep)-1] = *d
		}
	}
	s.fetched.Add(int64(len(keep)))
	if len(other) > 0 && !s.live {
		s.acks.add(other...)
	}
	s.q.push(keep)
}

// mine reports whether a record is of this partition. What is no record is of
// that of an empty one.
func (s *subscription) mine(d *Delivered) bool {
	r := d.record()
	if d.Err != nil {
		r = &Record{}
	}
	return s.o.mine(r)
}

// window is how many records to fetch: a batch, but in a group no more than
// this member works off in about 50 ms, so that members share slow work.
func (s *subscription) window() int {
	if s.bh != nil {
		return s.o.batch // what fills one, however long it takes
	}
	n, floor := s.o.batch, s.o.concurrency
	if pace := s.pace.Load(); !s.live && pace > 0 {
		n = min(n, int(int64(50*time.Millisecond)/pace)*s.o.concurrency)
	} else if !s.live && pace == 0 {
		n, floor = min(n, 16), min(floor, 16) // the first one shows the pace
	}
	return min(max(n, floor, 1), max(s.o.batch, s.o.concurrency))
}

// took notes how long some records took.
func (s *subscription) took(d time.Duration, records int) {
	each := max(int64(d)/int64(records), 1)
	if old := s.pace.Load(); old > 0 {
		each = (3*old + each) / 4
	}
	s.pace.Store(each)
}
