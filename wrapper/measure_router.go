package wrapper

import (
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
)

// routerMeter keeps metrics of the instances that a router knows.
type routerMeter struct {
	router router.Router

	outcomes, ejections, trips *metrics.Vec[metrics.Counter]
	instances, breakers        *metrics.Vec[metrics.Gauge]
	latency                    *metrics.Vec[metrics.Gauge]

	seen    map[string]map[string]router.NodeStats // by service and id, when last read
	guarded map[string]bool                        // services that have breakers
}

// What an instance is to the router.
const (
	inRotation    = "in_rotation"
	ejected       = "ejected"
	outOfAperture = "out_of_aperture"
)

func newRouterMeter(m metrics.Metrics, r router.Router) *routerMeter {
	counter := func(name, unit, help string, keys ...string) *metrics.Vec[metrics.Counter] {
		return m.CounterVec(name, keys, metrics.Unit(unit), metrics.Help(help))
	}
	gauge := func(name, unit, help string, keys ...string) *metrics.Vec[metrics.Gauge] {
		return m.GaugeVec(name, keys, metrics.Unit(unit), metrics.Help(help))
	}
	return &routerMeter{
		router: r, seen: map[string]map[string]router.NodeStats{}, guarded: map[string]bool{},
		outcomes:  counter("platform.router.outcomes", "{attempt}", "Attempts that were sent to an instance, by what came of them.", attrServerAddress, attrInstance, attrOutcome),
		ejections: counter("platform.router.ejections", "{ejection}", "How often an instance was taken out of rotation.", attrServerAddress, attrInstance),
		trips:     counter("platform.router.breaker.trips", "{trip}", "How often the breakers of an instance opened.", attrServerAddress, attrInstance),
		instances: gauge("platform.router.instances", "{instance}", "Instances that the router knows, by whether they are called.", attrServerAddress, attrInState),
		breakers:  gauge("platform.router.breakers", "{breaker}", "Breakers of instances and their methods, by state.", attrServerAddress, attrBreaker),
		latency:   gauge("platform.router.latency", "s", "Moving average of an instance's latency, as the router sees it.", attrServerAddress, attrInstance),
	}
}

func (rm *routerMeter) collect() {
	there := map[string]bool{}
	for _, service := range rm.router.Services() {
		there[service] = true
		rm.service(service, rm.router.Stats(service))
	}
	for service := range rm.seen {
		if !there[service] {
			rm.forget(service)
		}
	}
}

// service takes in what is known of a service's instances.
func (rm *routerMeter) service(service string, nodes []router.NodeStats) {
	before, now := rm.seen[service], make(map[string]router.NodeStats, len(nodes))
	states := map[string]int{inRotation: 0, ejected: 0, outOfAperture: 0}
	breakers := router.NodeStats{}.Breakers
	for _, n := range nodes {
		now[n.ID] = n
		rm.node(service, n, before[n.ID])
		switch {
		case n.Ejected:
			states[ejected]++
		case n.InSubset:
			states[inRotation]++
		default:
			states[outOfAperture]++
		}
		for state, count := range n.Breakers {
			breakers[state] += count
			rm.guarded[service] = rm.guarded[service] || count > 0
		}
	}
	for state, count := range states {
		rm.instances.With(service, state).Set(float64(count))
	}
	if rm.guarded[service] {
		for state, count := range breakers {
			rm.breakers.With(service, router.State(state).String()).Set(float64(count))
		}
	}
	for id := range before {
		if _, ok := now[id]; !ok {
			rm.gone(service, id)
		}
	}
	rm.seen[service] = now
}

// node adds what an instance has more than before. One with smaller numbers is
// another one of the same id.
func (rm *routerMeter) node(service string, n, before router.NodeStats) {
	for class, count := range n.Outcomes {
		if count < before.Outcomes[class] {
			before = router.NodeStats{}
		}
	}
	for class, count := range n.Outcomes {
		if count > 0 {
			counted(rm.outcomes.With(service, n.ID, router.Class(class).String()), count, before.Outcomes[class])
		}
	}
	if n.Picks == 0 {
		return // it is not called
	}
	// From 0: a rate does not see that a counter came with 1.
	counted(rm.ejections.With(service, n.ID), n.Ejections, before.Ejections)
	if n.Breakers != (router.NodeStats{}).Breakers {
		counted(rm.trips.With(service, n.ID), n.Trips, before.Trips)
	}
	if n.Latency > 0 {
		rm.latency.With(service, n.ID).Set(n.Latency.Seconds())
	}
}

// gone deletes the series of an instance that is there no more.
func (rm *routerMeter) gone(service, id string) {
	before := rm.seen[service][id]
	for class := range before.Outcomes {
		rm.outcomes.Delete(service, id, router.Class(class).String())
	}
	rm.ejections.Delete(service, id)
	rm.trips.Delete(service, id)
	rm.latency.Delete(service, id)
}

// forget deletes the series of a service that is called no more.
func (rm *routerMeter) forget(service string) {
	for id := range rm.seen[service] {
		rm.gone(service, id)
	}
	for _, state := range []string{inRotation, ejected, outOfAperture} {
		rm.instances.Delete(service, state)
	}
	for _, state := range [...]router.State{router.Closed, router.Open, router.HalfOpen, router.Ramping} {
		rm.breakers.Delete(service, state.String())
	}
	delete(rm.seen, service)
	delete(rm.guarded, service)
}
