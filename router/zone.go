package router

// Calls leave a zone when the clients together have made it more than twice as
// busy, for its weight, as the rest, and a call for each instance more: what
// one client has in flight says little where there are many.
const (
	busierAtHome = 2
	idleAtHome   = 1   // calls in flight that are no crowd
	spillStep    = 0.1 // of the share that spills, in a second, at the most
)

// demand moves the share of calls that spill, by what the view says is in
// flight. The lock is held.
func (s *service) demand(m *members, v *View, fresh bool) {
	var home, away struct{ calls, weight float64 }
	for _, n := range m.all {
		part := &home
		if n.away.Load() {
			part = &away
		}
		part.calls += max(v.Nodes[n.id].InFlight, 0)
		part.weight += 1 / n.cost.crowd.value()
	}
	push := -1.0
	if fresh && home.weight > 0 && away.weight > 0 {
		here, there := home.calls/home.weight, away.calls/away.weight
		push = (here - busierAtHome*there - idleAtHome) / (here + idleAtHome)
	}
	s.spill.set(min(max(s.spill.value()+spillStep*max(push, -1), 0), 1))
}
