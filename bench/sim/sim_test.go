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

// policies are ours by default, then those of others.
func policies() []namedPolicy {
	return []namedPolicy{
		{"**ours**", Real()}, {"round robin", RoundRobin}, {"gRPC's least request", LeastLoaded}, {"Finagle", Finagle}, {"kratos", Kratos}, {"go-zero", GoZero},
	}
}

// strategies are others of ours.
func strategies() []namedPolicy {
	return []namedPolicy{
		{"two choices", Real(router.WithStrategy(router.PowerOfTwo()))}, {"load reports", Reported}, {"Prequal", Prequal(router.Probing{})},
	}
}

type namedPolicy struct {
	name string
	make func(Env) Policy
}

// fresh are the seeds of what is published: nothing was tuned with them, nor is
// anything gated by them.
var fresh = [...]uint64{2003, 3001, 4001}

// table prints a table in Markdown for each scenario, with a line for each
// policy: the 99th percentile over the oracle's for each seed, and what the
// worst of the seeds says of errors and balance.
func table(b *testing.B, scenarios []Scenario, policies []namedPolicy) {
	for _, s := range scenarios {
		b.Run(s.Name, func(b *testing.B) {
			for range b.N {
				var oracle [len(fresh)]Result
				head, none := fmt.Sprintf("| %s |", s.Name), 0.0
				for i, seed := range fresh {
					oracle[i] = Run(s, seed, Oracle)
					head += fmt.Sprintf(" %.1f ms |", float64(oracle[i].P99)/1e6)
					none = max(none, oracle[i].Errors)
				}
				lines := fmt.Sprintf("%s %.3f %% | | | |\n|---|---|---|---|---|---|---|---|\n", head, 100*none)
				for k, p := range policies {
					worst := Result{Balance: Balance{Least: math.Inf(1)}}
					lines += "| " + p.name + " |"
					for i, seed := range fresh {
						r := Run(s, seed, p.make)
						ratio := float64(r.P99) / float64(oracle[i].P99)
						lines += fmt.Sprintf(" %.2f |", ratio)
						worst.Errors, worst.Hottest = max(worst.Errors, r.Errors), max(worst.Hottest, r.Hottest)
						worst.Least, worst.Idle = min(worst.Least, r.Least), max(worst.Idle, r.Idle)
						if k == 0 {
							b.ReportMetric(ratio, fmt.Sprintf("p99/oracle-%d", seed))
						}
					}
					lines += fmt.Sprintf(" %.3f %% | %.2f | %.2f | %.0f %% |\n", 100*worst.Errors, worst.Hottest, worst.Least, 100*worst.Idle)
					if k == 0 {
						b.ReportMetric(100*worst.Errors, "errors-%")
						b.ReportMetric(worst.Hottest, "hottest/mean")
						b.ReportMetric(worst.Least, "least/mean")
					}
				}
				b.Log("\n" + lines)
			}
		})
	}
}

// BenchmarkSimulation prints the table of what clients meet in steady worlds.
func BenchmarkSimulation(b *testing.B) { table(b, Scenarios(), policies()) }

// BenchmarkStrategies prints the same of other strategies of the router.
func BenchmarkStrategies(b *testing.B) { table(b, Scenarios(), strategies()) }

// BenchmarkTroubles prints that of what fleets go through.
func BenchmarkTroubles(b *testing.B) { table(b, Troubles(), policies()) }

// BenchmarkBalance prints how even the work of equal instances is.
func BenchmarkBalance(b *testing.B) { table(b, Equals(), policies()) }

// gates are the seeds that the rules must hold for.
var gates = [...]uint64{1, 101, 202, 303, 404, 505, 606, 707, 808, 909}

// Equal instances get equal work, however many clients there are and whatever
// the first call of each costs. Round robin shows that the gate lets good
// balance through, others' rules that it stops bad balance.
func TestEqualInstancesGetEqualWork(t *testing.T) {
	for _, c := range []struct {
		scenario    int
		most, least float64
		uneven      func(Env) Policy // nil: every rule is even there
	}{{0, 1.2, .8, Finagle}, {1, 1.2, .8, Finagle}, {2, 1.2, .8, nil}, {3, 1.2, .7, Finagle}, {4, 1.2, .7, Finagle}} {
		s := Equals()[c.scenario]
		even := func(r Result) bool { return r.Hottest <= c.most && r.Least >= c.least && r.Idle == 0 }
		for _, seed := range gates {
			if r := Run(s, seed, Real()); !even(r) {
				t.Errorf("%s, seed %d: hottest %.2f, least %.2f, idle %.2f, want at most %v, at least %v, none", s.Name, seed, r.Hottest, r.Least, r.Idle, c.most, c.least)
			}
		}
		if r := Run(s, gates[1], RoundRobin); !even(r) {
			t.Errorf("%s: round robin does not pass the gate: %+v", s.Name, r.Balance)
		}
		if c.uneven == nil {
			continue
		}
		if r := Run(s, gates[1], c.uneven); even(r) {
			t.Errorf("%s: a rule that is uneven passes the gate: %+v", s.Name, r.Balance)
		}
	}
}

// The 99th percentile stays near that of an oracle in worlds that differ.
func TestTailStaysNearTheOracles(t *testing.T) {
	for i, most := range []float64{1.25, 1.35, 1.17, 1.32} {
		s := Scenarios()[i]
		for k, seed := range gates {
			t.Run(fmt.Sprintf("%s, seed %d", s.Name, seed), func(t *testing.T) {
				t.Parallel()
				oracle := float64(Run(s, seed, Oracle).P99)
				if r := float64(Run(s, seed, Real()).P99) / oracle; r >= most+.005 {
					t.Errorf("the 99th percentile is %.3f of the oracle's, want %v at most", r, most)
				}
				if k > 0 {
					return
				}
				if r := float64(Run(s, seed, RoundRobin).P99) / oracle; r <= most {
					t.Errorf("round robin, which knows nothing, passes with %.2f", r)
				}
			})
		}
	}
}

// Servers that refuse what is too much are asked for no more than they take, as
// far as clients can know that: others' rules, which learn nothing of refusals or
// not enough, have ten times as many.
func TestServersWithLimitsRefuseLittle(t *testing.T) {
	s := Troubles()[9]
	good := func(seed uint64, p func(Env) Policy) (Result, bool) {
		r := Run(s, seed, p)
		return r, r.Errors <= .008 && float64(r.P99) <= 2*float64(Run(s, seed, Oracle).P99)
	}
	for _, seed := range gates[:4] {
		if r, ok := good(seed, Real()); !ok {
			t.Errorf("seed %d: %v", seed, r)
		}
	}
	for _, p := range policies() {
		if p.name == "**ours**" {
			continue
		}
		if r, ok := good(gates[0], p.make); ok {
			t.Errorf("%s passes: %v", p.name, r)
		}
	}
}

// Refusals that all have now and then are no reason to prefer anyone.
func TestFewRefusalsStarveNobody(t *testing.T) {
	s := Equals()[3]
	s.With = append(s.With, Refusing(.01))
	for _, seed := range gates {
		if r := Run(s, seed, Real()); r.Hottest > 1.5 || r.Least < .5 {
			t.Errorf("seed %d: hottest %.2f, least %.2f", seed, r.Hottest, r.Least)
		}
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

// One seed says little: two runs of a world that differ in nothing but their
// draws are some per cent apart.
func TestBackendDeathAndLiesChangeLittle(t *testing.T) {
	s := Scenarios()[3] // antagonists
	s.Calls = 100_000
	all := gates[:5]
	mean := func(make func(Env) Policy) (p99 float64) {
		for _, seed := range all {
			p99 += float64(Run(s, seed, make).P99) / float64(len(all))
		}
		return p99
	}
	alone := mean(Real())
	for _, p := range shares() {
		change := mean(p.make)/alone - 1
		t.Logf("%s: %+.1f %%", p.name, 100*change)
		if math.Abs(change) > 0.05 {
			t.Errorf("%s: the 99th percentile changes by %.1f %%", p.name, 100*change)
		}
	}
}
