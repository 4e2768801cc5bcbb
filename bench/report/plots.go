package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/bench/sim"
)

// draw writes the plots: one from a simulation that it runs, the others from
// what was measured.
func draw(all map[string]section) error {
	if err := os.MkdirAll("plots", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile("plots/router-load.svg", []byte(routerLoad().svg()), 0o644); err != nil {
		return err
	}
	for file, p := range map[string]plot{
		"plots/kv-redis.svg":     throughput(all["kv"], "Redis/Get/", "Get of 100 bytes on Redis", map[string]string{"kv-ns": "kv", "go-redis-ns": "go-redis"}),
		"plots/kv-memcached.svg": throughput(all["kv"], "Memcached/Get/", "Get of 100 bytes on memcached", map[string]string{"kv-ns": "kv", "gomemcache-ns": "gomemcache"}),
	} {
		if len(p.xs) < 2 {
			continue // not measured yet
		}
		if err := os.WriteFile(file, []byte(p.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// routerLoad is the tail of each strategy's latency as servers of unequal speed
// fill up. Runs repeat: the same code draws the same lines.
func routerLoad() plot {
	policies := []struct {
		name string
		make func(sim.Env) sim.Policy
	}{
		{name: "this router", make: sim.Real()}, {name: "round robin", make: sim.RoundRobin}, {name: "least loaded of two", make: sim.LeastLoaded}, {name: "Finagle's rule", make: sim.Finagle}, {name: "Kratos' rule", make: sim.Kratos}, {name: "omniscient oracle", make: sim.Oracle},
	}
	p := plot{title: "p99 of calls to 50 servers of unequal speed, 20 clients", x: "load of the servers", y: "ms", log: true, low: 20, high: 1000, ticks: []float64{20, 50, 100, 200, 500, 1000},
		xs: []float64{.4, .5, .6, .7, .8, .85, .9, .95}, xLabel: func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }}
	for i, policy := range policies {
		l := line{name: policy.name, bold: i == 0}
		for _, load := range p.xs {
			r := sim.Run(sim.Scenario{Servers: 50, Clients: 20, With: []sim.Feature{sim.Hetero}, Load: load, Calls: 100_000}, 1, policy.make)
			y := float64(r.P99) / float64(time.Millisecond)
			if r.P99 == 0 {
				y = math.NaN()
			}
			l.ys = append(l.ys, y)
		}
		p.lines = append(p.lines, l)
	}
	return p
}

// throughput is operations a second over callers, of benchmarks whose names end
// in the number of callers and whose metrics are nanoseconds of each contender.
func throughput(s section, prefix, title string, contenders map[string]string) plot {
	p := plot{title: title, x: "concurrent callers", y: "operations a second", xLabel: number}
	by := map[string][]float64{}
	for _, r := range s.results {
		callers, err := strconv.Atoi(strings.TrimPrefix(r.name, prefix))
		if err != nil {
			continue
		}
		p.xs = append(p.xs, float64(callers))
		for unit := range contenders {
			by[unit] = append(by[unit], 1e9/r.metrics[unit])
			p.high = max(p.high, 1e9/r.metrics[unit])
		}
	}
	for unit, name := range contenders {
		if ours := name == "kv"; ours {
			p.lines = append([]line{{name, by[unit], true}}, p.lines...)
		} else {
			p.lines = append(p.lines, line{name, by[unit], false})
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(max(p.high, 1))))
	if p.high/step < 4 {
		step /= 2
	}
	p.high = step * math.Ceil(p.high/step)
	for v := 0.0; v <= p.high; v += step {
		p.ticks = append(p.ticks, v)
	}
	return p
}
