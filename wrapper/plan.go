package wrapper

import (
	"context"
	"time"

	"github.com/micro/go-platform/router/limits"
)

// NoTimeout given to WithClientTimeout turns off the default bound of calls
// that have no deadline.
const NoTimeout = time.Duration(1<<63 - 1)

// defaultSilence is how long a call without a deadline waits for the answer's
// headers, if nothing else was said.
const defaultSilence = 30 * time.Second

// plan is how calls are made or served: what the options say, and the policy
// that matches a call. It is immutable, but for what it remembers.
type plan struct {
	timeout time.Duration // of a call without a deadline, its answer included; 0: only its headers, within defaultSilence
	attempt time.Duration // 0: none
	retry   RetryPolicy   // with defaults
	hedge   HedgePolicy   // Quantile 0: none
	limit   limits.Limiter
	wait    bool // for limit, instead of failing
	route   string
	targets recent[*target]
}

// plain is the plan without a policy.
func (o *options) plain(side Side) *plan {
	p := &plan{timeout: o.clientTimeout, attempt: o.attempt, retry: o.retry, hedge: o.hedge}
	if side == Server {
		p.timeout = o.serverTimeout
	}
	return p
}

// target is what is remembered of a service.
func (p *plan) target(service string) *target { return p.targets.get(service, p.newTarget) }

// acquire acquires from the limit. A call that goes out without a deadline waits
// no longer for its turn than for an answer.
func (p *plan) acquire(ctx context.Context, c *Call) (limits.Permit, error) {
	_, bounded := ctx.Deadline()
	if !p.wait || bounded || c.Side == Server || p.timeout != 0 {
		return p.limit.Acquire(ctx)
	}
	waiting, cancel := context.WithTimeoutCause(ctx, defaultSilence, errSilent)
	defer cancel()
	permit, err := p.limit.Acquire(waiting)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		err = context.Cause(waiting)
	}
	return permit, err
}

// planOf returns how a call is made.
func (w *Wrapper) planOf(c *Call) *plan {
	if c.plan == nil {
		c.plan = w.find(c)
	}
	return c.plan
}
