package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// section is what one package measured.
type section struct {
	name        string
	environment string
	results     []result
}

// result is one benchmark.
type result struct {
	name    string
	metrics map[string]float64 // by unit
}

// parse reads a line of go test -bench.
func parse(line string) (result, bool) {
	f := strings.Fields(line)
	if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
		return result{}, false
	}
	if _, err := strconv.Atoi(f[1]); err != nil {
		return result{}, false
	}
	r := result{strings.TrimSuffix(strings.TrimPrefix(f[0], "Benchmark"), "-"+strconv.Itoa(runtime.GOMAXPROCS(0))), map[string]float64{}}
	for i := 2; i+1 < len(f); i += 2 {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return result{}, false
		}
		r.metrics[f[i+1]] = v
	}
	if r.metrics["ns/op"] == 0 { // it measures by itself: these are of the whole run
		for _, unit := range []string{"ns/op", "B/op", "allocs/op"} {
			delete(r.metrics, unit)
		}
	}
	return r, len(r.metrics) > 0
}

// digits writes four of them, and no exponent.
func digits(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// environment says what a package was measured with: Go, the machine, what else
// it did, and the modules that the package tests against.
func environment(folder string) (string, error) {
	deps, err := command("go", "list", "-test", "-deps", "-f", "{{if .Module}}{{if not .Module.Indirect}}{{if .Module.Version}}{{.Module.Path}}@{{.Module.Version}}{{end}}{{end}}{{end}}", folder)
	if err != nil {
		return "", err
	}
	modules := slices.Compact(slices.Sorted(slices.Values(strings.Fields(deps))))
	load := ""
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load " + strings.Fields(string(b))[0] + " before"
	}
	return fmt.Sprintf("%s, %s/%s, %d × %s%s; %s.", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), load, strings.Join(modules, ", ")), nil
}

func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU"
}

// ratio reports whether a unit is a multiple of something, by the names that
// the benchmarks give.
func ratio(unit string) bool {
	return strings.HasPrefix(unit, "x-") || strings.Contains(unit, "/oracle")
}

// write makes RESULTS.md.
func write(all map[string]section) string {
	var b strings.Builder
	b.WriteString("# What the benchmarks said\n\nWritten by `make bench`, raw. Each figure is one of `go test -bench`: ratios to a peer or an oracle first (`x-peer` is ours as a multiple of the peer's), then times, bytes and allocations. [README.md](README.md) says what they mean.\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| benchmark | ratios | figures |\n|---|---|---|\n", s.name, s.environment)
		for _, r := range s.results {
			var ratios, figures []string
			for _, unit := range slices.SortedFunc(maps.Keys(r.metrics), cmp.Compare) {
				text := digits(r.metrics[unit]) + " " + unit
				if ratio(unit) {
					ratios = append(ratios, text)
				} else {
					figures = append(figures, text)
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, strings.Join(ratios, ", "), strings.Join(figures, ", "))
		}
	}
	return b.String()
}

// read is the inverse of write.
func read(text string) map[string]section {
	all := map[string]section{}
	for i, part := range strings.Split(text, "\n## ") {
		if i == 0 {
			continue
		}
		lines := strings.Split(part, "\n")
		s := section{name: lines[0]}
		for _, line := range lines[1:] {
			cells := strings.Split(line, " | ")
			switch {
			case s.environment == "" && line != "":
				s.environment = line
			case len(cells) == 3 && strings.HasPrefix(line, "| ") && cells[0] != "| benchmark":
				r := result{strings.TrimPrefix(cells[0], "| "), map[string]float64{}}
				for _, m := range strings.Split(cells[1]+", "+strings.TrimSuffix(cells[2], " |"), ", ") {
					if v, unit, ok := strings.Cut(m, " "); ok {
						r.metrics[unit], _ = strconv.ParseFloat(v, 64)
					}
				}
				s.results = append(s.results, r)
			}
		}
		all[s.name] = s
	}
	return all
}
