package receivers

import "github.com/prometheus/client_golang/prometheus"

// counters are what statsd_exporter's parser counts with.
type counters struct{}

func (*counters) vec() prometheus.CounterVec {
	return *prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"reason"})
}

func (*counters) one() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
}
