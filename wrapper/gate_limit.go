package wrapper

import (
	"context"

	"github.com/micro/go-platform/router"
)

// limitGate asks a limiter. Probes pass: an overloaded process is not dead.
type limitGate struct{ l router.Limiter }

type permitKey struct{ l router.Limiter }

func (g limitGate) Enter(ctx context.Context, c *Call) (context.Context, error) {
	if isProbe(c) {
		return ctx, nil
	}
	p, err := g.l.Acquire(ctx)
	if err != nil {
		return ctx, err
	}
	return context.WithValue(ctx, permitKey(g), p), nil
}

func (g limitGate) Leave(ctx context.Context, c *Call) {
	if p, ok := ctx.Value(permitKey(g)).(router.Permit); ok {
		p.Release(router.Outcome{Class: c.Class, Latency: c.Duration})
	}
}
