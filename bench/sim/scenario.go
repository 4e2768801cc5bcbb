package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Scenario is one world to balance load in.
type Scenario struct {
	Name    string
	Servers int
	Clients int
	Load    float64 // of the servers' capacity
	Hetero  bool    // speeds of 0.5, 1, 1, 1 and 1.5
	Slow    bool    // one server works at a tenth of its speed
	Fail    bool    // one server fails 80 % at once
	Antag   bool    // each server works at 0.35 of its speed for a tenth of the time
	Calls   int
}

const (
	cores    = 4
	mean     = 10 * time.Millisecond
	sigma    = 1.0
	network  = 250 * time.Microsecond
	deadline = time.Second
)

// Scenarios are those of the published table.
func Scenarios() []Scenario {
	s := []Scenario{
		{Name: "het .8", Load: .8, Hetero: true},
		{Name: "het .9", Load: .9, Hetero: true},
		{Name: "slow .7", Load: .7, Slow: true},
		{Name: "antag .7", Load: .7, Antag: true},
		{Name: "het .9, 100 clients", Load: .9, Hetero: true, Clients: 100},
		{Name: "fail .7", Load: .7, Fail: true},
		{Name: "slow .7, 100 clients", Load: .7, Slow: true, Clients: 100},
	}
	for i := range s {
		s[i].Servers, s[i].Calls = 50, 300_000
		if s[i].Clients == 0 {
			s[i].Clients = 20
		}
	}
	return s
}

// Result is what the calls of a run came to, after a warm-up.
type Result struct {
	P50, P99, P999 time.Duration
	Errors         float64 // share
	Calls          int
}

func (r Result) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %.1f p99 %.1f p99.9 %.1f ms, %.3f %% errors", ms(r.P50), ms(r.P99), ms(r.P999), 100*r.Errors)
}

// run is one scenario in progress.
type run struct {
	world
	Scenario
	servers []*server
	arrive  *rand.Rand // arrivals and work: the same for every policy
	chance  *rand.Rand // what servers do
	took    []time.Duration
	errors  int
}

// Policy is how clients choose. Choose returns a server and what to call with
// the outcome.
type Policy interface {
	Choose(client int) (server int, done func(took time.Duration, failed bool))
	Close()
}

// Run plays a scenario with a policy.
func Run(s Scenario, seed uint64, policy func(r Env) Policy) Result {
	r := &run{Scenario: s, arrive: rand.New(rand.NewPCG(seed, 1)), chance: rand.New(rand.NewPCG(seed, 2))}
	capacity := 0.0
	for i := range s.Servers {
		speed := 1.0
		if s.Hetero {
			speed = []float64{.5, 1, 1, 1, 1.5}[i%5]
		}
		capacity += speed * cores / mean.Seconds()
		r.servers = append(r.servers, &server{w: &r.world, cores: cores, speed: speed})
	}
	p := policy(Env{r, seed})
	defer p.Close()
	total := time.Duration(float64(s.Calls) / (s.Load * capacity) * float64(time.Second))
	warm := total / 5
	if s.Slow {
		r.after(warm, func() { r.servers[0].setSpeed(r.servers[0].speed / 10) })
	}
	if s.Fail {
		r.after(warm, func() { r.servers[0].fails = .8 })
	}
	if s.Antag {
		for _, v := range r.servers {
			r.antagonise(v, v.speed)
		}
	}
	var next func()
	next = func() {
		r.call(p, r.arrive.IntN(s.Clients), r.now >= warm)
		r.after(exponential(r.arrive, time.Duration(float64(time.Second)/(s.Load*capacity))), next)
	}
	r.after(0, next)
	r.run(total)
	slices.Sort(r.took)
	at := func(q float64) time.Duration { return r.took[min(int(q*float64(len(r.took))), len(r.took)-1)] }
	return Result{P50: at(.5), P99: at(.99), P999: at(.999), Errors: float64(r.errors) / float64(len(r.took)), Calls: len(r.took)}
}

// antagonise slows a server down for a second out of ten, on average.
func (r *run) antagonise(s *server, speed float64) {
	r.after(exponential(r.chance, 9*time.Second), func() {
		s.setSpeed(.35 * speed)
		r.after(exponential(r.chance, time.Second), func() {
			s.setSpeed(speed)
			r.antagonise(s, speed)
		})
	})
}

func (r *run) call(p Policy, client int, counts bool) {
	work := mean.Seconds() * math.Exp(sigma*r.arrive.NormFloat64()-sigma*sigma/2)
	start := r.now
	i, done := p.Choose(client)
	s := r.servers[i]
	over := false
	end := func(failed bool) {
		if over {
			return
		}
		over = true
		took := r.now - start
		done(took, failed)
		if counts {
			if failed {
				took = max(took, deadline) // a failure is as bad as the deadline
				r.errors++
			}
			r.took = append(r.took, took)
		}
	}
	r.after(network, func() {
		if s.fails > 0 && r.chance.Float64() < s.fails {
			r.after(network, func() { end(true) })
			return
		}
		cancel := s.serve(work, func() { r.after(network, func() { end(false) }) })
		r.after(deadline-network, func() {
			if !over {
				cancel()
				end(true)
			}
		})
	})
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}

// Env is what a policy may know.
type Env struct {
	r    *run
	Seed uint64
}

// Now is the time of the simulation.
func (e Env) Now() time.Duration { return e.r.now }

// Size returns the numbers of servers and clients.
func (e Env) Size() (servers, clients int) { return e.r.Servers, e.r.Clients }
