package event

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// again lets a failed attempt be followed by another, unless it was the last. That of
// a record which is another member's by now is followed by none here: it must not keep
// those of its key waiting if they come back.
func (s *subscription) again(t *task, err error) bool {
	s.failed.Add(1)
	if s.track != nil && !s.track.Kept(t.d) {
		s.q.finish(t)
		return true
	}
	var v *verdict
	is := errors.As(err, &v)
	if is && v.terminate || s.o.attempts > 0 && t.attempt() >= s.o.attempts {
		t.final = err
		return false
	}
	wait := backoff.Policy{Min: s.o.minBackoff, Max: s.o.maxBackoff}.Wait(t.tries)
	if is && v.after > 0 {
		wait = v.after
	}
	t.tries++
	s.later(t, wait)
	return true
}

// later makes a task ready again after a while. If it was lost since the caller looked,
// while it was running and so not among what lost drops, it is dropped now: it must not
// keep those of its key waiting if they come back.
func (s *subscription) later(t *task, wait time.Duration) {
	d := t.d // t is another's when it was dropped
	s.q.later(t, wait)
	if s.track != nil && !s.track.Kept(d) {
		s.lost()
	}
}

// giveUp sends a record to the dead letters, and reports whether it is there.
func (s *subscription) giveUp(t *task) bool {
	if err := s.bury(t); err != nil {
		of := t.d
		s.log.Warn("event: dead-lettering failed", "group", s.o.group, "record", of.record().ID, "error", err)
		t.failures++
		s.later(t, backoff.Policy{}.Wait(t.failures))
		return false
	}
	s.finish(t)
	return true
}

func (s *subscription) finish(t *task) {
	d := t.d
	n := s.q.finish(t)
	if s.live {
		return
	}
	s.acks.add(d)
	if n == 0 {
		s.acks.hurry()
	}
}

// extend shows the group that what is held is being worked on.
func (s *subscription) extend() {
	tick := time.NewTicker(max(s.o.ackWait/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.left: // not at stop: handlers may still run
			return
		case <-s.acks.ended:
			return
		case <-tick.C:
		}
		held := s.q.held()
		if len(held) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.o.ackWait/3)
		err := s.source.Extend(ctx, held)
		cancel()
		if errors.Is(err, fault.Lost) {
			s.lost()
		} else if err != nil {
			s.log.Warn("event: extending failed", "group", s.o.group, "error", err)
		}
	}
}
