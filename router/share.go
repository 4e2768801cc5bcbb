package router

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Exchange carries reports and views between the processes that call a
// service. Packages router/kv and router/event have one each. To write one:
//
//  1. Publish makes r the newest report of its client about its service.
//  2. Reports calls f with the reports about a service, or about all if it is
//     "": first those that are known, as far as the backend keeps them, then
//     each new one. It returns when ctx ends or the backend fails, and is
//     called again then. f is called one call at a time and returns soon.
//     Reports may come twice, or be skipped if a newer one follows.
//  3. PublishView and Views do the same for views.
//  4. Every method returns soon after its context ended.
//  5. What it says is not trusted: a router bounds what any report or view
//     can do.
type Exchange interface {
	Publish(ctx context.Context, r Report) error
	Reports(ctx context.Context, service string, f func(Report)) error
	PublishView(ctx context.Context, v View) error
	Views(ctx context.Context, service string, f func(View)) error
}

// Sharing is how a router shares what it sees. The zero value of a field means
// its default.
type Sharing struct {
	Interval time.Duration // between two reports, ± 20 %; default 5 s
	TTL      time.Duration // how long what others said counts; default three intervals

	// FromViews follows the views that an Aggregator publishes. Else every
	// router combines the reports of all: no process is special, but each
	// reads what every other writes.
	FromViews bool
}

// WithSharing lets the routers of several processes learn from each other what
// instances fail or are slow, over x, which stays the user's.
//
// What they say only scales what this router knows itself: it lowers an
// instance's weight to a quarter at the least, or to 0.8 if the router has
// called it often enough to know it, by at most 30 % a second, and back to
// neutral when no more is heard. If a quarter of an instance's clients have
// ejected it, this one does so too, unless it gets good answers itself, and
// never more than Ejection.Cap. No instance is added or removed, and no call
// waits for x.
func WithSharing(x Exchange, s Sharing) Option {
	return func(o *options) error {
		if fronts.Nil(x) {
			return errors.New("nil exchange")
		}
		if s.Interval < 0 || s.TTL < 0 {
			return fmt.Errorf("sharing out of range: %+v", s)
		}
		def(&s.Interval, 5*time.Second)
		def(&s.TTL, 3*s.Interval)
		o.share = &share{Sharing: s, Exchange: x, client: fmt.Sprintf("%016x", rand.Uint64())}
		return nil
	}
}

type share struct {
	Sharing
	Exchange
	client string
}

// publish tells what was seen of all services, again and again.
func (f *front) publish(ctx context.Context) {
	failing := false
	for {
		d := time.Duration((0.8 + 0.4*rand.Float64()) * float64(f.o.share.Interval))
		if backoff.Sleep(ctx, d) != nil {
			return
		}
		err := f.publishOnce(ctx)
		if err != nil && !failing {
			f.o.logger.Warn("router: what was seen is not shared", "error", err)
		}
		failing = err != nil
	}
}

func (f *front) publishOnce(ctx context.Context) (err error) {
	for _, s := range *f.services.Load() {
		err = errors.Join(err, s.publish(ctx))
	}
	return err
}

func (s *service) publish(ctx context.Context) error {
	r := s.report(s.o.now())
	if len(r.Nodes) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.share.Interval)
	defer cancel()
	return fault.Guard(func() error { return s.o.share.Publish(ctx, r) })
}

// listen takes in what others say about a service.
func (s *service) listen(ctx context.Context) {
	hear(ctx, s.o.share.Interval, s.o.share.TTL, func() error {
		if s.o.share.FromViews {
			return s.o.share.Views(ctx, s.name, func(v View) { s.heard.view(v, s.o.now()) })
		}
		return s.o.share.Reports(ctx, s.name, func(r Report) { s.heard.report(r, s.o.now()) })
	})
}

// hear asks an Exchange again and again, until ctx ends: less often while it fails.
func hear(ctx context.Context, interval, ttl time.Duration, ask func() error) {
	wait := backoff.Policy{Min: 100 * time.Millisecond, Max: interval}
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		_ = fault.Guard(ask)
		if time.Since(began) > ttl {
			n = 0
		}
		backoff.Sleep(ctx, wait.Wait(n))
	}
}

// heard is what others have said about a service.
type heard struct {
	mu      sync.Mutex
	reports map[string]dated[Report] // by client
	combine bool                     // they have changed
	last    dated[View]
}

// dated is something and when it came, by this process's clock.
type dated[T any] struct {
	of T
	at time.Duration
}

// What is kept is bounded, whoever writes.
const (
	maxClients = 4096
	maxNodes   = 16384 // of one report or view
)

func (h *heard) report(r Report, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.reports[r.Client]
	if r.Seq <= old.of.Seq || len(r.Nodes) > maxNodes || !known && len(h.reports) >= maxClients {
		return
	}
	if h.reports == nil {
		h.reports = map[string]dated[Report]{}
	}
	h.reports[r.Client], h.combine = dated[Report]{r, now}, true
}

func (h *heard) view(v View, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := &h.last.of; len(v.Nodes) <= maxNodes && (v.By != last.By || v.Seq > last.Seq) {
		h.last = dated[View]{v, now}
	}
}

// now returns the view as it counts, and how much: from 1 to 0, which it is
// when nothing was heard for twice the TTL.
func (h *heard) now(s *service, now time.Duration) (v View, strength float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ttl := s.o.share.TTL
	if !s.o.share.FromViews {
		for client, r := range h.reports {
			if now-r.at > ttl {
				delete(h.reports, client)
				h.combine = true
			}
		}
		if h.combine && len(h.reports) > 0 { // the last view of all stays until it has faded
			all := make([]Report, 0, len(h.reports))
			for _, r := range h.reports {
				all = append(all, r.of)
				h.last.at = max(h.last.at, r.at)
			}
			h.last.of, h.combine = Combine(s.name, all), false
		}
	}
	age := now - h.last.at
	return h.last.of, min(max(1-float64(age-ttl)/float64(ttl), 0), 1)
}

// step is by how much a view may move a weight in a tick.
const step = 1.3

// heed lets the view act on the nodes. The lock is held.
func (s *service) heed(m *members, now time.Duration) {
	v, strength := s.heard.now(s, now)
	s.demand(m, &v, strength == 1)
	for _, n := range m.all {
		nv, known := v.Nodes[n.id]
		weight, slower := 1.0, 1.0
		if known && strength > 0 {
			part := strength
			if n.learnt.samples.Load() >= enough { // it knows the instance itself
				part /= 6
			}
			weight, slower = math.Pow(lowered(nv.Weight), part), math.Pow(bounded(nv.Slower), strength)
		}
		old := n.told.weight.value()
		n.told.weight.set(min(max(weight, old/step), old*step))
		n.told.slower.set(slower)
		if !known || strength < 1 || !nv.ejects() {
			n.told.voted = false
			continue
		}
		well := n.learnt.samples.Load() >= enough && n.learnt.success.value() > 0.9
		if !n.told.voted && !well && !n.out(now) {
			n.told.voted = s.out(m, n, fmt.Sprintf("ejected by %d of %d clients", nv.Votes, nv.Clients), now, false)
		}
	}
}
