package store

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// observer begins calls of one store.
type observer struct {
	a        wrapper.Adapter
	protocol string // "db" or "lock"
	system   string
}

// begin begins a call. on is the table, or the id of a lock; many is how many
// items are asked for together. done is called with the call's error.
func (o observer) begin(ctx context.Context, op, on string, many int) (_ context.Context, done func(error)) {
	c := &wrapper.Call{
		Side: wrapper.Client, Protocol: o.protocol, Service: o.system, System: o.system, Method: op, Action: op, Resource: on, Messages: many, Attempts: 1, Start: time.Now(),
	}
	if o.protocol == "db" && on != "" {
		c.Method = op + " " + on
	}
	if parent, ok := wrapper.FromContext(ctx); ok {
		c.RequestID = parent.RequestID
	}
	ctx = o.a.Observe(ctx, c)
	return ctx, func(err error) {
		c.Class, c.Duration = classOf(err), time.Since(c.Start)
		if c.Class != router.OK {
			c.Err = err
		}
		o.a.Observed(ctx, c)
	}
}

// classOf is how a call went. What a store says of its items is no failure.
func classOf(err error) router.Class {
	switch {
	case err == nil:
		return router.OK
	case errors.Is(err, context.Canceled):
		return router.Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return router.Timeout
	}
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Exists, fault.Conflict, fault.Held:
		return router.OK
	case fault.Timeout:
		return router.Timeout
	case fault.Unavailable:
		return router.Unsent
	case fault.UnknownOutcome:
		return router.Connect
	case fault.Exhausted:
		return router.Overload
	case fault.Invalid, fault.TooLarge, fault.Unsupported, fault.Closed:
		return router.ClientError
	}
	return router.ServerError
}
