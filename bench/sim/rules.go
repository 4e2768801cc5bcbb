package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// The rules of other libraries, as published; these are models, not their code.

// RoundRobin takes the servers in turn.
func RoundRobin(e Env) Policy {
	servers, clients := e.Size()
	next := make([]int, clients)
	for i := range next {
		next[i] = i * 7
	}
	return choose(func(c int) int { next[c]++; return next[c] % servers })
}

type choose func(client int) int

func (f choose) Choose(c int) (int, func(time.Duration, Outcome)) {
	return f(c), func(time.Duration, Outcome) {}
}
func (choose) Close() {}

// Kratos is the two-choice rule of kratos v3: EWMA of latency with a time
// constant of 600 ms times in-flight over success, and a forced pick after 3 s.
func Kratos(e Env) Policy {
	return twoChoices(e, 600*time.Millisecond, 3*time.Second, func(n *known) float64 {
		return math.Sqrt(n.lag+1) * float64(n.inFlight+1) / max(n.success, 1e-3)
	})
}

// Finagle is peak EWMA with a time constant of 10 s: a latency above the
// average replaces it at once.
func Finagle(e Env) Policy {
	return twoChoices(e, 10*time.Second, 0, func(n *known) float64 { return n.peak * float64(n.inFlight+1) })
}

// GoZero is go-zero's p2c: as Kratos, with a time constant of 10 s, a forced
// pick after 1 s, and up to three draws until both are healthy.
func GoZero(e Env) Policy {
	p := twoChoices(e, 10*time.Second, time.Second, func(n *known) float64 {
		if n.lag == 0 {
			return math.MaxInt32 // its penalty for what was never called
		}
		return math.Sqrt(n.lag+1) * float64(n.inFlight+1)
	})
	p.draws = 3
	return p
}

// LeastLoaded is the two-choice rule of gRPC and Envoy.
func LeastLoaded(e Env) Policy {
	return twoChoices(e, time.Second, 0, func(n *known) float64 { return float64(n.inFlight + 1) })
}

type known struct {
	lag, peak, success float64
	inFlight           int
	stamp, picked      time.Duration
}

func twoChoices(e Env, tau, force time.Duration, cost func(*known) float64) *twoChoice {
	servers, clients := e.Size()
	p := &twoChoice{draws: 1, e: e, tau: tau.Seconds(), force: force, cost: cost, random: rand.New(rand.NewPCG(e.Seed, 3))}
	for range clients {
		nodes := make([]known, servers)
		for i := range nodes {
			nodes[i].success = 1
		}
		p.nodes = append(p.nodes, nodes)
	}
	return p
}

type twoChoice struct {
	e      Env
	draws  int // of a pair, until both have succeeded more often than not
	tau    float64
	force  time.Duration
	cost   func(*known) float64
	random *rand.Rand
	nodes  [][]known
}

func (p *twoChoice) Choose(client int) (int, func(time.Duration, Outcome)) {
	nodes, now := p.nodes[client], p.e.Now()
	a, b := p.pair(nodes)
	if p.cost(&nodes[b]) < p.cost(&nodes[a]) {
		a, b = b, a
	}
	if p.force > 0 && now-nodes[b].picked > p.force {
		a = b
	}
	n := &nodes[a]
	n.inFlight++
	n.picked = now
	return a, func(took time.Duration, o Outcome) {
		n.inFlight--
		now := p.e.Now()
		w := math.Exp(-(now - n.stamp).Seconds() / p.tau)
		if n.stamp == 0 {
			w = 0
		}
		n.stamp = now
		lag := took.Seconds() * 1e6
		n.lag = n.lag*w + lag*(1-w)
		if lag > n.peak {
			n.peak = lag
		} else {
			n.peak = n.peak*w + lag*(1-w)
		}
		ok := 1.0
		if o != Good {
			ok = 0
		}
		n.success = n.success*w + ok*(1-w)
	}
}

func (p *twoChoice) pair(nodes []known) (a, b int) {
	for range p.draws {
		a, b = p.random.IntN(len(nodes)), p.random.IntN(len(nodes)-1)
		if b >= a {
			b++
		}
		if nodes[a].success > .5 && nodes[b].success > .5 {
			break
		}
	}
	return a, b
}

func (p *twoChoice) Close() {}
