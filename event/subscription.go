package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// subscription runs handlers on what its source fetches. Its parts:
//
//	fetch  →  queue (lanes by key)  →  work × concurrency  →  ack
//	                ↑ again, after a backoff ↙      ↘ dead letters
//
// In memory, with one handler at a time, pump is fetch and work in one, and
// only what failed goes through the queue.
type subscription struct {
	f      *front
	o      *subscribeOptions
	h      Handler      // or:
	bh     BatchHandler // one of the two
	source Member
	holder holder // the source, if it is one
	track  tracker
	live   bool // no group: nothing to acknowledge
	log    logger

	q       *queue
	acks    *acker
	ctx     context.Context // ends when stop is called; never seen by a handler
	cancel  context.CancelFunc
	left    chan struct{} // everything has ended, except for handlers that were left behind
	done    chan struct{} // those too
	stopOne sync.Once

	working sync.WaitGroup // runners
	behind  sync.WaitGroup // handlers that were left behind
	watched runners

	fetched, handled, failed, panics, timedOut, dead, dropped, redelivered counter
	running                                                                atomic.Int64
	ahead                                                                  atomic.Int64 // records that pump has and that are not done
	turn                                                                   sync.Mutex   // of pump or work to run a handler
	lastErr                                                                atomic.Pointer[error]
	pace                                                                   atomic.Int64 // ns that a handler takes, smoothed
}

type logger = interface {
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

func newSubscription(f *front, o *subscribeOptions, source Member) *subscription {
	s := &subscription{f: f, o: o, source: source, live: o.group == "", left: make(chan struct{}), done: make(chan struct{}), log: f.o.settings.Logger}
	s.holder, _ = source.(holder)
	s.track, _ = source.(tracker)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.q = newQueue(o.key)
	s.acks = newAcker(s)
	return s
}

func (s *subscription) start() {
	var fetching, acking sync.WaitGroup
	if s.direct() {
		s.run((*runner).pump)
	} else {
		fetching.Go(s.fetch)
	}
	loop := (*runner).work
	if s.bh != nil {
		loop = (*runner).batches
	}
	for range s.o.concurrency {
		s.run(loop)
	}
	if s.o.limit > 0 {
		go s.watch()
	}
	if !s.live {
		acking.Go(s.acks.run)
		fetching.Go(s.extend)
	}
	go func() {
		s.working.Wait() // returns after stop, when the handlers in flight have
		s.acks.finish()
		acking.Wait()
		fetching.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), s.f.o.timeout)
		defer cancel()
		if rest := s.q.drain(); len(rest) > 0 && !s.live {
			if err := s.source.Release(ctx, rest); err != nil {
				s.log.Warn("event: releasing failed", "group", s.o.group, "records", len(rest), "error", err)
			}
		}
		if err := s.source.Close(ctx); err != nil {
			s.log.Warn("event: leaving the group failed", "group", s.o.group, "error", err)
		}
		close(s.left)
		s.behind.Wait()
		s.f.forget(s)
		close(s.done)
	}()
}

// stop ends fetching and lets no new handler begin.
func (s *subscription) stop() {
	s.stopOne.Do(func() {
		s.q.stop()
		s.cancel()
	})
}

func (s *subscription) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-s.done:
		return nil
	default:
		return s.f.wrap("close subscription", s.o.group, fault.Mark(ErrTimeout, fmt.Errorf("%d handlers still running: %w", s.running.Load(), ctx.Err())))
	}
}

// fetch keeps the queue filled until stop.
func (s *subscription) fetch() {
	wait := backoff.Policy{Min: 50 * time.Millisecond, Max: 5 * time.Second}
	for failures := 0; ; {
		room := s.window()
		if s.bh != nil && s.o.concurrency > 1 {
			room *= 2 * s.o.concurrency // a batch for each handler, and the next ones
		}
		if !s.q.room(room) {
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
		s.log.Warn("event: fetching failed", "backend", s.f.o.name, "group", s.o.group, "error", err)
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
		if keep = keep[:len(keep)+1]; len(keep) <= i {
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

// again lets a failed attempt be followed by another, unless it was the last. That of
// a record which is another member's by now is followed by none here: it must not keep
// those of its key waiting if they come back.
func (s *subscription) again(t *task, attempt int, err error) bool {
	s.failed.Add(1)
	if s.track != nil && !s.track.Kept(t.d) {
		s.q.finish(t)
		return true
	}
	var v *verdict
	is := errors.As(err, &v)
	if is && v.terminate || s.o.attempts > 0 && attempt >= s.o.attempts {
		t.final = err
		return false
	}
	wait := backoff.Policy{Min: s.o.minBackoff, Max: s.o.maxBackoff}.Wait(t.tries)
	if is && v.after > 0 {
		wait = v.after
	}
	t.tries++
	s.q.later(t, wait)
	return true
}

// giveUp sends a record to the dead letters, and reports whether it is there.
func (s *subscription) giveUp(t *task, attempt int) bool {
	if err := s.bury(t, attempt); err != nil {
		of := t.d
		s.log.Warn("event: dead-lettering failed", "group", s.o.group, "record", of.record().ID, "error", err)
		t.failures++
		s.q.later(t, backoff.Policy{}.Wait(t.failures))
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

// Group returns the name of the group.
func (s *subscription) Group() string { return s.o.group }

func (s *subscription) Stats() Stats {
	st := Stats{
		Fetched: s.fetched.Load(), Handled: s.handled.Load(), Failed: s.failed.Load(), Panics: s.panics.Load(), TimedOut: s.timedOut.Load(),
		Dead: s.dead.Load(), Dropped: s.dropped.Load(), Redelivered: s.redelivered.Load(), Running: int(s.running.Load()),
	}
	if l, ok := s.source.(interface{ gaps() int64 }); ok {
		st.Missed = l.gaps()
	}
	if err := s.lastErr.Load(); err != nil {
		st.Err = fault.Adopt("event", *err)
	}
	st.Held, st.Retrying = s.q.counts()
	st.Held += int(s.ahead.Load())
	return st
}

func (s *subscription) Lag(ctx context.Context) (Lag, error) {
	if !s.f.life.Enter() {
		return Lag{}, s.f.wrap("lag", s.o.group, fault.Closed)
	}
	defer s.f.life.Leave()
	ctx, cancel := s.f.deadline(ctx)
	defer cancel()
	lag, err := s.source.Lag(ctx)
	if s.live {
		held, _ := s.q.counts()
		lag.Pending = int64(held) + s.ahead.Load()
	}
	return lag, s.f.wrap("lag", s.o.group, err)
}
