package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Result is what the calls of a run came to, after a warm-up.
type Result struct {
	P50, P99, P999 time.Duration
	Errors         float64 // share
	Calls          int
	Balance
}

// Balance is how even the work was that the servers of a run got.
type Balance struct {
	Hottest float64 // calls of the busiest server, in those of the mean
	Least   float64 // of the least busy one
	Idle    float64 // share of servers without a call
}

func (r Result) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %.1f p99 %.1f p99.9 %.1f ms, %.3f %% errors, hottest %.2f least %.2f idle %.2f",
		ms(r.P50), ms(r.P99), ms(r.P999), 100*r.Errors, r.Hottest, r.Least, r.Idle)
}

// run is one scenario in progress.
type run struct {
	world
	Scenario
	seed    uint64
	servers []*server
	fleet   *fleet     // tells the routers of the servers that were replaced; nil if nobody asks
	arrive  *rand.Rand // arrivals and work: the same for every policy
	chance  *rand.Rand // what servers do

	total, warm time.Duration
	first       time.Duration // what the first call of a client to a server takes more
	burst       int
	hangs       float64
	refuses     float64

	called map[[2]int]bool // client and server that have met
	took   []time.Duration
	errors int
}

// Outcome is how a call went.
type Outcome uint8

const (
	Good     Outcome = iota
	Failed           // the server answered an error
	Refused          // the server had too much to do
	TimedOut         // no answer within a second
)

// Policy is how clients choose. Choose returns a server and what to call with
// the outcome.
type Policy interface {
	Choose(client int) (server int, done func(took time.Duration, o Outcome))
	Close()
}

// Run plays a scenario with a policy.
func Run(s Scenario, seed uint64, policy func(r Env) Policy) Result {
	r := &run{Scenario: s, seed: seed, arrive: rand.New(rand.NewPCG(seed, 1)), chance: rand.New(rand.NewPCG(seed, 2)), called: map[[2]int]bool{}, burst: 1}
	for range s.Servers {
		r.servers = append(r.servers, &server{w: &r.world, cores: cores, speed: 1})
	}
	rate := s.Rate * float64(s.Clients)
	r.total, r.warm = s.Lasts, 10*time.Second
	if s.Load > 0 {
		rate = s.Load * float64(s.Servers) * cores / mean.Seconds()
		r.total = time.Duration(float64(s.Calls) / rate * float64(time.Second))
		r.warm = r.total / 5
	}
	for _, f := range s.With {
		f(r)
	}
	p := policy(Env{r, seed})
	defer p.Close()
	var next func()
	next = func() {
		client := r.arrive.IntN(s.Clients)
		for range r.burst {
			r.call(p, client, r.now >= r.warm)
		}
		r.after(exponential(r.arrive, time.Duration(float64(r.burst)/rate*float64(time.Second))), next)
	}
	r.after(0, next)
	r.run(r.total)
	slices.Sort(r.took)
	at := func(q float64) time.Duration { return r.took[min(int(q*float64(len(r.took))), len(r.took)-1)] }
	return Result{
		P50: at(.5), P99: at(.99), P999: at(.999), Errors: float64(r.errors) / float64(len(r.took)), Calls: len(r.took), Balance: r.balance(),
	}
}

func (r *run) balance() (b Balance) {
	b.Least = math.Inf(1)
	all := 0.0
	for _, s := range r.servers {
		all += s.calls
	}
	for _, s := range r.servers {
		part := s.calls * float64(len(r.servers)) / all
		b.Hottest, b.Least = max(b.Hottest, part), min(b.Least, part)
		if s.calls == 0 {
			b.Idle += 1 / float64(len(r.servers))
		}
	}
	return b
}

// replace puts a new server in the place of one, which works off what it has.
func (r *run) replace(i int) {
	old := r.servers[i]
	r.servers[i] = &server{w: &r.world, cores: cores, speed: old.speed, cold: coldCalls, version: old.version + 1, calls: old.calls}
	if r.fleet != nil {
		r.fleet.changed()
	}
}

// work is how long a call takes on a core, in seconds.
func (r *run) work() float64 {
	return mean.Seconds() * math.Exp(sigma*r.arrive.NormFloat64()-sigma*sigma/2)
}

func (r *run) call(p Policy, client int, counts bool) {
	work, start := r.work(), r.now
	i, done := p.Choose(client)
	s := r.servers[i]
	if counts {
		s.calls++
	}
	over := false
	end := func(o Outcome) {
		if over {
			return
		}
		over = true
		took := r.now - start
		done(took, o)
		if counts {
			if o != Good {
				took = max(took, deadline) // a failure is as bad as the deadline
				r.errors++
			}
			r.took = append(r.took, took)
		}
	}
	wait := network
	if pair := [2]int{client, i}; r.first > 0 && !r.called[pair] {
		r.called[pair] = true
		wait += r.first
	}
	s.coming++
	r.after(wait, func() {
		s.coming--
		cancel := r.serve(s, work, end)
		r.after(deadline-wait, func() {
			if !over {
				cancel()
				end(TimedOut)
			}
		})
	})
}

// serve is what a server makes of a request.
func (r *run) serve(s *server, work float64, end func(Outcome)) (cancel func()) {
	answer := func(o Outcome) { r.after(network, func() { end(o) }) }
	switch {
	case s.fails > 0 && r.chance.Float64() < s.fails:
		answer(Failed)
	case s.limit > 0 && len(s.jobs) >= s.limit:
		answer(Refused)
	case r.refuses > 0 && r.chance.Float64() < r.refuses:
		answer(Refused)
	case r.hangs > 0 && r.chance.Float64() < r.hangs:
	default:
		if s.cold > 0 {
			work *= 1 + 4*float64(s.cold)/coldCalls
			s.cold--
		}
		return s.serve(work, func() { answer(Good) })
	}
	return func() {}
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
