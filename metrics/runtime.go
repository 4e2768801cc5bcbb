package metrics

import (
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runtimeSource is one family that WithRuntime adds.
type runtimeSource struct {
	name, help, unit string
	kind             Kind
	from             string                 // a name of runtime/metrics
	read             func() (float64, bool) // or a function
}

// RuntimeFamilies lists what WithRuntime adds: names and help texts.
func RuntimeFamilies() map[string]string {
	all := map[string]string{}
	for _, s := range runtimeSources(time.Now()) {
		all[s.name] = s.help
	}
	return all
}

func runtimeSources(started time.Time) []runtimeSource {
	since := float64(started.UnixNano()) / 1e9
	return []runtimeSource{
		{name: "go_goroutines", help: "Goroutines that exist.", kind: KindGauge, from: "/sched/goroutines:goroutines"},
		{name: "go_gomaxprocs", help: "Threads that run Go code at once.", kind: KindGauge, from: "/sched/gomaxprocs:threads"},
		{name: "go_gc_cycles_total", help: "Completed collections.", kind: KindCounter, from: "/gc/cycles/total:gc-cycles"},
		{name: "go_gc_heap_live_bytes", help: "Heap that the last collection found in use.", unit: "bytes", kind: KindGauge, from: "/gc/heap/live:bytes"},
		{name: "go_gc_heap_goal_bytes", help: "Heap size that the next collection aims at.", unit: "bytes", kind: KindGauge, from: "/gc/heap/goal:bytes"},
		{name: "go_gc_memory_limit_bytes", help: "The memory limit of the runtime.", unit: "bytes", kind: KindGauge, from: "/gc/gomemlimit:bytes"},
		{name: "go_heap_objects_bytes", help: "Memory of objects, live and not yet collected.", unit: "bytes", kind: KindGauge, from: "/memory/classes/heap/objects:bytes"},
		{name: "go_heap_allocated_bytes_total", help: "Memory ever allocated on the heap.", unit: "bytes", kind: KindCounter, from: "/gc/heap/allocs:bytes"},
		{name: "go_heap_allocations_total", help: "Objects ever allocated on the heap.", kind: KindCounter, from: "/gc/heap/allocs:objects"},
		{name: "go_memory_bytes", help: "All memory that the runtime has from the system.", unit: "bytes", kind: KindGauge, from: "/memory/classes/total:bytes"},
		{name: "go_gc_cpu_seconds_total", help: "Processor time that collection took, an estimate.", unit: "seconds", kind: KindCounter, from: "/cpu/classes/gc/total:cpu-seconds"},
		{name: "go_mutex_wait_seconds_total", help: "Time that goroutines waited for mutexes.", unit: "seconds", kind: KindCounter, from: "/sync/mutex/wait/total:seconds"},
		{name: "go_gc_pause_p99_seconds", help: "99th percentile of the stops for collection, since the start.", unit: "seconds", kind: KindGauge, from: "/sched/pauses/total/gc:seconds"},
		{name: "go_sched_latency_p99_seconds", help: "99th percentile of the time that goroutines waited to run, since the start.", unit: "seconds", kind: KindGauge, from: "/sched/latencies:seconds"},
		{name: "process_start_time_seconds", help: "When the process began to measure, in seconds since 1970.", unit: "seconds", kind: KindGauge,
			read: func() (float64, bool) { return since, true }},
		{name: "process_cpu_seconds_total", help: "Processor time of the process, user and system.", unit: "seconds", kind: KindCounter, read: cpuSeconds},
		{name: "process_resident_memory_bytes", help: "Memory of the process that is in RAM.", unit: "bytes", kind: KindGauge, read: residentBytes},
		{name: "process_threads", help: "Threads of the process.", kind: KindGauge, read: threads},
		{name: "process_open_fds", help: "Open file descriptors.", kind: KindGauge, read: openFiles},
	}
}

// runtimeCollector reads all sources at once, for every snapshot.
func runtimeCollector(r *registry) func(now time.Time) []Family {
	started := time.Now()
	sources := runtimeSources(started)
	samples := make([]metrics.Sample, 0, len(sources))
	ids := make([]uint64, len(sources))
	for i, s := range sources {
		ids[i] = r.ids.Add(1)
		r.take(s.name, s.unit, s.kind)
		if s.from != "" {
			samples = append(samples, metrics.Sample{Name: s.from})
		}
	}
	var mu sync.Mutex // of samples
	return func(time.Time) []Family {
		mu.Lock()
		defer mu.Unlock()
		metrics.Read(samples)
		families := make([]Family, 0, len(sources))
		next := 0
		for i, s := range sources {
			var v float64
			ok := true
			if s.from != "" {
				v, ok = sampleValue(samples[next].Value)
				next++
			} else {
				v, ok = s.read()
			}
			if !ok || !finite(v) {
				continue
			}
			one := Series{ID: ids[i], Values: []string{}, Created: started, Value: v}
			if s.kind == KindCounter {
				one.Count = uint64(v)
			}
			families = append(families, Family{Name: s.name, Help: s.help, Unit: s.unit, Kind: s.kind, Series: []Series{one}})
		}
		return families
	}
}

// sampleValue returns a number, or the 99th percentile of a distribution.
func sampleValue(v metrics.Value) (float64, bool) {
	switch v.Kind() {
	case metrics.KindUint64:
		return float64(v.Uint64()), true
	case metrics.KindFloat64:
		return v.Float64(), true
	case metrics.KindFloat64Histogram:
		return percentile(v.Float64Histogram(), 0.99), true
	}
	return 0, false
}

func percentile(h *metrics.Float64Histogram, p float64) float64 {
	var total, sum uint64
	for _, n := range h.Counts {
		total += n
	}
	want := uint64(math.Ceil(p * float64(total)))
	for i, n := range h.Counts {
		if sum += n; sum >= want && n > 0 {
			if up := h.Buckets[i+1]; !math.IsInf(up, 0) {
				return up
			}
			return h.Buckets[i]
		}
	}
	return 0
}

// clockTicks is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTicks = 100

// procStat returns a field of /proc/self/stat by its number in proc(5).
func procStat(fields ...int) (sum float64, ok bool) {
	if runtime.GOOS != "linux" {
		return 0, false
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	_, rest, found := strings.Cut(string(b), ") ") // the name may hold anything
	if !found {
		return 0, false
	}
	parts := strings.Fields(rest)
	for _, f := range fields {
		if f-3 >= len(parts) {
			return 0, false
		}
		n, err := strconv.ParseFloat(parts[f-3], 64)
		if err != nil {
			return 0, false
		}
		sum += n
	}
	return sum, true
}

func cpuSeconds() (float64, bool) {
	n, ok := procStat(14, 15)
	return n / clockTicks, ok
}

func residentBytes() (float64, bool) {
	n, ok := procStat(24)
	return n * float64(os.Getpagesize()), ok
}

func threads() (float64, bool) { return procStat(20) }

func openFiles() (float64, bool) {
	if runtime.GOOS != "linux" {
		return 0, false
	}
	names, err := os.ReadDir("/proc/self/fd")
	return float64(len(names)), err == nil
}
