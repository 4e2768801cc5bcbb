package wrapper

import (
	"github.com/micro/go-platform/metrics"
)

// measure begins what keeps metrics beside those of calls.
func (w *Wrapper) measure() {
	m := w.o.metrics
	if w.o.monitor != nil {
		w.life.Go(w.measureChecks)
	}
	if w.o.router != nil {
		rm := newRouterMeter(m, w.o.router)
		w.Adapter().OnCollect(rm.collect)
		if w.o.discovery != nil {
			dm := newDiscoveryMeter(m, w.o.discovery, w.o.router.Services)
			w.Adapter().OnCollect(dm.collect)
		}
	}
	registered := m.GaugeVec("platform.registration.status", []string{attrServerAddress}, metrics.Help("1 if the registry has confirmed this instance within its TTL, 0 if not."))
	w.Adapter().OnCollect(func() { w.measureRegistrations(registered) })
}

// measureRegistrations sets a gauge for each name that is registered: it is 0 if
// one of the registrations has failed.
func (w *Wrapper) measureRegistrations(status *metrics.Vec[metrics.Gauge]) {
	w.registrations.mu.Lock()
	all := w.registrations.all
	w.registrations.mu.Unlock()
	values := map[string]float64{}
	for _, r := range all {
		name := r.Instance().Service
		if _, ok := values[name]; !ok {
			values[name] = 1
		}
		if r.Err() != nil {
			values[name] = 0
		}
	}
	for name, v := range values {
		status.With(name).Set(v)
	}
}

// counted adds to a counter what a number has more than when it was last read.
func counted(c metrics.Counter, now, before uint64) {
	if now > before {
		c.Add(int64(now - before))
	}
}
