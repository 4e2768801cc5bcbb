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

// figures are the ten that figures.md explains: two from a simulation, which is
// run for them, the others from what was measured. Nothing is drawn of what was
// not measured yet.
func figures() map[string]func(all map[string]section) string {
	return map[string]func(all map[string]section) string{
		"router-load":    func(map[string]section) string { return routerLoad().svg() },
		"router-balance": func(map[string]section) string { return routerBalance().svg() },
		"kv-redis": func(all map[string]section) string {
			return throughput(all["kv"], "Redis/Get/", "Get of 100 bytes on Redis", map[string]string{"kv-ns": "kv", "go-redis-ns": "go-redis"}).svg()
		},
		"kv-memory": func(all map[string]section) string {
			return bars{title: "An operation in memory, 100 bytes, 8 goroutines", unit: "ns, less is better", groups: from(all,
				[]contender{{"kv-ns", "kv"}, {"otter-ns", "otter"}, {"ristretto-ns", "ristretto"}, {"sharded-ns", "sharded map"}},
				measured{"Get", "kv", "Memory/Get/8"}, measured{"Put", "kv", "Memory/Put/8"})}.ordered().svg()
		},
		"sync-handoff": func(all map[string]section) string {
			return bars{title: "From the release of a lock to the next holder, median", unit: "ms, less is better", log: true, groups: from(all,
				[]contender{{"ours-ms", "sync"}, {"redsync-ms", "redsync"}, {"redislock-ms", "redislock"}, {"concurrency.Mutex-ms", "etcd's Mutex"}, {"advisory-ms", "advisory lock"}},
				measured{"Redis", "sync", "RedisHandOff"}, measured{"etcd", "sync", "EtcdHandOff"}, measured{"PostgreSQL", "sync", "PostgresHandOff"})}.ordered().svg()
		},
		"event": func(all map[string]section) string {
			return bars{title: "Records of 150 bytes", unit: "a second, more is better", log: true, groups: from(all,
				[]contender{{"ours/s", "event"}, {"gochannel/s", "gochannel"}, {"watermill/s", "Watermill"}, {"raw-pipeline/s", "bare pipeline"}, {"raw-batches/s", "bare batches"}, {"raw-prepared/s", "bare statement"}},
				measured{"Memory: publish to deliver", "event", "Memory/one-by-one"}, measured{"Redis: publish", "event", "RedisPublish"}, measured{"Redis: consume", "event", "RedisConsume"}, measured{"SQLite: append in batches of 100", "event", "SQLiteAppend"})}.ordered().svg()
		},
		"db": func(all map[string]section) string {
			return bars{title: "A call among 100 000 records on SQLite", unit: "µs, less is better", groups: from(all,
				[]contender{{"db-µs", "db"}, {"raw-µs", "bare statement"}, {"gorm-µs", "GORM"}},
				measured{"Read by id", "db", "/sqlite/Read"}, measured{"20 of those with an equal key", "db", "/sqlite/PageByEqual"}, measured{"20 in order of a key", "db", "/sqlite/OrderByKey"}, measured{"Update", "db", "/sqlite/Update"})}.ordered().svg()
		},
		"stack": func(all map[string]section) string {
			return bars{title: "A call over real sockets: processor time over a bare one's", unit: "bare = 1, less is better", groups: from(all,
				[]contender{{"ours/bare", "wrapper"}, {"usual/bare", "the usual parts"}},
				measured{"HTTP server", "stack", "Sockets/server"}, measured{"HTTP client", "stack", "Sockets/client"})}.ordered().svg()
		},
		"log": func(all map[string]section) string {
			return bars{title: "A line of JSON with ten attributes", unit: "ns, less is better", groups: from(all,
				[]contender{{"ours-ns", "log"}, {"slog-ns", "log/slog"}, {"zap-ns", "zap"}, {"slog-phuslu-ns", "phuslu's slog"}, {"zerolog-ns", "zerolog"}},
				measured{"Given to the logger before", "log", "Accumulated"}, measured{"Given with the line", "log", "Added"})}.ordered().svg()
		},
		"trace": func(all map[string]section) string {
			return bars{title: "A span with four attributes, started, ended and sent", unit: "ns of processor time without the receiver's, less is better", groups: from(all,
				[]contender{{"ours-cpu-ns", "trace"}, {"otel-cpu-ns", "OpenTelemetry"}},
				measured{"OTLP over HTTP", "trace", "OTLP/http"}, measured{"OTLP over HTTP, gzip", "trace", "OTLP/http-gzip"}, measured{"OTLP over gRPC", "trace", "OTLP/grpc"})}.ordered().svg()
		},
	}
}

// draw writes the figures.
func draw(all map[string]section) error {
	if err := os.MkdirAll("plots", 0o755); err != nil {
		return err
	}
	for name, make := range figures() {
		svg := make(all)
		if svg == "" {
			continue
		}
		if err := os.WriteFile("plots/"+name+".svg", []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// routerBalance is how much more the hottest of equal instances does than their
// mean, in fleets of several sizes. Runs repeat.
func routerBalance() bars {
	p := bars{title: "The hottest of equal instances, over their mean", unit: "1 is even, less is better; the worst of three seeds"}
	for _, s := range sim.Equals()[:4] {
		g := group{name: fmt.Sprintf("instances: %d, clients: %d", s.Servers, s.Clients)}
		for i, policy := range []struct {
			name string
			make func(sim.Env) sim.Policy
		}{{"this router", sim.Real()}, {"round robin", sim.RoundRobin}, {"gRPC's least request", sim.LeastLoaded}, {"Finagle's rule", sim.Finagle}, {"Kratos' rule", sim.Kratos}} {
			worst := 0.0
			for _, seed := range []uint64{2003, 3001, 4001} {
				worst = max(worst, sim.Run(s, seed, policy.make).Hottest)
			}
			g.bars = append(g.bars, bar{policy.name, worst, i == 0})
		}
		p.groups = append(p.groups, g)
	}
	return p.ordered()
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
