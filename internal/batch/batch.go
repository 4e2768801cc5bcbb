// Package batch lets calls that are made at the same time share round trips.
//
// Nobody waits for company: a call that finds a free lane is sent at once,
// alone, by its own goroutine. Only while all lanes are busy do calls gather,
// and what has gathered goes together when a lane is free again (group commit).
// So a lone caller pays nothing, and the more callers there are, the less each
// costs.
//
//	caller → a lane is free: a round trip of its own
//	callers → queue → the next free lane: one round trip of all that waited
//
// Two lanes keep a near server busy: one is on the way while the other is
// being read. A far server needs more, so the number of lanes follows the time
// that round trips take.
package batch

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

const (
	minLanes = 2
	maxLanes = 16
	perLane  = 100 * time.Microsecond // of round trip

	// stuck is how long no round trip may end before a call that comes gets a lane
	// of its own: the others may wait for a connection that is dead.
	stuck = 10 * time.Millisecond
)

// Group is one stream of calls, usually to one server. Run and Max are set
// before the first call.
type Group[T any] struct {
	// Run makes the round trip and stores in each call what came of it, also if
	// ctx has ended. ctx is a lone caller's, or Context.
	Run func(ctx context.Context, calls []*T)
	Max int // calls in one round trip, at most

	// MaxBytes bounds a round trip of several by what Size says of each. 0: no
	// bound.
	MaxBytes int
	Size     func(v *T) int

	// Alone, if it is set, makes a lone call on its caller's goroutine, in place
	// of Run.
	Alone func(ctx context.Context, v *T)

	// Queued, if it is set, is notified of a call that may be left by its caller while
	// it is on its way.
	Queued func(v *T)

	// MaxLanes, if it is set, bounds the lanes: 1 where the other side lets one in
	// at a time.
	MaxLanes int

	// Lanes, if it is set, counts the goroutines, so that several groups are
	// waited for together.
	Lanes *sync.WaitGroup

	// Context is that of round trips that belong to nobody. It ends them when
	// the group is no longer needed.
	Context context.Context

	// Slow says that Run does not return when ctx ends. Then it is always called
	// on a goroutine of the group's.
	Slow bool

	mu    sync.Mutex
	queue []*call[T]
	lanes int

	progress time.Time    // when a round trip last ended, or the first lane began
	trip     atomic.Int64 // of a batch, smoothed
	wg       sync.WaitGroup
}

type call[T any] struct {
	v     *T
	done  chan struct{} // holds a token when v is answered
	state atomic.Uint32
}

const (
	waiting = iota
	sent
	left // by its caller, before it was sent
)

// Do hands v to Run and returns nil when Run has answered it. An error is that
// of ctx, which ended before; then v must not be looked at any more, and
// certainlyNot says that it was not sent, nor will be.
func (g *Group[T]) Do(ctx context.Context, v *T) (certainlyNot bool, err error) {
	g.mu.Lock()
	if g.lanes == 0 {
		g.progress = time.Now()
	}
	if !g.Slow && g.lanes < g.wanted() {
		g.lanes++
		g.running().Add(1)
		g.mu.Unlock()
		g.alone(ctx, v)
		return false, nil
	}
	if g.Queued != nil {
		g.Queued(v)
	}
	c := &call[T]{v: v, done: make(chan struct{}, 1)}
	g.queue = append(g.queue, c)
	if g.lanes < g.wanted() || g.lanes < g.most() && time.Since(g.progress) > stuck {
		g.lanes++
		g.running().Add(1)
		go g.lane()
	}
	g.mu.Unlock()
	select {
	case <-c.done:
		return false, nil
	case <-ctx.Done():
		return c.state.CompareAndSwap(waiting, left), ctx.Err()
	}
}

// alone makes a round trip for one call and leaves the lane to those who came
// meanwhile.
func (g *Group[T]) alone(ctx context.Context, v *T) {
	defer g.running().Done()
	defer g.handOn(time.Now())
	if g.Alone != nil {
		g.Alone(ctx, v)
	} else {
		g.Run(ctx, []*T{v})
	}
}

// handOn gives the lane of a round trip that began at start to those who came
// meanwhile. A panic of what was called, which the caller may recover, does not
// keep it.
func (g *Group[T]) handOn(start time.Time) {
	g.took(start)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.progress = time.Now()
	if len(g.queue) == 0 {
		g.lanes--
		return
	}
	g.running().Add(1)
	go g.lane()
}

func (g *Group[T]) running() *sync.WaitGroup {
	if g.Lanes != nil {
		return g.Lanes
	}
	return &g.wg
}

func (g *Group[T]) took(start time.Time) {
	g.trip.Store((7*g.trip.Load() + int64(time.Since(start))) / 8)
}

// wanted is how many lanes the present round trips are worth.
func (g *Group[T]) wanted() int {
	return min(max(int(time.Duration(g.trip.Load())/perLane), minLanes), g.most())
}

func (g *Group[T]) most() int {
	if g.MaxLanes > 0 {
		return g.MaxLanes
	}
	return maxLanes
}

// lane makes round trips until nobody waits.
func (g *Group[T]) lane() {
	defer g.running().Done()
	var (
		calls []*call[T]
		vs    []*T
	)
	for {
		g.mu.Lock()
		if len(calls) > 0 {
			g.progress = time.Now()
		}
		calls, vs = calls[:0], vs[:0]
		n := g.fit()
		for _, c := range g.queue[:n] {
			if c.state.CompareAndSwap(waiting, sent) {
				calls, vs = append(calls, c), append(vs, c.v)
			}
		}
		rest := copy(g.queue, g.queue[n:])
		clear(g.queue[rest:])
		g.queue = g.queue[:rest]
		if len(calls) == 0 && rest == 0 {
			g.lanes--
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		if len(calls) == 0 {
			continue
		}
		start := time.Now()
		g.Run(g.Context, vs)
		g.took(start)
		for _, c := range calls {
			c.done <- struct{}{}
		}
	}
}

// fit is how many of the queue go into one round trip.
func (g *Group[T]) fit() int {
	n := min(len(g.queue), g.Max)
	if g.MaxBytes == 0 {
		return n
	}
	for i, size := 0, 0; i < n; i++ {
		size += g.Size(g.queue[i].v)
		if size > g.MaxBytes {
			return max(i, 1)
		}
	}
	return n
}

// Chunks cuts calls into round trips of at most most calls. Several together have no
// more than bytes, by what size says of each.
func Chunks[T any](calls []T, most, bytes int, size func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		from, sum := 0, 0
		for i, c := range calls {
			n := size(c)
			if i > from && (i-from == most || sum+n > bytes) {
				if !yield(calls[from:i]) {
					return
				}
				from, sum = i, 0
			}
			sum += n
		}
		if from < len(calls) {
			yield(calls[from:])
		}
	}
}

// Wait returns when no round trip is being made. Nobody may call Do any more.
func (g *Group[T]) Wait() { g.running().Wait() }
