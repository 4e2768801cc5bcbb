package consul

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// Answer is what one blocking query brought.
type Answer[T any] struct {
	Value T
	Index uint64
	// Same: nothing has changed since the last answer; Value is the same state.
	Same bool
	// Reset: the index started over, so the server may have lost history or
	// all of its data since the last answer.
	Reset bool
}

// Wait is how long a query waits for a change, where nothing asks for another time.
const Wait = 30 * time.Second

// burst answers may come at once, then one per pace: an index can move without a
// change of what is asked for.
const (
	burst = 10
	pace  = 50 * time.Millisecond
)

// unheld is how often is asked what no blocking query can be had for.
const unheld = time.Second

// slack is what a server may take beyond the wait and its jitter of 1/16.
const slack = 5 * time.Second

// Follow runs blocking queries of the given wait one after another, which get must
// send with the options as they are, and delivers every answer, the state at first,
// until ctx ends, a query fails, or deliver returns an error. While c has as many blocking queries as it
// may, it asks once a second instead.
//
// It keeps the rules of https://developer.hashicorp.com/consul/api-docs/features/blocking:
// an index of 0 counts as 1, an index that went backwards starts over from 0,
// answers are rate limited. A query without an answer after its wait, the
// server's jitter of a sixteenth and 5 s has failed.
func Follow[T any](ctx context.Context, c *Conn, wait time.Duration, get func(q *api.QueryOptions) (T, *api.QueryMeta, error), deliver func(Answer[T]) error) error {
	tokens, filled := float64(burst), time.Now()
	index, last, reset := uint64(0), uint64(0), false // last is the index of the last delivery
	early := 0                                        // answers in a row that said the same before the wait was over
	for {
		release, held := c.hold()
		if !held && index > 0 {
			every := min(unheld, wait)
			if err := backoff.Sleep(ctx, every-rand.N(every/4)); err != nil {
				return err
			}
		}
		began := time.Now()
		value, meta, err := one(ctx, wait, index, held, get)
		release()
		if err != nil {
			return err
		}
		next := max(meta.LastIndex, 1) // an agent without data may say 0, which would not block
		if next < index {
			index, reset = 0, true
			if err := backoff.Sleep(ctx, pace); err != nil {
				return err
			}
			continue
		}
		a := Answer[T]{Value: value, Index: next, Same: next == last && !reset, Reset: reset}
		index, last, reset = next, next, false
		if err := deliver(a); err != nil {
			return err
		}
		now := time.Now()
		tokens = min(burst, tokens+float64(now.Sub(filled))/float64(pace))
		filled = now
		tokens--
		if tokens < 0 {
			if err := backoff.Sleep(ctx, time.Duration(-tokens*float64(pace))); err != nil {
				return err
			}
		}
		if !a.Same || !held || now.Sub(began) >= wait/2 {
			early = 0
			continue
		}
		// One early answer without a change is nothing. A server that doesn't
		// block at all must not make this a busy loop.
		early++
		if early > 1 {
			if err := backoff.Sleep(ctx, min(pace<<min(early, 16), wait/2)); err != nil {
				return err
			}
		}
	}
}

func one[T any](ctx context.Context, wait time.Duration, index uint64, held bool, get func(q *api.QueryOptions) (T, *api.QueryMeta, error)) (value T, meta *api.QueryMeta, err error) {
	limit, q := slack, &api.QueryOptions{}
	if held {
		q.WaitIndex, q.WaitTime = index, wait
	}
	if q.WaitIndex > 0 {
		limit += wait + wait/16
	}
	queryCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, meta, err = get(q.WithContext(queryCtx))
	switch {
	case ctx.Err() != nil:
		return value, nil, ctx.Err()
	case queryCtx.Err() != nil:
		return value, nil, fault.Markf(fault.Unavailable, "no answer to a blocking query after %v", limit)
	case err != nil:
		return value, nil, Read(err)
	case meta == nil:
		return value, nil, fault.Markf(fault.Unavailable, "an answer without an index")
	}
	return value, meta, nil
}

// hold takes one of the blocking queries that c may have at once, and reports
// false if there is none. release gives it back.
func (c *Conn) hold() (release func(), ok bool) {
	select {
	case c.held <- struct{}{}:
		return func() { <-c.held }, true
	default:
		return func() {}, false
	}
}
