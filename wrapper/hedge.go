package wrapper

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/router"
)

// HedgePolicy sends an idempotent call to another instance when the answer of
// the first takes longer than usual, and takes the answer that comes first
// (Dean and Barroso, The Tail at Scale, 2013).
type HedgePolicy struct {
	// Quantile of the latencies seen so far after which a call is hedged: 0.95
	// hedges about one call of twenty. Required.
	Quantile float64
	// Min is the shortest wait before a hedge; 0 means 1 ms.
	Min time.Duration
	// Ratio is the share of calls that may be hedges, over about 10 s; 0 means
	// 0.05. In an outage, when every call is late, that is what stops hedges.
	Ratio float64
}

func (p HedgePolicy) validate() error {
	if !(p.Quantile > 0 && p.Quantile < 1) || p.Min < 0 || !(p.Ratio >= 0 && p.Ratio <= 1) {
		return errors.New("hedge policy out of range")
	}
	return nil
}

func (p HedgePolicy) withDefaults() HedgePolicy {
	orDefault(&p.Min, time.Millisecond)
	orDefault(&p.Ratio, 0.05)
	return p
}

// usual follows a quantile of the latencies of a service: a sample above moves
// it up a little, one below down, so that it rests where the quantile is.
type usual struct {
	bits  atomic.Uint64 // of the estimate, in nanoseconds
	count atomic.Uint32
	q     float64
	*budget
}

const (
	usualStep   = 0.05
	usualSample = 20 // latencies before the estimate counts
)

func (u *usual) add(d time.Duration) {
	old := math.Float64frombits(u.bits.Load())
	if u.count.Load() < usualSample {
		u.count.Add(1)
		u.bits.Store(math.Float64bits(max(old, float64(d))))
		return
	}
	if float64(d) > old {
		old *= 1 + usualStep*u.q
	} else {
		old *= 1 - usualStep*(1-u.q)
	}
	u.bits.Store(math.Float64bits(old))
}

// after returns how long to wait before a hedge, if one may come at all.
func (u *usual) after(least time.Duration) (time.Duration, bool) {
	return max(time.Duration(math.Float64frombits(u.bits.Load())), least), u.count.Load() >= usualSample
}

// usual returns the service's, or nil without hedging.
func (w *Wrapper) usual(service string) *usual {
	if w.o.hedge.Quantile == 0 {
		return nil
	}
	if v, ok := w.usuals.Load(service); ok {
		return v.(*usual)
	}
	v, _ := w.usuals.LoadOrStore(service, &usual{q: w.o.hedge.Quantile, budget: newBudget(w.o.hedge.Ratio, 0.1)})
	return v.(*usual)
}

// arrival is how an attempt ended.
type arrival struct {
	a    *sending
	resp *http.Response
	err  error
}

// try sends an attempt, and another one beside it if it is late and may be
// hedged. It returns the one that counts.
func (s *sent) try(a *sending) arrival {
	s.began = true
	u := s.t.w.usual(s.call.Service)
	if u == nil || !s.routed || !s.idempotent() || s.body != nil {
		resp, err := a.roundTrip()
		return arrival{a, resp, err}
	}
	u.deposit()
	wait, ok := u.after(s.t.w.o.hedge.Min)
	var r arrival
	if ok {
		r = s.race(a, u, wait)
	} else {
		resp, err := a.roundTrip()
		r = arrival{a, resp, err}
	}
	if r.err == nil {
		u.add(r.a.Latency)
	}
	return r
}

func (s *sent) race(a *sending, u *usual, wait time.Duration) arrival {
	arrivals := make(chan arrival, 2) // neither sender ever waits
	send := func(a *sending) bool {
		a.ctx, a.cancel = context.WithCancelCause(s.ctx)
		return s.t.w.life.Go(func(context.Context) {
			resp, err := a.roundTrip()
			arrivals <- arrival{a, resp, err}
		})
	}
	if !send(a) { // closed
		resp, err := a.roundTrip()
		return arrival{a, resp, err}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case r := <-arrivals:
		return r
	case <-timer.C:
	}
	if s.ctx.Err() != nil || !u.take() {
		return <-arrivals
	}
	b, err := s.attempt()
	switch {
	case err != nil || b.Instance.ID == a.Instance.ID: // there is no other
		u.giveBack()
		if err == nil {
			b.over = true
			b.pick.Done(router.Outcome{Class: router.Cancelled})
			s.call.Attempts--
		}
		return <-arrivals
	case !send(b):
		return <-arrivals
	}
	r := <-arrivals
	other := b
	if r.a == b {
		other = a
	}
	if r.a.result.class.Failed() { // the other may do better
		if r2 := <-arrivals; !r2.a.result.class.Failed() {
			r, r2 = r2, r
			lose(r2)
		} else {
			lose(r2)
		}
		return r
	}
	other.cancel(context.Canceled)
	last := func(context.Context) {
		r := <-arrivals
		r.a.result.class = router.Cancelled // that nobody waited says nothing about the instance
		lose(r)
	}
	if !s.t.w.life.Go(last) {
		last(s.ctx)
	}
	return r
}

// lose ends an attempt that nobody waits for.
func lose(r arrival) {
	discard(r.resp)
	r.a.done(nil)
}
