package monitor

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// Process is what a process uses. Numbers that the platform does not give are 0.
type Process struct {
	Uptime     time.Duration `json:"uptime"`
	CPUUser    time.Duration `json:"cpuUser"`
	CPUSystem  time.Duration `json:"cpuSystem"`
	RSS        uint64        `json:"rss"`        // bytes of memory in use now, as the system counts
	HeapLive   uint64        `json:"heapLive"`   // bytes
	HeapGoal   uint64        `json:"heapGoal"`   // bytes at which the next collection ends
	Limit      uint64        `json:"limit"`      // the soft memory limit, bytes
	GCs        uint64        `json:"gcs"`        // collections since the start
	GCPause    time.Duration `json:"gcPause"`    // 99 % of the pauses since the start were shorter
	SchedDelay time.Duration `json:"schedDelay"` // 99 % of the waits for a processor since the start were shorter
	Goroutines uint64        `json:"goroutines"`
	Threads    int           `json:"threads"`
	FDs        int           `json:"fds"`  // open files and connections
	CPUs       int           `json:"cpus"` // that may be used at once
	Go         string        `json:"go"`
}

// process reads the numbers. It does not stop the world.
func process(start time.Time) Process {
	s := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/goal:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/sched/latencies:seconds"},
	}
	metrics.Read(s)
	p := Process{
		Uptime: time.Since(start), HeapLive: number(s[0]), HeapGoal: number(s[1]), Limit: number(s[2]), GCs: number(s[3]),
		Goroutines: number(s[4]), GCPause: quantile(s[5], 0.99), SchedDelay: quantile(s[6], 0.99),
		CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version(),
	}
	system(&p)
	return p
}

func number(s metrics.Sample) uint64 {
	if s.Value.Kind() == metrics.KindUint64 {
		return s.Value.Uint64()
	}
	return 0
}

func quantile(s metrics.Sample, q float64) time.Duration {
	if s.Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := s.Value.Float64Histogram()
	var total uint64
	for _, n := range h.Counts {
		total += n
	}
	rank := uint64(q * float64(total))
	for i, n := range h.Counts {
		if n > rank {
			return seconds(h.Buckets[min(i+1, len(h.Buckets)-1)], h.Buckets[i])
		}
		rank -= n
	}
	return 0
}

// seconds is the upper bound of a bucket, or its lower one if the upper is infinite.
func seconds(upper, lower float64) time.Duration {
	if upper > 1e9 {
		upper = lower
	}
	return time.Duration(upper * float64(time.Second))
}
