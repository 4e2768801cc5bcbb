// Package outlet is the way out for log records, spans and metrics: a bounded
// queue, batches, retries, and a count for each item that did not arrive.
//
//	Push → Store (bounded by items and bytes) → batch → Send → receiver
//	          full: dropped, counted            error: pause, again
//
// Push never waits. One goroutine sends, one batch at a time. While the receiver
// is unavailable the pauses between attempts grow, across batches, so that one
// attempt at a time tests whether it is back. At any moment, in Stats:
//
//	pushed   = Accepted + Full + Closed	(and Bad, by Refuse)
//	Accepted = Sent + Refused + Failed + Unsent + Queued
package outlet

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// Config is what an outlet is made of. T is what is pushed, B a batch.
type Config[T, B any] struct {
	Name string // of the package and the driver: log/file

	// The bounds of what waits or is being sent. 0: none.
	Items, Bytes int

	// A batch is sent when so much waits, or the first of it has waited for Age.
	// 0: no such bound.
	BatchItems, BatchBytes int
	Age                    time.Duration

	Timeout  time.Duration  // of one attempt
	Retry    backoff.Policy // the pauses between attempts
	RetryFor time.Duration  // after which a batch is given up; 0: never
	Grace    time.Duration  // how long Close waits for a Send whose context has ended

	Store Store[T, B]

	// Send makes one attempt. It is called by one goroutine at a time.
	Send func(ctx context.Context, b B) Result

	// Note, if it is set, returns a batch of one item that tells the receiver how
	// much was lost since the last note. It is sent ahead of the next batch. One of
	// no bytes is not.
	Note func(lost Count) (b B, bytes int)

	// Tell is called with what goes wrong: once for each outage, and once more
	// when it costs items; at most once in ten seconds.
	Tell func(Trouble)

	// Close is called once, when no Send follows.
	Close func() error
}

// A Store keeps what waits. The outlet calls it with its lock held.
type Store[T, B any] interface {
	// Add takes v in. It keeps nothing of v that the caller may change.
	Add(v T, bytes int)
	// Take removes the oldest batch.
	Take() (b B, n Count)
	// Rest returns b without its first n items, and how many bytes those had.
	Rest(b B, n int) (rest B, bytes int)
	// Done takes back a batch of Take that is needed no more.
	Done(b B)
}

// Result is what came of an attempt: of the batch, from its first item on, so
// many were sent, refused and given up. The others are sent again.
type Result struct {
	Sent    int
	Refused int // by the receiver, for good
	Failed  int // given up

	Why error // why items were refused or given up

	// Err is why the others were not sent. They are sent again after a pause, or
	// at once if it is nil and there is progress.
	Err error
}

// Outlet is one queue and the goroutine that empties it.
type Outlet[T, B any] struct {
	Config[T, B]

	ctx      context.Context // ends when Close gives up waiting
	cancel   context.CancelFunc
	wake     chan struct{} // there is something to look at
	hurry    chan struct{} // somebody waits: cut a pause short
	stopped  chan struct{}
	progress atomic.Uint64 // items that were sent

	mu        sync.Mutex
	waiting   Count  // in Store
	queued    Count  // in Store or being sent
	urgent    uint64 // send without waiting for company until done reaches this
	waiters   []waiter
	closing   bool
	abandoned bool // Close has counted what Send still holds as lost
	stats     Stats
	noted     Count // losses that a note has counted
	teller    teller

	failures int // attempts without progress, in a row; of the goroutine
}

type waiter struct {
	until uint64
	done  chan struct{}
}

// New returns an outlet. Nothing is sent before Start.
func New[T, B any](c Config[T, B]) *Outlet[T, B] {
	o := &Outlet[T, B]{Config: c, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), stopped: make(chan struct{})}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o
}

// Start begins to send.
func (o *Outlet[T, B]) Start() { go o.run() }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Push queues v, or counts it as dropped. An urgent item does not wait for a
// batch to fill.
func (o *Outlet[T, B]) Push(v T, bytes int, urgent bool) {
	o.mu.Lock()
	switch {
	case o.closing:
		o.stats.Closed.add(1, bytes)
		o.mu.Unlock()
		return
	case o.full(bytes):
		o.stats.Full.add(1, bytes)
		o.mu.Unlock()
		return
	}
	whole := o.whole()
	o.Store.Add(v, bytes)
	o.stats.Accepted.add(1, bytes)
	o.queued.add(1, bytes)
	o.waiting.add(1, bytes)
	if urgent {
		o.urgent = o.stats.Accepted.Items
	}
	look := urgent || o.waiting.Items == 1 || !whole && o.whole()
	o.mu.Unlock()
	if look {
		poke(o.wake)
	}
}

// Refuse counts an item as dropped that can't be pushed.
func (o *Outlet[T, B]) Refuse(why error) {
	o.mu.Lock()
	if o.closing {
		o.stats.Closed.add(1, 0)
		o.mu.Unlock()
		return
	}
	o.stats.Bad.add(1, 0)
	c := outcome{why: why}
	o.count(c)
	told, ok := o.trouble(c)
	o.mu.Unlock()
	if ok {
		o.tell(told)
	}
}

// full reports whether there is no room. o.mu is held.
func (o *Outlet[T, B]) full(bytes int) bool {
	return o.Items > 0 && o.queued.Items >= uint64(o.Items) || o.Bytes > 0 && o.queued.Bytes+uint64(bytes) > uint64(o.Bytes)
}

// done is how many of the accepted items are sent or lost. o.mu is held.
func (o *Outlet[T, B]) done() uint64 { return o.stats.Accepted.Items - o.queued.Items }

// whole reports whether a batch is complete. o.mu is held.
func (o *Outlet[T, B]) whole() bool {
	return o.BatchItems > 0 && o.waiting.Items >= uint64(o.BatchItems) || o.BatchBytes > 0 && o.waiting.Bytes > uint64(o.BatchBytes)
}

// Progress is the number of items that were sent so far.
func (o *Outlet[T, B]) Progress() uint64 { return o.progress.Load() }

// Drained returns a channel that is closed when all that was accepted so far is
// sent or lost. Nothing of it waits for a batch to fill or for a pause to end
// that the receiver has not asked for.
func (o *Outlet[T, B]) Drained() <-chan struct{} {
	o.mu.Lock()
	w := waiter{until: o.stats.Accepted.Items, done: make(chan struct{})}
	if o.done() >= w.until {
		o.mu.Unlock()
		close(w.done)
		return w.done
	}
	o.urgent = max(o.urgent, w.until)
	o.waiters = append(o.waiters, w)
	o.mu.Unlock()
	poke(o.wake)
	poke(o.hurry)
	return w.done
}

// stop makes the goroutine end once the queue is empty.
func (o *Outlet[T, B]) stop() <-chan struct{} {
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	poke(o.wake)
	poke(o.hurry)
	return o.stopped
}

// release ends what stop has not ended. What a Send holds that does not return
// counts as lost; Close is called when it does.
func (o *Outlet[T, B]) release() error {
	o.cancel()
	timer := time.NewTimer(o.Grace)
	defer timer.Stop()
	select {
	case <-o.stopped:
	case <-timer.C:
		if o.abandon() {
			return fault.New(fault.Timeout, o.Name, "close", "", "stalled: a write did not return")
		}
	}
	return fault.Wrap(o.Name, "close", "", fault.Guard(o.Close)) // what panics keeps no other open
}
