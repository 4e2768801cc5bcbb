package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
)

// observer begins calls of one store.
type observer struct {
	a        wrapper.Adapter
	protocol string // "db" or "lock"
	system   string
	says     says
}

// says is what a package's own errors mean. Kinds of other packages, of which a
// transaction's function may return some, mean nothing here.
type says struct {
	fine    []error // about an item, not about the call
	late    []error
	unsent  []error
	unknown []error
	bad     []error // the caller asked for something that can't be
}

var (
	saysKV = says{
		fine:   []error{kv.ErrNotFound, kv.ErrExists, kv.ErrConflict},
		unsent: []error{kv.ErrUnavailable}, unknown: []error{kv.ErrUnknownOutcome},
		bad: []error{kv.ErrInvalid, kv.ErrTooLarge, kv.ErrUnsupported, kv.ErrClosed},
	}
	saysDB = says{
		fine:   []error{db.ErrNotFound, db.ErrExists, db.ErrConflict},
		unsent: []error{db.ErrUnavailable}, unknown: []error{db.ErrUnknownOutcome},
		bad: []error{db.ErrInvalid, db.ErrTooLarge, db.ErrUnsupported, db.ErrClosed},
	}
	saysSync = says{
		fine: []error{dsync.ErrHeld, dsync.ErrConflict, dsync.ErrNoLeader}, late: []error{dsync.ErrTimeout},
		unsent: []error{dsync.ErrUnavailable}, unknown: []error{dsync.ErrUnknownOutcome},
		bad: []error{dsync.ErrInvalid, dsync.ErrUnsupported, dsync.ErrClosed},
	}
)

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
		c.Class, c.Duration = o.says.classOf(err), time.Since(c.Start)
		if c.Class != router.OK {
			c.Err = err
		}
		o.a.Observed(ctx, c)
	}
}

// classOf is how a call went. What a store says of its items is no failure.
func (s says) classOf(err error) router.Class {
	switch {
	case err == nil:
		return router.OK
	case errors.Is(err, context.Canceled):
		return router.Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return router.Timeout
	}
	for _, kind := range []struct {
		sentinels []error
		class     router.Class
	}{{s.fine, router.OK}, {s.bad, router.ClientError}, {s.unknown, router.Connect}, {s.unsent, router.Unsent}, {s.late, router.Timeout}} {
		if slices.ContainsFunc(kind.sentinels, func(s error) bool { return errors.Is(err, s) }) {
			return kind.class
		}
	}
	return router.ServerError
}
