package config

import (
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/metrics"
)

// Measure keeps metrics of a configuration until stop is called: its version,
// whether it is what the sources hold, and whether each source can be read.
// docs/semconv.md lists them.
func Measure(m metrics.Metrics, c config.Config) (stop func()) {
	version := m.Gauge("platform.config.version", metrics.Unit("{version}"), metrics.Help("Version of the running configuration: it grows with each change in this process."))
	status := m.Gauge("platform.config.status", metrics.Help("1 if the newest content of every source is running, 0 if not."))
	sources := m.GaugeVec("platform.config.source.status", []string{"platform.config.source"}, metrics.Help("1 if the source was last read well, 0 if not."))
	return m.OnCollect(func() {
		h := c.Health()
		version.Set(float64(h.Version))
		status.Set(truth(h.OK))
		for _, s := range h.Sources {
			sources.With(s.Name).Set(truth(s.Err == nil))
		}
	})
}

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
