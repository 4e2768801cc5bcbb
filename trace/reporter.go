package trace

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// reporter is one driver with its queue and the goroutine that empties it.
type reporter struct {
	name     string
	driver   Driver
	batch    int
	every    time.Duration
	timeout  time.Duration
	retryFor time.Duration
	retry    backoff.Policy
	logger   *slog.Logger

	ctx     context.Context // ends when Close gives up waiting
	cancel  context.CancelFunc
	wake    chan struct{}
	hurry   chan struct{} // somebody waits: don't pause
	stopped chan struct{}

	mu      sync.Mutex
	queue   queue
	pushed  uint64 // accepted into the queue, ever
	done    uint64 // of which sent or lost
	urgent  uint64 // somebody waits until done reaches this
	waiters []waiter
	closing bool
	stats   ReporterStats
	nextLog time.Time
}

type waiter struct {
	until uint64
	done  chan struct{}
}

func newReporter(name string, d Driver, o *options) *reporter {
	r := &reporter{
		name: name, driver: d, batch: min(o.batch, o.spans), every: o.every, timeout: o.timeout, retryFor: o.retryFor, logger: o.logger,
		retry: backoff.Policy{Min: 100 * time.Millisecond, Max: 10 * time.Second},
		queue: queue{maxSpans: o.spans, maxBytes: o.bytes}, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	r.stats.Reporter = name
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// push queues an ended span, or counts it as dropped.
func (r *reporter) push(s *span) {
	size := s.size()
	r.mu.Lock()
	if r.closing || !r.queue.push(s, size) {
		r.stats.Dropped++
		lost := r.complain("queue full")
		r.mu.Unlock()
		r.warn(lost, "queue full")
		return
	}
	r.pushed++
	n := r.queue.n
	r.mu.Unlock()
	if n == 1 || n == r.batch {
		r.poke()
	}
}

func (r *reporter) poke() { poke(r.wake) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// complain notes a loss. It returns how many there are if they are to be logged
// now: once in ten seconds. r.mu is held.
func (r *reporter) complain(why string) uint64 {
	r.stats.LastError = why
	now := time.Now()
	if now.Before(r.nextLog) {
		return 0
	}
	r.nextLog = now.Add(10 * time.Second)
	return r.stats.Lost()
}

// warn logs what complain said. r.mu is not held: a logger may end spans.
func (r *reporter) warn(lost uint64, why string) {
	if lost > 0 {
		r.logger.Warn("trace: spans lost", "reporter", r.name, "lost", lost, "error", why)
	}
}

// run sends batches until stop, and then what is left.
func (r *reporter) run() {
	defer close(r.stopped)
	timer := time.NewTimer(r.every)
	defer timer.Stop()
	var due bool // the first span in the queue has waited long enough
	var armed bool
	for {
		r.mu.Lock()
		n, closing := r.queue.n, r.closing
		hurry := closing || r.done < r.urgent || n >= r.batch || due
		r.mu.Unlock()
		switch {
		case n == 0 && closing:
			return
		case n == 0:
			armed, due = false, false
			select {
			case <-r.wake:
			case <-r.ctx.Done():
			}
		case hurry:
			armed, due = false, false
			r.send(r.take())
		default:
			if !armed {
				timer.Reset(r.every)
				armed = true
			}
			select {
			case <-timer.C:
				due = true
			case <-r.wake:
			}
		}
	}
}

func (r *reporter) take() []SpanData {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.take(r.batch)
}

// send brings one batch to the backend, or gives it up.
func (r *reporter) send(spans []SpanData) {
	began := time.Now()
	for failures := 0; ; failures++ {
		ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
		n, err := r.report(ctx, spans)
		cancel()
		n = min(max(n, 0), len(spans))
		refused, reason, err := rejectedOf(err)
		refused = min(refused, n)
		if err == nil {
			r.settle(n-refused, len(spans)-n+refused, 0, refusal(reason))
			return
		}
		if n > 0 {
			r.settle(n-refused, refused, 0, refusal(reason))
			spans = spans[n:]
		}
		if len(spans) == 0 {
			return
		}
		again := errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Timeout) || errors.Is(err, context.DeadlineExceeded)
		if !again || r.ctx.Err() != nil || time.Since(began) >= r.retryFor {
			r.settle(0, 0, len(spans), err)
			return
		}
		r.mu.Lock()
		r.stats.Retries++
		r.stats.LastError = err.Error()
		r.mu.Unlock()
		pause := max(r.retry.Wait(failures), min(pauseOf(err), r.retryFor))
		if pauseOf(err) > 0 { // the backend asked for it
			_ = backoff.Sleep(r.ctx, pause)
		} else {
			r.rest(pause)
		}
	}
}

// refusal is what a backend said of spans that it refused, or nil.
func refusal(reason string) error {
	if reason == "" {
		return nil
	}
	return errors.New("refused by the backend: " + reason)
}

// rest waits, until somebody is in a hurry or Close gives up.
func (r *reporter) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.hurry:
	case <-r.ctx.Done():
	}
}

// report calls the driver; a panic in it is an error like another.
func (r *reporter) report(ctx context.Context, spans []SpanData) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fault.Markf(fault.Invalid, "panic: %v", p)
		}
	}()
	return r.driver.Report(ctx, spans)
}

// settle counts what became of spans and wakes who waited for it.
func (r *reporter) settle(sent, rejected, failed int, err error) {
	var lost uint64
	var why string
	switch {
	case failed > 0:
		why = err.Error()
		if errors.Is(err, context.Canceled) { // Close gave up; what kept the spans until then says more
			why = cmp.Or(r.snapshot().LastError, why)
		}
	case rejected > 0 && err != nil:
		why = err.Error()
	case rejected > 0:
		why = "refused by the backend"
	}
	r.mu.Lock()
	r.stats.Sent += uint64(sent)
	r.stats.Rejected += uint64(rejected)
	r.stats.Failed += uint64(failed)
	if sent > 0 {
		r.stats.Batches++
	}
	if why != "" {
		lost = r.complain(why)
	}
	r.done += uint64(sent + rejected + failed)
	left := r.waiters[:0]
	for _, w := range r.waiters {
		if r.done >= w.until {
			close(w.done)
		} else {
			left = append(left, w)
		}
	}
	r.waiters = left
	r.mu.Unlock()
	r.warn(lost, why)
}

// drained returns a channel that is closed when all that was pushed so far is
// sent or lost.
func (r *reporter) drained() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := waiter{until: r.pushed, done: make(chan struct{})}
	if r.done >= w.until {
		close(w.done)
		return w.done
	}
	r.urgent = max(r.urgent, w.until)
	r.waiters = append(r.waiters, w)
	r.poke()
	poke(r.hurry)
	return w.done
}

// stop makes run return once the queue is empty.
func (r *reporter) stop() {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.poke()
	poke(r.hurry)
}

// grace is how long release waits for a driver whose context has ended.
const grace = time.Second

// release ends what stop has not ended, and closes the driver.
func (r *reporter) release() error {
	r.cancel()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.stopped:
	case <-timer.C:
		return fault.New(fault.Timeout, "trace/"+r.name, "close", "", "the driver did not return")
	}
	return fault.Wrap("trace/"+r.name, "close", "", r.driver.Close())
}

func (r *reporter) snapshot() ReporterStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Queued, s.QueuedBytes = r.queue.n, r.queue.bytes
	return s
}
