package wrapper

import (
	"context"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

// limitGate asks a limiter. Probes pass: an overloaded process is not dead. It
// keeps its permit in the call, by the limiter's position among the others:
// limiters may be of types that can't be compared, or be equal.
type limitGate struct {
	l  limits.Limiter
	at int
	o  *options
}

func (g limitGate) Enter(ctx context.Context, c *Call) (context.Context, error) {
	if isProbe(c) {
		return ctx, nil
	}
	p, err := g.l.Acquire(ctx)
	if limit, ok := err.(*limits.Error); ok && limit == nil {
		err = nil // declared as *limits.Error and never set
	}
	if err != nil {
		return ctx, err
	}
	c.keep(g.at, p)
	c.passed(ctx, g.l, g.o.faults)
	return ctx, nil
}

func (g limitGate) Leave(_ context.Context, c *Call) { c.release(g.at, c.taught()) }

// keep keeps the permit of the limiter at a position.
func (c *Call) keep(at int, p limits.Permit) {
	if c.permits == nil {
		c.permits = c.permit[:0]
	}
	for len(c.permits) <= at {
		c.permits = append(c.permits, nil)
	}
	c.permits[at] = p
}

// release releases it, once.
func (c *Call) release(at int, class router.Class) {
	if at >= len(c.permits) || c.permits[at] == nil {
		return
	}
	p := c.permits[at]
	c.permits[at] = nil
	p.Release(router.Outcome{Class: class, Latency: c.Duration})
}

// taught is what a limiter learns of a call that came in. A deadline that the
// caller brought teaches nothing: it must not shrink what others may use.
func (c *Call) taught() router.Class {
	if c.refused || c.Class == router.Timeout && !c.brought.IsZero() {
		return router.Cancelled
	}
	return c.Class
}
