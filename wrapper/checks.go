package wrapper

import (
	"context"
	"math"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
)

// measureChecks keeps the gauge platform.check.status for each check of the
// monitor, until ctx ends.
func (w *Wrapper) measureChecks(ctx context.Context) {
	defer w.o.faults.caught(ctx, "the monitor")
	gauges := map[string]func(){}
	defer func() {
		for _, unregister := range gauges {
			unregister()
		}
	}()
	for s := range w.o.monitor.Watch(ctx) {
		for _, c := range s.Checks {
			if gauges[c.Name] == nil {
				value := func() float64 { return checkStatus(w.o.monitor, c.Name) }
				gauges[c.Name] = w.o.metrics.GaugeFunc("platform.check.status", value, metrics.Label{Key: "platform.check.name", Value: c.Name})
			}
		}
		for name, unregister := range gauges {
			if _, ok := s.Check(name); !ok {
				unregister()
				delete(gauges, name)
			}
		}
	}
}

// checkStatus is 1 if a check passes, 0.5 if it warns, 0 if it fails or its
// result is stale, and no value before there is a result.
func checkStatus(m monitor.Monitor, name string) float64 {
	c, ok := m.Status().Check(name)
	switch {
	case !ok || c.State == monitor.Unknown && !c.Stale:
		return math.NaN()
	case c.State == monitor.Pass:
		return 1
	case c.State == monitor.Warn:
		return 0.5
	}
	return 0
}
