package router

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// subset is the nodes that a call may go to, compiled once for a set of
// instances.
type subset struct {
	nodes    []*Node // in this client's order, the last choices at the end
	chooser  Chooser
	place    *place      // see members
	last     bool        // some are the last choice
	panic    atomic.Bool // too few of the nodes are in rotation
	aperture atomic.Int32
}

// refresher is a Chooser that prepares what it chooses by, once a second.
type refresher interface {
	refresh(r *Request, nodes []*Node)
}

// compile makes a subset of those that match.
func (m *members) compile(s *service, match func(*Node) bool) *subset {
	sub := &subset{chooser: s.o.chooser(), place: m.place}
	for _, n := range m.all {
		if match(n) {
			sub.nodes = append(sub.nodes, n)
			sub.last = sub.last || n.lastChoice()
		}
	}
	sub.refresh(s, s.o.now())
	return sub
}

// chooser is the strategy's. One that panics or gives none must not end the process:
// then any node is as good.
func (o *options) chooser() Chooser {
	var c Chooser
	err := fault.Guard(func() error { c = o.strategy.Chooser(); return nil })
	if err == nil && fronts.Nil(c) {
		err = errors.New("nil chooser")
	}
	if err != nil {
		o.logger.Error("router: the strategy gives no chooser", "error", err)
		return random{}
	}
	return c
}

// refresh decides again what depends on time.
func (s *subset) refresh(sv *service, now time.Duration) {
	first, in := 0, 0
	for _, n := range s.nodes {
		if n.lastChoice() && first > 0 {
			break // they stand at the end, and count if there are no others
		}
		first++
		if !n.out(now) && (len(n.breakers) != 1 || n.breakers[0].Load().ready(now)) {
			in++
		}
	}
	s.panic.Store(first > 0 && (in == 0 || float64(in) < sv.o.panic*float64(first)))
	s.aperture.Store(int32(s.place.aperture(s.nodes)))
	if c, ok := s.chooser.(refresher); ok {
		r := Request{service: sv, now: now, Aperture: int(s.aperture.Load())}
		c.refresh(&r, s.nodes)
	}
}

// healthy reports whether any node of the subset is in rotation.
func (s *subset) healthy(r *Request) bool {
	for _, n := range s.nodes {
		if !n.out(r.now) && !n.lastChoice() {
			return true
		}
	}
	return false
}
