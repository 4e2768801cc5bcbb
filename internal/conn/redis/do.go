package redis

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/redis/go-redis/v9"
)

// Do runs f, which sends commands with the context that it is given, and
// returns when it has, or promptly when ctx ends, whichever is first. What f
// waits for is bounded by the client's timeout.
//
// f runs on the caller's goroutine, unless the client is the user's own and ctx
// can be cancelled: then f may still run when Do has returned.
func Do[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (T, error) {
	limit := time.Now().Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	return do(ctx, c, limit, f)
}

// DoBlocking is Do for commands that block. ctx has a deadline, which bounds it
// alone.
func DoBlocking[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (T, error) {
	limit, ok := ctx.Deadline()
	if !ok {
		return Do(ctx, c, f)
	}
	return do(ctx, c, limit, f)
}

func do[T any](ctx context.Context, c *Client, limit time.Time, f func(context.Context) (T, error)) (T, error) {
	switch {
	case ctx.Done() == nil:
		v, err := f(&bounded{ctx, limit})
		return v, ended(ctx, err)
	case !c.owned:
		return leave(ctx, &bounded{ctx, limit}, f)
	}
	call, end := c.calls.begin(ctx, limit)
	defer end()
	v, err := f(call)
	return v, ended(ctx, err)
}

// ended returns ctx's error in place of what its end made of a command. What
// the server answered stays.
func ended(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, answered := errors.AsType[redis.Error](err); answered {
		return err
	}
	return cmp.Or(conn.Ended(ctx), err)
}

// leave runs f on a goroutine, which it leaves when ctx ends.
func leave[T any](ctx, inner context.Context, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	c := make(chan result, 1)
	go func() {
		v, err := f(inner)
		c <- result{v, err}
	}()
	select {
	case r := <-c:
		return r.v, ended(ctx, r.err)
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// bounded is a context with a deadline that only Deadline tells of: the client
// sets it on the connection, so it needs no timer.
type bounded struct {
	context.Context
	at time.Time
}

// Deadline implements context.Context.
func (b *bounded) Deadline() (time.Time, bool) { return b.at, true }
