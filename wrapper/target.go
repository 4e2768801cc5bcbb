package wrapper

import (
	"context"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/router"
)

// target is what a Wrapper remembers of a service that it calls.
type target struct {
	*budget         // of retries
	took     usual  // how long its answers took
	hedges   *usual // nil without hedging
	audience []auth.TokenOption
}

// usualTail is the quantile of latencies from which bounds are derived.
const usualTail = 0.99

func (p *plan) newTarget(service string) *target {
	t := &target{
		budget: newBudget(p.retry.Ratio, p.retry.PerSecond), took: usual{q: usualTail},
		audience: []auth.TokenOption{auth.Audience(service)},
	}
	if p.hedge.Quantile > 0 {
		t.hedges = &usual{q: p.hedge.Quantile, budget: newBudget(p.hedge.Ratio, 0.1)}
	}
	return t
}

// How much longer than usualTail something takes that is not usual any more.
const (
	lateFactor     = 3 // so long without an answer: a second instance is asked
	ownFactor      = 2 // a deadline that this program set speaks against the instance
	borrowedFactor = 8 // and one that the caller brought
	leastBorrowed  = time.Second
)

// late is how long an attempt may be without an answer before a second
// instance is asked, 0 indefinitely. left is what is left of the call's deadline,
// 0 if it has none.
func (t *target) late(least, left time.Duration) time.Duration {
	tail, known := t.took.after(0)
	if least < 0 || !known {
		return 0
	}
	if left > 0 {
		least = min(least, left/2)
	}
	return max(lateFactor*tail, least)
}

// blame is the class of an outcome as the router and limits are to learn it. A
// call that ended at its deadline says something about the instance only if the
// answer was overdue by what is usual: otherwise whoever set the deadline asked
// for too much, and one who brings short deadlines could take the instances
// away from everybody else.
func (t *target) blame(class router.Class, took time.Duration, bounded, borrowed bool) router.Class {
	if class != router.Timeout || !bounded {
		return class
	}
	tail, known := t.took.after(0)
	switch {
	case !known && !borrowed:
		return class
	case known && !borrowed && took >= ownFactor*tail:
		return class
	case known && borrowed && took >= max(borrowedFactor*tail, leastBorrowed):
		return class
	}
	return router.Cancelled
}

// borrowed reports whether a deadline is the one that the caller of the
// service, on whose behalf a call is made, brought along.
func borrowed(ctx context.Context, end time.Time) bool {
	parent, ok := FromContext(ctx)
	return ok && parent.Side == Server && !parent.brought.IsZero() && !end.Before(parent.brought)
}
