package grpc

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

type picker struct{ b *routed }

// dials is how many instances without a connection one pick may begin to
// connect to before it takes, or waits for, one that has.
const dials = 3

// Pick asks the router. An instance that can't be reached is told to it; one
// that is being connected to is passed over while others are connected.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	b := p.b
	rt, _ := info.Ctx.Value(routingKey{}).(*routing)
	var tried []string
	if rt != nil {
		tried = slices.Clip(rt.tried)
	}
	before := len(tried)
	var failure error
	for waiting := 0; ; {
		pick, err := b.r.Pick(info.Ctx, b.service, b.a.SelectOptions(info.Ctx, info.FullMethodName, tried, nil)...)
		if err != nil {
			return balancer.PickResult{}, unavailable{err}
		}
		seen := slices.Contains(tried[before:], pick.Instance.ID) // there is no other
		sc, state, err := b.state(pick.Instance.Address)
		if state == connectivity.Ready {
			if rt != nil {
				rt.mu.Lock()
				rt.pick = pick
				rt.mu.Unlock()
			}
			start := time.Now()
			return balancer.PickResult{SubConn: sc, Done: func(d balancer.DoneInfo) { pick.Done(b.outcomeOf(info.Ctx, start, d, rt)) }}, nil
		}
		class := router.Cancelled
		if state == connectivity.TransientFailure {
			class, failure = router.Unsent, err
		} else {
			waiting++
		}
		pick.Done(router.Outcome{Class: class})
		switch {
		case seen && waiting == 0 && failure != nil:
			return balancer.PickResult{}, unavailable{failure}
		case seen, waiting >= dials && !b.connected():
			return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
		}
		tried = append(tried, pick.Instance.ID)
	}
}

// connected reports whether any instance is.
func (b *routed) connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready > 0
}

// outcomeOf is what the router learns of a call. How long a stream lives says
// nothing about its instance: what counts is how long it took to open.
func (b *routed) outcomeOf(ctx context.Context, start time.Time, d balancer.DoneInfo, rt *routing) router.Outcome {
	o := router.Outcome{Class: classOf(d.Err, d.BytesReceived), Load: loadOf(d.Trailer)}
	switch {
	case d.Err == nil && !d.BytesSent && !d.BytesReceived: // the connection was lost before the call began
		o.Class = router.Cancelled
	case o.Class == router.Connect && !d.BytesSent:
		o.Class = router.Unsent
	}
	if rt != nil && rt.stream {
		o.Latency = time.Duration(rt.opened.Load())
	}
	if o.Class == router.Timeout && rt != nil && rt.call != nil {
		o.Class = b.a.Blame(ctx, rt.call, o.Class, time.Since(start))
	}
	return o
}

// loadOf reads what a server says about itself.
func loadOf(trailer metadata.MD) router.Load {
	if v := trailer.Get(wrapper.HeaderLoad); len(v) > 0 {
		return wrapper.ParseLoad(v[0])
	}
	return router.Load{}
}
