package wrapper

import (
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/metrics"
)

// discoveryMeter keeps metrics of what discovery knows of services.
type discoveryMeter struct {
	discovery discovery.Discovery
	services  func() []string

	instances, status, staleness *metrics.Vec[metrics.Gauge]

	seen map[string]bool
}

// What the registry says of an instance.
const (
	confirmed   = "confirmed"
	unconfirmed = "unconfirmed"
	preserved   = "preserved"
)

func newDiscoveryMeter(m metrics.Metrics, d discovery.Discovery, services func() []string) *discoveryMeter {
	gauge := func(name, unit, help string, keys ...string) *metrics.Vec[metrics.Gauge] {
		return m.GaugeVec(name, keys, metrics.Unit(unit), metrics.Help(help))
	}
	return &discoveryMeter{
		discovery: d, services: services, seen: map[string]bool{},
		instances: gauge("platform.discovery.instances", "{instance}", "Instances that are known, by whether the registry confirms them.", attrServerAddress, attrInState),
		status:    gauge("platform.discovery.status", "", "1 if the registry keeps this process up to date about the service, 0 if not.", attrServerAddress),
		staleness: gauge("platform.discovery.staleness", "s", "For how long the registry has not confirmed what is known of the service; 0 while it does.", attrServerAddress),
	}
}

func (dm *discoveryMeter) collect() {
	there := map[string]bool{}
	for _, service := range dm.services() {
		s, ok := dm.discovery.Lookup(service)
		if !ok {
			continue
		}
		there[service] = true
		dm.instances.With(service, confirmed).Set(float64(len(s.Instances) - s.Unconfirmed - s.Preserved))
		dm.instances.With(service, unconfirmed).Set(float64(s.Unconfirmed))
		dm.instances.With(service, preserved).Set(float64(s.Preserved))
		live, stale := 1.0, 0.0
		if s.State != discovery.Live {
			live, stale = 0, s.Age().Seconds()
		}
		dm.status.With(service).Set(live)
		dm.staleness.With(service).Set(stale)
	}
	for service := range dm.seen {
		if !there[service] {
			for _, state := range []string{confirmed, unconfirmed, preserved} {
				dm.instances.Delete(service, state)
			}
			dm.status.Delete(service)
			dm.staleness.Delete(service)
		}
	}
	dm.seen = there
}
