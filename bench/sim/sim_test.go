package sim

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// A server alone is a queue whose mean is known: M/G/1 with processor sharing
// answers in s/(1-ρ) on average.
func TestServerIsAProcessorSharingQueue(t *testing.T) {
	s := Scenario{Servers: 1, Clients: 1, Load: .5, Calls: 400_000}
	r := Run(s, 1, RoundRobin)
	// With four cores the queue is shorter than with one; with ρ of a half, few wait.
	if r.P50 < 5*time.Millisecond || r.P50 > 9*time.Millisecond {
		t.Errorf("median %v, want about the 6 ms of the work plus the network", r.P50)
	}
	if r.Errors > 1e-3 {
		t.Errorf("%v errors at half the load", r.Errors)
	}
}

func TestRunsRepeat(t *testing.T) {
	s := Scenarios()[0]
	s.Calls = 20_000
	if a, b := Run(s, 7, Real()), Run(s, 7, Real()); a != b {
		t.Errorf("the same seed gave %v and %v", a, b)
	}
}

// BenchmarkSimulation prints the table. Each figure is a p99 over the oracle's.
func BenchmarkSimulation(b *testing.B) {
	policies := []struct {
		name string
		make func(Env) Policy
	}{
		{"ours", Real()},
		{"ours, two choices", Real(router.WithStrategy(router.PowerOfTwo()))},
		{"ours, reports", Reported},
		{"ours, prequal", Prequal(router.Probing{})},
		{"round robin", RoundRobin}, {"least loaded", LeastLoaded}, {"finagle's rule", Finagle}, {"kratos' rule", Kratos},
	}
	for _, s := range Scenarios() {
		b.Run(s.Name, func(b *testing.B) {
			for range b.N {
				oracle := Run(s, 1, Oracle)
				line := fmt.Sprintf("%-22s oracle %5.1f ms", s.Name, float64(oracle.P99)/1e6)
				for _, p := range policies {
					r := Run(s, 1, p.make)
					ratio := float64(r.P99) / float64(oracle.P99)
					line += fmt.Sprintf("  %s %.2f× %.3f%%", p.name, ratio, 100*r.Errors)
					if p.name == "ours" {
						b.ReportMetric(ratio, "p99/oracle")
						b.ReportMetric(100*r.Errors, "errors-%")
					}
				}
				b.Log(line)
			}
		})
	}
}

// The ways in which what routers share can go.
func shares() []struct {
	name string
	make func(Env) Policy
} {
	return []struct {
		name string
		make func(Env) Policy
	}{{"shared", Shared(0, false)}, {"dies", Shared(4*time.Second, false)}, {"lies", Shared(0, true)}}
}

// BenchmarkBackendDeath prints what becomes of the 99th percentile when what
// carries the reports dies in the middle of a run, or lies all the time, each
// over that of routers that share nothing.
func BenchmarkBackendDeath(b *testing.B) {
	for _, s := range Scenarios() {
		b.Run(s.Name, func(b *testing.B) {
			for range b.N {
				alone := Run(s, 1, Real())
				line := fmt.Sprintf("%-22s alone %5.1f ms %.3f%%", s.Name, float64(alone.P99)/1e6, 100*alone.Errors)
				for _, p := range shares() {
					r := Run(s, 1, p.make)
					ratio := float64(r.P99) / float64(alone.P99)
					line += fmt.Sprintf("  %s %.3f× %.3f%%", p.name, ratio, 100*r.Errors)
					b.ReportMetric(ratio, p.name+"/alone")
				}
				b.Log(line)
			}
		})
	}
}

// Seeds make these numbers the same every time.
func TestBackendDeathAndLiesChangeLittle(t *testing.T) {
	s := Scenarios()[3] // antagonists
	s.Calls = 100_000
	alone := Run(s, 1, Real())
	for _, p := range shares() {
		r := Run(s, 1, p.make)
		change := math.Abs(float64(r.P99)/float64(alone.P99) - 1)
		t.Logf("%s: %v, %.1f %% from %v", p.name, r, 100*change, alone)
		if change > 0.05 {
			t.Errorf("%s: the 99th percentile changes by %.1f %%, from %v to %v", p.name, 100*change, alone.P99, r.P99)
		}
	}
}
