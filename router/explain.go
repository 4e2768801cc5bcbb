package router

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// stats returns what is known of the node.
func (n *Node) stats(r *Request, in bool) NodeStats {
	st := NodeStats{
		ID: n.id, Address: n.Instance().Address, InFlight: n.InFlight(), Latency: n.Latency(), Success: n.Success(),
		Weight: r.Weight(n), View: n.told.weight.value(), InSubset: in,
	}
	for c := range classes {
		st.Outcomes[c] = n.learnt.outcomes[c].Load()
		st.Picks += st.Outcomes[c]
	}
	st.Picks += uint64(st.InFlight)
	if b := n.breaker(r.breaker); b != nil {
		st.Breaker = b.stateAt(r.now)
	}
	for i := range n.breakers {
		if b := n.breaker(i); b != nil {
			st.Breakers[b.stateAt(r.now)]++
			st.Trips += b.opened.Load()
		}
	}
	st.Ejections = n.health.ejections.Load()
	if n.out(r.now) {
		n.health.mu.Lock()
		st.Ejected, st.Reason = true, n.health.reason
		n.health.mu.Unlock()
		st.Until = time.Now().Add(time.Duration(n.health.until.Load()) - r.now)
	}
	return st
}

func (f *front) Stats(name string) []NodeStats {
	e := f.Explain(name)
	out := make([]NodeStats, len(e.Nodes))
	for i, c := range e.Nodes {
		out[i] = c.NodeStats
	}
	return out
}

func (f *front) Explain(name string, opts ...SelectOption) Explanation {
	e := Explanation{Service: name, Strategy: f.o.strategy.String()}
	s := (*f.services.Load())[name]
	if s == nil {
		return e
	}
	m := s.members.Load()
	if m == nil {
		return e
	}
	r := Request{service: s, now: f.o.now()}
	labels := r.fill(opts)
	sub, rule, branch := m.route(s, &r, labels)
	if rule != nil {
		e.Rule = rule.Name
		if branch < 0 {
			e.Fallback = "no instance of the variant is in rotation"
		} else if r.HasKey || len(rule.Branches) == 1 && rule.Branches[0].Weight%100 == 0 {
			e.Variant = rule.variants[branch]
		}
	}
	e.Known, e.Matching, e.Panic = len(m.all), len(sub.nodes), sub.panic.Load()
	if labels != nil && sub == m.whole && rule == nil {
		e.Fallback = "labels ignored"
	}
	r.Panic = e.Panic
	if f.o.breakers != nil {
		r.breaker = s.method(r.method)
		r.guarded = !r.Panic || f.o.breakers.FailFast
	}
	for _, n := range m.all {
		place := slices.Index(sub.nodes, n)
		c := Candidate{NodeStats: n.stats(&r, place >= 0 && place < int(sub.aperture.Load())), Matches: place >= 0}
		c.Score = n.costs(&r)
		if c.Score >= unknown {
			c.Score = 0
		}
		switch {
		case !c.Matches:
			c.Why = "labels"
		case c.Ejected && !e.Panic:
			c.Why = fmt.Sprintf("ejected: %s", c.Reason)
		case r.guarded && !n.ready(&r):
			c.Why = fmt.Sprintf("breaker is %v", c.Breaker)
		case n.lastChoice():
			c.Why = "last choice: " + standing(n.standing.Load()).why()
		case !r.Usable(n):
			c.Why = "excluded"
		}
		if !c.Ejected && c.Breaker != Open && c.Matches && !n.lastChoice() {
			e.Healthy++
		}
		e.Nodes = append(e.Nodes, c)
	}
	slices.SortFunc(e.Nodes, func(a, b Candidate) int { return cmp.Compare(a.ID, b.ID) })
	return e
}
