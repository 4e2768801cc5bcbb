package event

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// subscription runs handlers on what its source fetches. Its parts:
//
//	fetch  →  queue (lanes by key)  →  work × concurrency  →  ack
//	                ↑ again, after a backoff ↙      ↘ dead letters
//
// In memory, with one handler at a time, pump is fetch and work in one, and
// only what failed goes through the queue.
//
// Its states, each with what ends when it begins:
//
//	open ──▶ stopping              ──▶ left                       ──▶ done
//	         ctx, fetching,            handlers in flight, acks,      handlers that
//	         new handlers              membership of the group        were left behind
type subscription struct {
	f      *front
	o      *subscribeOptions
	h      Handler      // or:
	bh     BatchHandler // one of the two
	source Member
	holder holder // the source, if it is one
	track  tracker
	gaps   gapped
	live   bool // no group: nothing to acknowledge
	log    *slog.Logger

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

	fetched, handled, failed, panics, timedOut, dead, dropped, redelivered, running atomic.Int64

	ahead   atomic.Int64 // records that pump has and that are not done
	turn    sync.Mutex   // of pump or work to run a handler
	lastErr atomic.Pointer[error]
	pace    atomic.Int64 // ns that a handler takes, smoothed
}

// gapped is a source without a group, which may have missed records.
type gapped interface{ gaps() int64 }

func newSubscription(f *front, o *subscribeOptions, source Member) *subscription {
	s := &subscription{f: f, o: o, live: o.group == "", left: make(chan struct{}), done: make(chan struct{}), log: f.o.settings.Logger}
	s.holder, _ = source.(holder)
	s.track, _ = source.(tracker)
	s.gaps, _ = source.(gapped)
	s.source = caught{source}
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
	go s.leave(&acking, &fetching)
}

// leave brings a subscription from open to done. It gives back what is held when
// nobody works on it any more.
func (s *subscription) leave(acking, fetching *sync.WaitGroup) {
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
	return s.f.wrap("close subscription", s.o.group, awaitEnd(ctx, s.done, func() int { return int(s.running.Load()) }))
}

// awaitEnd waits for what Close waits for. If ctx ends first, that is ErrTimeout, with the
// number of handlers that still run.
func awaitEnd(ctx context.Context, done <-chan struct{}, running func() int) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done:
		return nil
	default:
		return fault.Markf(ErrTimeout, "%d handlers still running: %w", running(), ctx.Err())
	}
}

// Group returns the name of the group.
func (s *subscription) Group() string { return s.o.group }

func (s *subscription) Stats() Stats {
	st := Stats{
		Fetched: s.fetched.Load(), Handled: s.handled.Load(), Failed: s.failed.Load(), Panics: s.panics.Load(), TimedOut: s.timedOut.Load(),
		Dead: s.dead.Load(), Dropped: s.dropped.Load(), Redelivered: s.redelivered.Load(), Running: int(s.running.Load()),
	}
	if s.gaps != nil {
		st.Missed = s.gaps.gaps()
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
	ctx, limit, cancel := s.f.limited(ctx)
	defer cancel()
	lag, err := s.source.Lag(ctx)
	if s.live {
		held, _ := s.q.counts()
		lag.Pending = int64(held) + s.ahead.Load()
	}
	return lag, s.f.wrap("lag", s.o.group, limit.Late(ctx, err))
}
