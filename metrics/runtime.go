package metrics

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// runtimeSource is one family that WithRuntime adds.
type runtimeSource struct {
	name, help, unit string
	kind             Kind
	from             []string               // names of runtime/metrics, of which the sum counts
	read             func() (float64, bool) // or a function
	fill             func(*Family)          // or what needs more than one number
}

// RuntimeFamilies lists what WithRuntime adds: names and help texts.
func RuntimeFamilies() map[string]string {
	all := map[string]string{}
	for _, s := range runtimeSources(time.Now()) {
		all[s.name] = s.help
	}
	return all
}

const (
	heapObjects  = "/memory/classes/heap/objects:bytes"
	heapUnused   = "/memory/classes/heap/unused:bytes"
	heapReleased = "/memory/classes/heap/released:bytes"
	heapFree     = "/memory/classes/heap/free:bytes"
	stacks       = "/memory/classes/heap/stacks:bytes"
	mspanInUse   = "/memory/classes/metadata/mspan/inuse:bytes"
	mcacheInUse  = "/memory/classes/metadata/mcache/inuse:bytes"
	tinyAllocs   = "/gc/heap/tiny/allocs:objects"
)

// runtimeSources are those of client_golang's Go and process collectors, with
// their names, and some more.
func runtimeSources(started time.Time) []runtimeSource {
	gauge := func(name, help, unit string, from ...string) runtimeSource {
		return runtimeSource{name: name, help: help, unit: unit, kind: KindGauge, from: from}
	}
	counter := func(name, help, unit string, from ...string) runtimeSource {
		return runtimeSource{name: name, help: help, unit: unit, kind: KindCounter, from: from}
	}
	process := func(kind Kind, name, help, unit string, read func() (float64, bool)) runtimeSource {
		return runtimeSource{name: name, help: help, unit: unit, kind: kind, read: read}
	}
	return []runtimeSource{
		{name: "go_info", help: "The version of Go.", kind: KindGauge, fill: goInfo},
		{name: "go_gc_duration_seconds", help: "Pauses of garbage collections.", unit: "seconds", kind: KindSummary, fill: pauses},
		process(KindGauge, "go_memstats_last_gc_time_seconds", "When the last collection ended, in seconds since 1970.", "seconds", lastGC),
		process(KindGauge, "go_threads", "Threads that the runtime made.", "", madeThreads),
		gauge("go_goroutines", "Goroutines that exist.", "", "/sched/goroutines:goroutines"),
		gauge("go_sched_gomaxprocs_threads", "Threads that run Go code at once.", "", "/sched/gomaxprocs:threads"),
		gauge("go_gc_gogc_percent", "How much the heap may grow between collections, GOGC.", "percent", "/gc/gogc:percent"),
		gauge("go_gc_gomemlimit_bytes", "The memory limit of the runtime, GOMEMLIMIT.", "bytes", "/gc/gomemlimit:bytes"),
		gauge("go_memstats_alloc_bytes", "Memory of objects, live and not yet collected.", "bytes", heapObjects),
		counter("go_memstats_alloc_bytes_total", "Memory ever allocated on the heap.", "bytes", "/gc/heap/allocs:bytes"),
		gauge("go_memstats_sys_bytes", "All memory that the runtime has from the system.", "bytes", "/memory/classes/total:bytes"),
		counter("go_memstats_mallocs_total", "Objects ever allocated on the heap.", "", "/gc/heap/allocs:objects", tinyAllocs),
		counter("go_memstats_frees_total", "Objects ever freed on the heap.", "", "/gc/heap/frees:objects", tinyAllocs),
		gauge("go_memstats_heap_alloc_bytes", "Memory of objects, the same as go_memstats_alloc_bytes.", "bytes", heapObjects),
		gauge("go_memstats_heap_sys_bytes", "Heap that the runtime has from the system.", "bytes", heapObjects, heapUnused, heapReleased, heapFree),
		gauge("go_memstats_heap_idle_bytes", "Heap without objects.", "bytes", heapReleased, heapFree),
		gauge("go_memstats_heap_inuse_bytes", "Heap with objects.", "bytes", heapObjects, heapUnused),
		gauge("go_memstats_heap_released_bytes", "Heap that the system has again.", "bytes", heapReleased),
		gauge("go_memstats_heap_objects", "Objects on the heap.", "", "/gc/heap/objects:objects"),
		gauge("go_memstats_stack_inuse_bytes", "Memory of stacks.", "bytes", stacks),
		gauge("go_memstats_stack_sys_bytes", "Memory of stacks, those of threads too.", "bytes", stacks, "/memory/classes/os-stacks:bytes"),
		gauge("go_memstats_mspan_inuse_bytes", "Memory of the heap's spans.", "bytes", mspanInUse),
		gauge("go_memstats_mspan_sys_bytes", "Memory for the heap's spans.", "bytes", mspanInUse, "/memory/classes/metadata/mspan/free:bytes"),
		gauge("go_memstats_mcache_inuse_bytes", "Memory of the heap's caches.", "bytes", mcacheInUse),
		gauge("go_memstats_mcache_sys_bytes", "Memory for the heap's caches.", "bytes", mcacheInUse, "/memory/classes/metadata/mcache/free:bytes"),
		gauge("go_memstats_buck_hash_sys_bytes", "Memory of profiles.", "bytes", "/memory/classes/profiling/buckets:bytes"),
		gauge("go_memstats_gc_sys_bytes", "Memory of the collector.", "bytes", "/memory/classes/metadata/other:bytes"),
		gauge("go_memstats_other_sys_bytes", "Other memory of the runtime.", "bytes", "/memory/classes/other:bytes"),
		gauge("go_memstats_next_gc_bytes", "Heap size that the next collection aims at.", "bytes", "/gc/heap/goal:bytes"),
		// What client_golang has not, or not by default.
		gauge("go_gc_heap_live_bytes", "Heap that the last collection found in use.", "bytes", "/gc/heap/live:bytes"),
		counter("go_cpu_classes_gc_total_cpu_seconds_total", "Processor time that collection took, an estimate.", "seconds", "/cpu/classes/gc/total:cpu-seconds"),
		counter("go_sync_mutex_wait_total_seconds_total", "Time that goroutines waited for mutexes.", "seconds", "/sync/mutex/wait/total:seconds"),
		gauge("go_sched_latency_p99_seconds", "99th percentile of the time that goroutines waited to run, since the start.", "seconds", "/sched/latencies:seconds"),
		process(KindGauge, "process_start_time_seconds", "When the process started, in seconds since 1970.", "seconds",
			func() (float64, bool) { return float64(started.UnixNano()) / 1e9, true }),
		process(KindCounter, "process_cpu_seconds_total", "Processor time of the process, user and system.", "seconds", cpuSeconds),
		process(KindGauge, "process_resident_memory_bytes", "Memory of the process that is in RAM.", "bytes", residentBytes),
		process(KindGauge, "process_virtual_memory_bytes", "Address space of the process.", "bytes", virtualBytes),
		process(KindGauge, "process_virtual_memory_max_bytes", "Address space that the process may have.", "bytes", func() (float64, bool) { return procLimit("Max address space") }),
		process(KindGauge, "process_threads", "Threads of the process.", "", threads),
		process(KindGauge, "process_open_fds", "Open file descriptors.", "", openFiles),
		process(KindGauge, "process_max_fds", "File descriptors that the process may have open.", "", func() (float64, bool) { return procLimit("Max open files") }),
		process(KindCounter, "process_network_receive_bytes_total", "Bytes that the process' network namespace received.", "bytes", func() (float64, bool) { return netBytes("InOctets") }),
		process(KindCounter, "process_network_transmit_bytes_total", "Bytes that the process' network namespace sent.", "bytes", func() (float64, bool) { return netBytes("OutOctets") }),
	}
}

// runtimeCollector reads all sources at once, for every snapshot.
func runtimeCollector(r *registry) func() []Family {
	started := startTime(time.Now())
	sources := runtimeSources(started)
	var samples []metrics.Sample
	at := map[string]int{} // in samples
	ids := make([]uint64, len(sources))
	for i, s := range sources {
		ids[i] = r.ids.Add(1)
		r.take(s.name, s.unit, s.kind)
		for _, name := range s.from {
			if _, ok := at[name]; !ok {
				at[name] = len(samples)
				samples = append(samples, metrics.Sample{Name: name})
			}
		}
	}
	var mu sync.Mutex // of samples
	return func() []Family {
		mu.Lock()
		defer mu.Unlock()
		metrics.Read(samples)
		families := make([]Family, 0, len(sources))
		for i, s := range sources {
			one := Family{Name: s.name, Help: s.help, Unit: s.unit, Kind: s.kind, Series: []Series{{ID: ids[i], Values: []string{}, Created: started}}}
			if s.fill != nil {
				s.fill(&one)
				families = append(families, one)
				continue
			}
			var v float64
			ok := true
			if s.read != nil {
				v, ok = s.read()
			}
			for _, name := range s.from {
				n, found := sampleValue(samples[at[name]].Value)
				v, ok = v+n, ok && found
			}
			if !ok || !finite(v) {
				continue
			}
			one.Series[0].Value = v
			if s.kind == KindCounter {
				one.Series[0].Count = uint64(v)
			}
			families = append(families, one)
		}
		return families
	}
}

func goInfo(f *Family) {
	f.Keys, f.Series[0].Values, f.Series[0].Value = []string{"version"}, []string{runtime.Version()}, 1
}

// pauses fills in the pauses of the last collections, and the number and the
// time of all.
func pauses(f *Family) {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	s := &f.Series[0]
	s.Count, s.Sum = uint64(stats.NumGC), stats.PauseTotal.Seconds()
	for i, d := range stats.PauseQuantiles {
		s.Quantiles = append(s.Quantiles, Quantile{float64(i) / 4, d.Seconds()})
	}
}

func lastGC() (float64, bool) {
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	return float64(stats.LastGC.UnixNano()) / 1e9, true
}

func madeThreads() (float64, bool) {
	n, _ := runtime.ThreadCreateProfile(nil)
	return float64(n), true
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
		sum += n
		if sum >= want && n > 0 {
			if up := h.Buckets[i+1]; !math.IsInf(up, 0) {
				return up
			}
			return h.Buckets[i]
		}
	}
	return 0
}
