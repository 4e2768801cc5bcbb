// Package watch is the one loop of everything that follows a backend: it
// resumes where it stopped, starts over after a gap, and waits with jitter
// between failures, so that a backend that is unavailable costs a bounded number of
// requests.
package watch

import (
	"context"
	"errors"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// ErrGap is returned by a session whose cursor the backend can no longer
// resume from: compacted history, an index that went backwards, messages lost
// over a reconnect. The next session starts from the zero cursor, at once.
var ErrGap = errors.New("watch: gap in the history")

// Options of Follow. The zero value is usable.
type Options struct {
	Backoff backoff.Policy  // between failed sessions
	OnError func(err error) // notified of every session's failure, before the wait; nil: nobody is
}

// Follow runs one session after another until ctx ends and returns ctx's error.
//
// A session reads the backend's whole state if from is the zero cursor, else
// what changed after from, delivers it, and goes on with the changes until it
// fails. It calls progress with the cursor up to which everything has been
// delivered; that resets the backoff. A session that returns nil (a server
// ended the stream in good order) is resumed like one that failed, and so is one
// that panics.
func Follow[C comparable](ctx context.Context, o Options, session func(ctx context.Context, from C, progress func(C)) error) error {
	var (
		zero, cursor C
		failures     int
		gaps         int
	)
	for {
		moved := false
		err := fault.Guard(func() error {
			return session(ctx, cursor, func(c C) { cursor, moved = c, true })
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if moved {
			failures, gaps = 0, 0
		}
		if errors.Is(err, ErrGap) {
			cursor = zero
			gaps++
			if gaps == 1 {
				continue // a second gap without progress between is a failure like any other
			}
		}
		if err != nil && o.OnError != nil {
			o.OnError(err)
		}
		if err := backoff.Sleep(ctx, o.Backoff.Wait(failures)); err != nil {
			return err
		}
		failures++
	}
}

// Again runs f, the code of somebody else, and again after a wait for as long as it
// panics and ctx has not ended. failed is notified of each panic; nil: nobody is.
func Again(ctx context.Context, f func(), failed func(err error)) {
	for n := 0; ; n++ {
		err := fault.Guard(func() error { f(); return nil })
		if err != nil && failed != nil {
			failed(err)
		}
		if err == nil || backoff.Sleep(ctx, backoff.Policy{}.Wait(n)) != nil {
			return
		}
	}
}

// Coalesce calls deliver with the newest of the values that push was given,
// one call at a time, and never loses the last one: a slow reader skips values
// in between. It is what stands between a watch and a subscriber that must not
// hold it up.
type Coalesce[T any] struct{ c chan T }

// NewCoalesce returns an empty Coalesce.
func NewCoalesce[T any]() *Coalesce[T] { return &Coalesce[T]{c: make(chan T, 1)} }

// Push replaces the value that waits to be read. It never blocks. Calls must
// not be concurrent with each other.
func (c *Coalesce[T]) Push(v T) {
	for {
		select {
		case c.c <- v:
			return
		default:
		}
		select {
		case <-c.c:
		default:
		}
	}
}

// C delivers the values; each at most once.
func (c *Coalesce[T]) C() <-chan T { return c.c }
