package router

import (
	"cmp"
	"slices"
	"time"

	"github.com/micro/go-platform/discovery"
)

// members is what discovery last said, compiled.
type members struct {
	all      []*Node // in this client's order, the last choices at the end
	place    *place  // of this client among its peers, which the order is for; nil: it has none
	whole    *subset
	rules    []*applied // in the order in which they are tried
	labelled subsets
}

// standing is what discovery thinks of an instance.
type standing uint32

const (
	certain   standing = iota // it is there
	doubted                   // it has expired like most others: the first call that fails makes it preserved
	preserved                 // it has expired: chosen only if there is nothing else
	draining                  // it is about to leave: as well
)

// lastChoice reports whether the node is to be chosen only if no other can be.
func (n *Node) lastChoice() bool { return standing(n.standing.Load()) >= preserved }

// why says why a node is a last choice.
func (s standing) why() string {
	if s == draining {
		return "draining"
	}
	return "expired in the registry"
}

// standings says how an instance stands, which is the i-th of a snapshot.
// Preserved ones are doubted as long as those that are certain would be too
// few: a registry that lost most of its entries knows less than the instances'
// answers.
func (o *options) standings(s *discovery.Snapshot) func(i int) standing {
	live := len(s.Instances) - s.Preserved
	kept := preserved
	if float64(live) < o.panic*float64(len(s.Instances)) {
		kept = doubted
	}
	return func(i int) standing {
		switch {
		case s.Instances[i].Status == discovery.Draining:
			return draining
		case i >= live:
			return kept
		}
		return certain
	}
}

// compileMembers takes over what is known of nodes that stay. The lock is held.
func (sv *service) compileMembers(snap discovery.Snapshot) *members {
	now := sv.o.now()
	var all []*Node
	present := map[string]bool{}
	standing := sv.o.standings(&snap)
	for i := range snap.Instances {
		in := &snap.Instances[i]
		present[in.ID] = true
		n := sv.nodes[in.ID]
		if n == nil {
			n = newNode(sv, in, now)
			sv.nodes[in.ID] = n
		}
		n.gone = 0
		n.instance.Store(in)
		n.away.Store(sv.o.zone != "" && in.Zone != sv.o.zone)
		if was, is := n.standing.Load(), standing(i); was != uint32(preserved) || is != doubted { // what has failed stays where it is
			n.standing.Store(uint32(is))
		}
		if in.Status == discovery.Up || in.Status == discovery.Draining {
			all = append(all, n)
		}
	}
	for id, n := range sv.nodes {
		if present[id] {
			continue
		}
		if n.gone == 0 {
			n.gone = now
		} else if now-n.gone > sv.o.keep {
			delete(sv.nodes, id)
		}
	}
	return sv.arrange(all)
}

// arrange compiles nodes in this client's order: first those of its zone,
// from its place among its peers on, if it has any; those of other zones, and
// then the last choices.
func (sv *service) arrange(all []*Node) *members {
	place := sv.f.place.Load()
	order := func(n *Node) uint64 {
		if place == nil || n.away.Load() {
			return mix(n.key ^ sv.o.client)
		}
		return n.key
	}
	m := &members{all: slices.Clone(all), place: place}
	slices.SortFunc(m.all, func(a, b *Node) int {
		return cmp.Or(flag(a.lastChoice(), b.lastChoice()), flag(a.away.Load(), b.away.Load()), cmp.Compare(order(a), order(b)), cmp.Compare(a.id, b.id))
	})
	if place != nil {
		home := m.all[:near(m.all)]
		start, _ := place.window(len(home))
		turned := append(slices.Clone(home[start:]), home[:start]...)
		copy(home, turned)
	}
	m.whole = m.compile(sv, func(*Node) bool { return true })
	if rules := sv.f.rules.Load(); rules != nil {
		for _, r := range (*rules)[sv.name] {
			m.rules = append(m.rules, m.apply(sv, r))
		}
	}
	return m
}

// flag compares two flags: what is not set comes first.
func flag(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// near is how many nodes, from the first, an aperture is made of: those of
// this client's zone, or all if there are none, without the last choices.
func near(nodes []*Node) int {
	home, all := 0, 0
	for _, n := range nodes {
		if n.lastChoice() {
			break
		}
		all++
		if !n.away.Load() {
			home++
		}
	}
	if home == 0 {
		return all
	}
	return home
}

// doubt makes a node that was doubted, and has failed, a last choice.
func (sv *service) doubt(n *Node) {
	if n.standing.CompareAndSwap(uint32(doubted), uint32(preserved)) {
		sv.reroute()
	}
}

// weigh works out the mean weight of the nodes, and how the usual latency and
// each node's cost follow. The lock is held.
func (sv *service) weigh(m *members, now time.Duration) {
	sum, slowStart := 0.0, time.Duration(sv.slowStart.Load())
	for _, n := range m.all {
		sum += n.weight(now, slowStart)
	}
	if len(m.all) > 0 {
		sv.weight.set(sum / float64(len(m.all)))
	}
	for _, n := range m.all {
		n.crowds(sv, now)
		n.rate(sv)
	}
}

// subset returns the nodes for some labels.
func (m *members) subset(s *service, l *labelSet) *subset {
	if l == nil {
		return m.whole
	}
	return m.labelled.get(subsetKey{labels: l}, func() *subset { return m.carrying(s, l.m) })
}

// carrying compiles the nodes that carry labels.
func (m *members) carrying(s *service, l map[string]string) *subset {
	if len(l) == 0 {
		return m.whole
	}
	sub := m.compile(s, func(n *Node) bool { return carries(n.Instance(), l) })
	if len(sub.nodes) == 0 && s.o.fallback == FallbackAny {
		return m.whole
	}
	return sub
}

// each calls f with every subset.
func (m *members) each(f func(*subset)) {
	f(m.whole)
	m.labelled.each(f)
	for _, a := range m.rules {
		for _, sub := range a.subsets {
			f(sub)
		}
	}
}
