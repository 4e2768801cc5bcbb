package router

import (
	"maps"
	"sync/atomic"
	"time"
)

// maxMethods is how many methods of a service have breakers of their own, and
// one for all others.
const maxMethods = 64

// method is which of a node's breakers is a method's.
func (s *service) method(name string) int {
	if name == "" || !s.o.breakers.PerMethod {
		return 0
	}
	if all := s.methods.Load(); all != nil {
		if i, ok := (*all)[name]; ok || len(*all) == maxMethods-1 {
			return i
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]int{}
	if old := s.methods.Load(); old != nil {
		maps.Copy(all, *old)
	}
	if _, ok := all[name]; !ok && len(all) < maxMethods-1 {
		all[name] = len(all) + 1
		s.methods.Store(&all)
	}
	return all[name]
}

// guard gives a new node its breakers. Those of methods are made when they are
// first needed.
func (n *Node) guard(s *service) {
	switch {
	case s.o.breakers == nil:
		return
	case s.o.breakers.PerMethod:
		n.breakers = make([]atomic.Pointer[Breaker], maxMethods)
	default:
		n.breakers = make([]atomic.Pointer[Breaker], 1)
	}
	n.breakers[0].Store(s.newBreaker())
}

func (s *service) newBreaker() *Breaker {
	b := &Breaker{away: &s.tripped}
	b.init(&s.o.breakers.BreakerPolicy, s.o.now, s.o.rand)
	return b
}

// breaker returns one of the node's breakers, or nil if it isn't there yet.
func (n *Node) breaker(i int) *Breaker {
	if i >= len(n.breakers) {
		return nil
	}
	return n.breakers[i].Load()
}

// ready reports whether the node's breaker lets a call through.
func (n *Node) ready(r *Request) bool {
	b := n.breaker(r.breaker)
	return b == nil || b.ready(r.now)
}

// enter asks the breaker of the node that was chosen, and those of others if
// it says no. It returns -1 if all do and breakers are to be heeded.
func (s *service) enter(r *Request, sub *subset, i int) (int, Trial) {
	if i >= 0 {
		if t, ok := sub.nodes[i].admit(s, r); ok || !r.heed {
			return i, t
		}
	}
	start := r.Random(len(sub.nodes))
	for k := range sub.nodes {
		j := (start + k) % len(sub.nodes)
		if j == i || !r.Usable(sub.nodes[j]) {
			continue
		}
		if t, ok := sub.nodes[j].admit(s, r); ok {
			return j, t
		}
	}
	return -1, Trial{}
}

// admit lets a call through the node's breaker, or not.
func (n *Node) admit(s *service, r *Request) (Trial, bool) {
	p := &n.breakers[r.breaker]
	b := p.Load()
	if b == nil {
		b = s.newBreaker()
		if !p.CompareAndSwap(nil, b) {
			b = p.Load()
		}
	}
	return b.allow(r.now)
}

// open is the error for a call whose instances all have open breakers.
func (s *service) open(r *Request, sub *subset) error {
	e := &OpenError{Service: s.name}
	for _, n := range sub.nodes {
		if b := n.breaker(r.breaker); b != nil && state(b.word.Load()) != Closed {
			if after := time.Duration(b.until.Load()) - r.now; after > 0 && (e.After == 0 || after < e.After) {
				e.After = after
			}
		}
	}
	return e
}
