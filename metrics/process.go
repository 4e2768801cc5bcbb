package metrics

import (
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTicks = 100

// procStat returns a field of /proc/self/stat by its number in proc(5).
func procStat(fields ...int) (sum float64, ok bool) {
	b, ok := proc("stat")
	_, rest, found := strings.Cut(b, ") ") // the name may hold anything
	if !ok || !found {
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

func virtualBytes() (float64, bool) { return procStat(23) }

// startTime returns when the process started: where the system says so, else now.
func startTime(now time.Time) time.Time {
	ticks, ok := procStat(22)
	boot, err := os.ReadFile("/proc/stat")
	_, rest, found := strings.Cut(string(boot), "\nbtime ")
	if !ok || err != nil || !found {
		return now
	}
	line, _, _ := strings.Cut(rest, "\n")
	seconds, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return now
	}
	return time.Unix(seconds, 0).Add(time.Duration(ticks / clockTicks * float64(time.Second)))
}

// procLimit returns a soft limit of the process.
func procLimit(name string) (float64, bool) {
	b, ok := proc("limits")
	_, rest, found := strings.Cut(b, "\n"+name)
	fields := strings.Fields(rest)
	if !ok || !found || len(fields) == 0 {
		return 0, false
	}
	if fields[0] == "unlimited" {
		return math.MaxUint64, true
	}
	n, err := strconv.ParseFloat(fields[0], 64)
	return n, err == nil
}

// netBytes returns a number of the line IpExt of netstat.
func netBytes(name string) (float64, bool) {
	b, ok := proc("net/netstat")
	_, rest, found := strings.Cut("\n"+b, "\nIpExt:")
	names, rest, _ := strings.Cut(rest, "\n")
	values, _, _ := strings.Cut(strings.TrimPrefix(rest, "IpExt:"), "\n")
	i, all := slices.Index(strings.Fields(names), name), strings.Fields(values)
	if !ok || !found || i < 0 || i >= len(all) {
		return 0, false
	}
	n, err := strconv.ParseFloat(all[i], 64)
	return n, err == nil
}

// proc returns a file about the process, of Linux alone.
func proc(name string) (string, bool) {
	if runtime.GOOS != "linux" {
		return "", false
	}
	b, err := os.ReadFile("/proc/self/" + name)
	return string(b), err == nil
}

func threads() (float64, bool) { return procStat(20) }

func openFiles() (float64, bool) {
	if runtime.GOOS != "linux" {
		return 0, false
	}
	names, err := os.ReadDir("/proc/self/fd")
	return float64(len(names)), err == nil
}
