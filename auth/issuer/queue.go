package issuer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// queue gives out the places in which secrets are hashed. Hashing is slow on
// purpose, so whoever can ask for it can keep others waiting. Therefore:
//
//   - sources take turns: one that asks a thousand times delays the others by
//     one hash and no more;
//   - within a source the newest goes first: under a burst it is the caller
//     that is the likeliest to be waiting still (Maurer, "Fail at Scale", ACM
//     Queue 2015);
//   - a caller whose context ends leaves at once, and nothing is hashed for it;
//   - at most waitMost callers wait, for at most waitLongest.
type queue struct {
	mu      sync.Mutex
	free    int
	waiting int
	lanes   map[string][]chan error // of each source that waits, oldest first
	turns   []string                // the sources that wait, in the order of their turns
}

const (
	waitMost    = 256
	waitLongest = 15 * time.Second
)

// errBusy says that hashing is more than a caller could wait for.
var errBusy = errors.New("too many secrets to check")

func newQueue(places int) *queue { return &queue{free: places, lanes: map[string][]chan error{}} }

// enter waits for a place. After nil, leave must be called.
func (q *queue) enter(ctx context.Context, source string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	turn := make(chan error, 1)
	q.push(source, turn)
	q.mu.Unlock()
	timer := time.NewTimer(waitLongest)
	defer timer.Stop()
	select {
	case err := <-turn:
		return err
	case <-ctx.Done():
		return q.withdraw(source, turn, ctx.Err())
	case <-timer.C:
		return q.withdraw(source, turn, errBusy)
	}
}

// leave gives the place to whoever is next.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turns) == 0 {
		q.free++
		return
	}
	source := q.turns[0]
	q.turns = q.turns[1:]
	lane := q.lanes[source]
	next := lane[len(lane)-1]
	q.keep(source, lane[:len(lane)-1])
	if len(lane) > 1 {
		q.turns = append(q.turns, source)
	}
	next <- nil
}

// push adds a waiter. If there are too many, the oldest of the source that has
// the most must go.
func (q *queue) push(source string, turn chan error) {
	if len(q.lanes[source]) == 0 {
		q.turns = append(q.turns, source)
	}
	q.lanes[source] = append(q.lanes[source], turn)
	q.waiting++
	if q.waiting <= waitMost {
		return
	}
	most := source
	for s, lane := range q.lanes {
		if len(lane) > len(q.lanes[most]) {
			most = s
		}
	}
	q.lanes[most][0] <- errBusy
	q.keep(most, q.lanes[most][1:])
	if len(q.lanes[most]) == 0 {
		q.turns = slices.DeleteFunc(q.turns, func(s string) bool { return s == most })
	}
}

// keep stores what is left of a lane that lost one.
func (q *queue) keep(source string, lane []chan error) {
	q.waiting--
	q.lanes[source] = lane
	if len(lane) == 0 {
		delete(q.lanes, source)
	}
}

// withdraw takes a waiter back and returns err. A place that it was given in
// the meantime goes on to the next.
func (q *queue) withdraw(source string, turn chan error, err error) error {
	q.mu.Lock()
	lane := q.lanes[source]
	if n := slices.Index(lane, turn); n >= 0 {
		q.keep(source, slices.Delete(lane, n, n+1))
		if len(lane) == 1 {
			q.turns = slices.DeleteFunc(q.turns, func(s string) bool { return s == source })
		}
		q.mu.Unlock()
		return err
	}
	q.mu.Unlock()
	if <-turn == nil {
		q.leave()
	}
	return err
}
