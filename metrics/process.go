package metrics

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTicks = 100

// proc returns a file of /proc, "" where there is none: on Linux alone is what the
// functions below look for.
func proc(name string) string {
	b, _ := os.ReadFile("/proc/" + name)
	return string(b)
}

func cpuSeconds() (float64, bool) {
	n, ok := statFields(proc("self/stat"), 14, 15)
	return n / clockTicks, ok
}

func residentBytes() (float64, bool) {
	n, ok := statFields(proc("self/stat"), 24)
	return n * float64(os.Getpagesize()), ok
}

func virtualBytes() (float64, bool)         { return statFields(proc("self/stat"), 23) }
func threads() (float64, bool)              { return statFields(proc("self/stat"), 20) }
func procLimit(name string) (float64, bool) { return limitOf(proc("self/limits"), name) }
func netBytes(name string) (float64, bool)  { return ipExt(proc("self/net/netstat"), name) }
func startTime(now time.Time) time.Time     { return startOf(proc("self/stat"), proc("stat"), now) }

// statFields returns the sum of fields of a process's stat, by their numbers in
// proc(5).
func statFields(stat string, fields ...int) (sum float64, ok bool) {
	_, rest, _ := strings.Cut(stat, ") ") // the name may hold anything
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

// startOf returns when a process started by its stat and the system's: where they
// say so, else now.
func startOf(stat, system string, now time.Time) time.Time {
	ticks, ok := statFields(stat, 22)
	_, rest, _ := strings.Cut(system, "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	seconds, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if !ok || err != nil {
		return now
	}
	return time.Unix(seconds, 0).Add(time.Duration(ticks / clockTicks * float64(time.Second)))
}

// limitOf returns a soft limit of a process's limits.
func limitOf(limits, name string) (float64, bool) {
	_, rest, _ := strings.Cut(limits, "\n"+name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, false
	}
	if fields[0] == "unlimited" {
		return math.MaxUint64, true
	}
	n, err := strconv.ParseFloat(fields[0], 64)
	return n, err == nil
}

// ipExt returns a number of the line IpExt of a netstat.
func ipExt(netstat, name string) (float64, bool) {
	_, rest, _ := strings.Cut("\n"+netstat, "\nIpExt:")
	names, rest, _ := strings.Cut(rest, "\n")
	values, _, _ := strings.Cut(strings.TrimPrefix(rest, "IpExt:"), "\n")
	i, all := slices.Index(strings.Fields(names), name), strings.Fields(values)
	if i < 0 || i >= len(all) {
		return 0, false
	}
	n, err := strconv.ParseFloat(all[i], 64)
	return n, err == nil
}

func openFiles() (float64, bool) {
	names, err := os.ReadDir("/proc/self/fd")
	return float64(len(names)), err == nil
}
