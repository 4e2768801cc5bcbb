package event

import (
	"fmt"
	"time"
)

// watching is what the watch knows about a runner.
type watching struct {
	h     *handling // the attempt that it saw
	since time.Time // when first
	ended bool      // its context has
}

// watch ends the contexts of handlers that take too long, and leaves behind those
// that go on regardless. It only looks from time to time, so that an attempt costs
// no timer.
func (s *subscription) watch() {
	tick := time.NewTicker(min(max(s.o.limit/20, time.Millisecond), 5*time.Second))
	defer tick.Stop()
	grace := min(s.o.limit/10, 5*time.Second)
	seen := map[*runner]watching{}
	for {
		select {
		case <-s.left:
			return
		case now := <-tick.C:
			running := map[*runner]watching{}
			for _, r := range s.watched.all() {
				h := r.now.Load()
				w := seen[r]
				switch {
				case h == nil:
					continue
				case w.h != h:
					w = watching{h: h, since: now}
				case !w.ended && now.Sub(w.since) >= s.o.limit:
					h.end()
					w.since, w.ended = now, true
				case w.ended && now.Sub(w.since) >= grace:
					if r.now.CompareAndSwap(h, nil) {
						s.leaveBehind(r, h)
						continue
					}
				}
				running[r] = w
			}
			seen = running
		}
	}
}

// leaveBehind gives what a runner had to another, whose handler hangs. The hung
// one's goroutine ends when its handler returns.
func (s *subscription) leaveBehind(r *runner, h *handling) {
	s.timedOut.Add(1)
	s.log.Error("event: handler hangs, and is left behind", "group", s.o.group, "record", h.id, "timeout", s.o.limit, "attempt", h.attempt)
	s.behind.Add(1)
	s.watched.remove(r)
	hung := []*task{r.task}
	switch {
	case s.bh != nil:
		hung = r.batch
	case r.task == nil: // of pump
		hung[0] = s.q.hold(r.ds[0])
		s.ahead.Store(0)
		s.q.push(r.ds[1:])
		s.acknowledge(r.done)
	default:
		s.q.putBack(r.rest)
	}
	if s.direct() {
		s.turn.Unlock()
	}
	next := &runner{s: s, loop: r.loop}
	s.watched.add(next)
	go func() { // in the place of the other, for which Done was not called
		err := fmt.Errorf("handler did not return within %v, nor when its context ended", s.o.limit)
		for _, t := range hung {
			t.alone = true
			d := t.d // t is another's when it is finished
			s.end(d, s.decide(t, err))
		}
		next.toTheEnd()
	}()
}
