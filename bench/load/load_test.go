package load

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/bench/sim"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"server": serve, "fail": fail})
	m.Run()
}

const (
	servers  = 10
	share    = .5 // of the capacity
	mean     = 30 * time.Millisecond
	simMean  = 10 * time.Millisecond
	duration = 15 * time.Second
)

type result struct {
	p50, p99      time.Duration
	calls, failed int
}

// run sends open-loop load to ten processes; the first is slow, the second is
// killed half way. What was under way at the kill counts too.
func run(b *testing.B, s router.Strategy) result {
	var addrs []string
	var children []*servertest.Process
	for i := range servers {
		speed := "1"
		if i == 0 {
			speed = "0.1"
		}
		children = append(children, servertest.Child(b, "server", speed))
	}
	for _, c := range children {
		addrs = append(addrs, c.Line())
	}
	d, err := discovery.New(static.Backend(static.Addresses("greeter", addrs...)...))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(s))
	if err != nil {
		b.Fatal(err)
	}
	w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithRouter(r))
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close(context.Background())

	random := rand.New(rand.NewPCG(1, 2))
	gap := float64(mean) / (share * servers * cores)
	var (
		mu  sync.Mutex
		res result
		all []time.Duration
		wg  sync.WaitGroup
	)
	start, killed := time.Now(), false
	for at := 0.0; at < float64(duration); at += random.ExpFloat64() * gap {
		work := mean.Seconds() * math.Exp(random.NormFloat64()-.5)
		time.Sleep(time.Until(start.Add(time.Duration(at))))
		if !killed && at > float64(duration)/2 {
			killed = true
			children[1].Kill()
		}
		warm := at > float64(duration)/5
		wg.Go(func() {
			began := time.Now()
			resp, err := w.Client().Get(fmt.Sprintf("http://greeter/?work=%g", work))
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			res.calls++
			if err != nil || resp.StatusCode != http.StatusOK {
				res.failed++
			}
			if warm {
				all = append(all, took)
			}
		})
	}
	wg.Wait()
	for _, c := range children {
		c.Kill()
	}
	slices.Sort(all)
	res.p50, res.p99 = all[len(all)/2], all[len(all)*99/100]
	return res
}

// BenchmarkProcesses prints a line for each strategy: what was measured, and
// what the simulation says of the same load with the slow server.
func BenchmarkProcesses(b *testing.B) {
	for _, s := range []struct {
		name string
		make func() router.Strategy
	}{
		{"ours", router.LeastCost}, {"two choices", router.PowerOfTwo}, {"least loaded", router.LeastLoaded}, {"round robin", router.RoundRobin},
	} {
		b.Run(s.name, func(b *testing.B) {
			for range b.N {
				r := run(b, s.make())
				simulated := sim.Run(sim.Scenario{Servers: servers, Clients: 1, Load: share, Calls: 100_000, With: []sim.Feature{sim.Slow}}, 1, sim.Real(router.WithStrategy(s.make())))
				in := func(d, mean time.Duration) float64 { return float64(d) / float64(mean) }
				b.Logf("%-14s measured p50 %5.2f p99 %6.2f   simulated p50 %5.2f p99 %6.2f   ratio %.2f   %d of %d failed", s.name,
					in(r.p50, mean), in(r.p99, mean), in(simulated.P50, simMean), in(simulated.P99, simMean),
					in(r.p99, mean)/in(simulated.P99, simMean), r.failed, r.calls)
				b.ReportMetric(in(r.p99, mean), "p99/work")
				b.ReportMetric(in(r.p99, mean)/in(simulated.P99, simMean), "p99/simulated")
				b.ReportMetric(float64(r.failed), "failed")
			}
		})
	}
}
