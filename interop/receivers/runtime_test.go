package receivers

import (
	"math"
	"testing"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

// What stock dashboards read of a Go program is there under client_golang's
// names, with its types, labels and, where they stand still, values.
func TestRuntimeIsAsClientGolangs(t *testing.T) {
	registry := client.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	theirs, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, metrics.WithRuntime())
	s := m.Snapshot()
	ours := decode(t, prometheus.AppendProtobuf(nil, &s))
	value := func(f *dto.MetricFamily) float64 {
		one := f.Metric[0]
		return one.GetGauge().GetValue() + one.GetCounter().GetValue() + one.GetSummary().GetSampleSum()
	}
	// How far values may be apart that change between the two readings, as a
	// share; what is not here changes at will.
	apart := map[string]float64{
		"go_info": 0, "go_gc_gogc_percent": 0, "go_gc_gomemlimit_bytes": 0, "go_sched_gomaxprocs_threads": 0, "process_max_fds": 0,
		"process_virtual_memory_max_bytes": 0, "process_start_time_seconds": 1e-9, "go_memstats_sys_bytes": .5, "process_virtual_memory_bytes": .5,
		"process_resident_memory_bytes": .5, "go_memstats_heap_sys_bytes": .5, "go_memstats_stack_inuse_bytes": .5, "go_memstats_last_gc_time_seconds": 1e-6,
		"process_open_fds": .5, "process_network_receive_bytes_total": .1,
	}
	for _, want := range theirs {
		got := ours[want.GetName()]
		if got == nil {
			t.Errorf("%s is not there", want.GetName())
			continue
		}
		if got.GetType() != want.GetType() {
			t.Errorf("%s is a %v, want %v", want.GetName(), got.GetType(), want.GetType())
		}
		if len(got.Metric[0].Label) != len(want.Metric[0].Label) || len(got.Metric[0].Label) > 0 && got.Metric[0].Label[0].String() != want.Metric[0].Label[0].String() {
			t.Errorf("%s has labels %v, want %v", want.GetName(), got.Metric[0].Label, want.Metric[0].Label)
		}
		if share, ok := apart[want.GetName()]; ok && math.Abs(value(got)-value(want)) > share*value(want) {
			t.Errorf("%s is %v, want %v", want.GetName(), value(got), value(want))
		}
		if q := want.Metric[0].GetSummary().GetQuantile(); len(got.Metric[0].GetSummary().GetQuantile()) != len(q) {
			t.Errorf("%s has quantiles %v, want %v", want.GetName(), got.Metric[0].GetSummary().GetQuantile(), q)
		}
		delete(ours, want.GetName())
	}
	// Ours alone: what client_golang has only with options, or only as histograms
	// of many buckets.
	for _, name := range []string{"go_gc_heap_live_bytes", "go_cpu_classes_gc_total_cpu_seconds_total", "go_sync_mutex_wait_total_seconds_total", "go_sched_latency_p99_seconds", "process_threads"} {
		if ours[name] == nil {
			t.Errorf("%s is not there", name)
		}
		delete(ours, name)
	}
	for name := range ours {
		t.Errorf("%s is not client_golang's", name)
	}
}
