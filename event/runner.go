package event

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// runner is one goroutine that runs handlers: work, on what is in the queue, or
// pump, on what it fetches itself.
//
// If its handler hangs, the watch takes the attempt away from it: whoever
// clears now has the right to everything else in here. The goroutine that
// finds now cleared touches nothing and ends when its handler returns.
type runner struct {
	s    *subscription
	loop func(*runner)
	now  atomic.Pointer[handling] // the attempt that runs, or nil

	task  *task   // of work: the one that is being run
	batch []*task // of batches: those that are
	rest  []*task // taken from the queue and not begun

	ds   []Delivered // of pump: the one that is being handled, and those after it
	done []Delivered // handled and not acknowledged
	room [unpacked]Delivered
}

// run starts a runner.
func (s *subscription) run(loop func(*runner)) {
	r := &runner{s: s, loop: loop}
	s.working.Add(1)
	s.watched.add(r)
	go r.toTheEnd()
}

// toTheEnd runs the loop, for which working waits, or behind if the runner was left
// behind.
func (r *runner) toTheEnd() {
	r.loop(r)
	if r.s.watched.remove(r) {
		r.s.working.Done()
	} else {
		r.s.behind.Done()
	}
}

// runners are those whose handlers are watched. There may be many.
type runners struct {
	mu  sync.Mutex
	set map[*runner]struct{}
}

func (rs *runners) add(r *runner) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.set == nil {
		rs.set = map[*runner]struct{}{}
	}
	rs.set[r] = struct{}{}
}

// remove reports whether the runner was there.
func (rs *runners) remove(r *runner) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	_, ok := rs.set[r]
	delete(rs.set, r)
	return ok
}

func (rs *runners) all() []*runner {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Collect(maps.Keys(rs.set))
}

// work runs handlers until stop.
func (r *runner) work() {
	s := r.s
	limit := 1
	if s.o.concurrency == 1 {
		limit = s.o.batch // no other worker is kept waiting
	}
	buf := make([]*task, 0, limit)
	for {
		buf = s.q.take(buf[:0], limit)
		if len(buf) == 0 {
			return
		}
		start := time.Now()
		for i, t := range buf {
			if i > 0 && s.ctx.Err() != nil {
				return // the others stay held, and are released
			}
			r.task, r.rest = t, buf[i+1:]
			if !r.one(t) {
				return
			}
		}
		s.took(time.Since(start), len(buf))
	}
}

// one makes an attempt at a task, and reports false if its handler was left
// behind.
func (r *runner) one(t *task) bool {
	s := r.s
	if s.direct() {
		s.turn.Lock()
	}
	if !r.attempt(t) {
		return false
	}
	if s.direct() {
		s.turn.Unlock()
	}
	return true
}

// attempt makes one attempt at one record, and decides what comes after it.
func (r *runner) attempt(t *task) bool {
	s := r.s
	if s.holder != nil && !s.holder.Holds() {
		s.q.lost() // another member may be at it
		return true
	}
	if s.o.key != nil && s.q.gone(t) {
		return true // lost, and fetched again
	}
	d := t.d // t is another's when it is finished
	if !s.begin(d) {
		s.q.finish(t)
		return true
	}
	done, mine := r.run(t)
	if mine { // else who left it behind has ended it
		s.end(d, done)
	}
	return mine
}

// run is attempt's part between begin and end. It reports whether the task is done,
// and false if its handler was left behind.
func (r *runner) run(t *task) (done, mine bool) {
	out := r.s.ready(t)
	if out == nil {
		return r.s.giveUp(t), true
	}
	err, mine := r.call(out, t.attempt())
	if !mine {
		return false, false
	}
	return r.s.decide(t, err), true
}

// ready unpacks the record of a task for the handler, or returns nil and sets final
// if it goes to the dead letters.
func (s *subscription) ready(t *task) *handout {
	if t.final == nil && s.o.attempts > 0 && t.attempt() > s.o.attempts {
		t.final = fmt.Errorf("handed out %d times and never acknowledged", t.attempt()-1)
	}
	if t.final != nil {
		return nil
	}
	out, err := t.d.unpack()
	if err != nil {
		t.final = fmt.Errorf("not a record: %w", err)
		return nil
	}
	return out
}

// decide takes in how an attempt at a task has ended, and reports whether the task
// is done.
func (s *subscription) decide(t *task, err error) bool {
	if err == nil {
		s.handled.Add(1)
		s.finish(t)
		return true
	}
	return !s.again(t, err) && s.giveUp(t)
}

// begin asks a Tracker whether a handler may begin with a delivery. If so, end follows.
func (s *subscription) begin(d Delivered) bool { return s.track == nil || s.track.Begin(d) }

// end tells a Tracker that a handler has returned, or is left behind.
func (s *subscription) end(d Delivered, done bool) {
	if s.track != nil {
		s.track.End(d, done)
	}
}

// call runs the handler, and reports false if it was left behind. A panic is an
// error.
func (r *runner) call(out *handout, attempt int) (err error, mine bool) {
	s, rec := r.s, &out.record
	h := &out.ctx
	h.s, h.root, h.id, h.position, h.attempt = s, rec.RootID, rec.ID, rec.Position, attempt
	s.running.Add(1)
	r.now.Store(h)
	defer r.returned(h, &err, &mine)
	if s.f.o.extract != nil {
		return s.h(s.f.o.extract(h, rec.Metadata), rec), true
	}
	return s.h(h, rec), true
}

// returned is deferred by who calls a handler.
func (r *runner) returned(h *handling, err *error, mine *bool) {
	s := r.s
	if p := recover(); p != nil {
		s.panics.Add(1)
		s.log.Error("event: handler panicked", "group", s.o.group, "record", h.id, "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("panic: %v", p)
	}
	s.running.Add(-1)
	*mine = r.now.CompareAndSwap(h, nil)
}
