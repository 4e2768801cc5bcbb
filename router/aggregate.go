package router

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Aggregation is how Aggregate works. The zero value of a field means its default.
type Aggregation struct {
	Interval time.Duration // between two views; default 5 s
	TTL      time.Duration // how long a report counts; default 15 s
}

// Aggregate combines the reports of all services that come over x, and
// publishes a view of each, until ctx ends, with whose cause it returns: for
// routers that share with FromViews. Any process may run it, for example the
// one that was elected, under the context of its election:
//
//	err := router.Aggregate(elected.Context(), exchange, router.Aggregation{})
//
// Two that run it at the same time do no harm: the same reports come to the
// same view.
func Aggregate(ctx context.Context, x Exchange, a Aggregation) error {
	if fronts.Nil(x) || a.Interval < 0 || a.TTL < 0 {
		return fault.New(ErrInvalid, "router", "aggregate", "", "no exchange, or out of range: %+v", a)
	}
	def(&a.Interval, 5*time.Second)
	def(&a.TTL, 15*time.Second)
	start := time.Now()
	g, by := aggregator{services: map[string]*heard{}}, fmt.Sprintf("%016x", rand.Uint64())
	var reading sync.WaitGroup
	reading.Go(func() {
		hear(ctx, a.Interval, a.TTL, func() error {
			return x.Reports(ctx, "", func(r Report) { g.take(r, time.Since(start)) })
		})
	})
	for seq := uint64(1); backoff.Sleep(ctx, a.Interval) == nil; seq++ {
		for _, v := range g.views(time.Since(start), a.TTL) {
			v.By, v.Seq = by, seq
			func() {
				ctx, cancel := context.WithTimeout(ctx, a.Interval)
				defer cancel()
				_ = fault.Guard(func() error { return x.PublishView(ctx, v) }) // what fails is done again with the next one
			}()
		}
	}
	reading.Wait()
	return fault.Wrap("router", "aggregate", "", errors.Join(context.Cause(ctx)))
}

type aggregator struct {
	mu       sync.Mutex
	services map[string]*heard
}

// maxServices bounds of how many services reports are kept, whoever writes.
const maxServices = 4096

func (g *aggregator) take(r Report, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.services[r.Service]
	if h == nil {
		if r.Service == "" || len(g.services) >= maxServices {
			return
		}
		h = &heard{}
		g.services[r.Service] = h
	}
	h.report(r, now)
}

// views combines what is not too old.
func (g *aggregator) views(now, ttl time.Duration) (all []View) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, h := range g.services {
		var reports []Report
		for client, r := range h.reports {
			if now-r.at > ttl {
				delete(h.reports, client)
			} else {
				reports = append(reports, r.of)
			}
		}
		if len(reports) == 0 {
			delete(g.services, name)
			continue
		}
		all = append(all, Combine(name, reports))
	}
	return all
}
