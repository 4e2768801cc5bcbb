package sim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
)

// Oracle knows the true queues, speeds and health, and sends each call to the
// server with the shortest queue for its speed.
func Oracle(e Env) Policy { return oracle{e} }

type oracle struct{ e Env }

func (o oracle) Choose(int) (int, func(time.Duration, bool)) {
	best, least := 0, math.Inf(1)
	for i, s := range o.e.r.servers {
		if c := float64(len(s.jobs)+2) / (s.speed * (1 - s.fails)); c < least {
			best, least = i, c
		}
	}
	return best, func(time.Duration, bool) {}
}

func (oracle) Close() {}

// Real is the router of this project, one for each client.
func Real(opts ...router.Option) func(Env) Policy {
	return routers(func(Env) []router.Option { return opts })
}

// Prequal is the router with probes. They are answered at once, which is
// somewhat better than on a network.
func Prequal(p router.Probing) func(Env) Policy {
	return routers(func(e Env) []router.Option {
		return []router.Option{router.WithStrategy(router.Prequal(func(_ context.Context, in *discovery.Instance) (router.Load, error) {
			i, err := strconv.Atoi(in.ID)
			if err != nil {
				return router.Load{}, err
			}
			s := e.r.servers[i]
			return router.Load{InFlight: float64(len(s.jobs)), Latency: s.latency(), Reported: true}, nil
		}, p))}
	})
}

// Reported is the router, with servers that say what they have in flight when
// they answer.
func Reported(e Env) Policy {
	p := Real()(e).(*realPolicy)
	p.reports = func(server int) router.Load {
		return router.Load{InFlight: float64(len(e.r.servers[server].jobs)), Reported: true}
	}
	return p
}

// routers makes a router for each client.
func routers(options func(Env) []router.Option) func(Env) Policy {
	return func(e Env) Policy {
		servers, clients := e.Size()
		var all []discovery.Instance
		for i := range servers {
			all = append(all, discovery.Instance{ID: strconv.Itoa(i), Service: "s", Address: fmt.Sprintf("10.0.0.1:%d", 1000+i)})
		}
		p := &realPolicy{}
		for c := range clients {
			d, err := discovery.New(static.Backend(all...))
			if err != nil {
				panic(err)
			}
			random := rand.New(rand.NewPCG(e.Seed, uint64(c)+100))
			r, err := router.New(append([]router.Option{
				router.WithDiscovery(d), router.WithClock(e.Now), router.WithRandom(random.Uint64), router.WithClient(fmt.Sprint(e.Seed, "/", c)),
			}, options(e)...)...)
			if err != nil {
				panic(err)
			}
			p.routers, p.discoveries = append(p.routers, r), append(p.discoveries, d)
		}
		return p
	}
}

type realPolicy struct {
	routers     []router.Router
	discoveries []discovery.Discovery
	reports     func(server int) router.Load // nil: none
}

func (p *realPolicy) Choose(client int) (int, func(time.Duration, bool)) {
	pick, err := p.routers[client].Pick(context.Background(), "s")
	if err != nil {
		panic(err)
	}
	i, _ := strconv.Atoi(pick.Instance.ID)
	return i, func(took time.Duration, failed bool) {
		o := router.Outcome{Latency: took}
		if p.reports != nil && took < deadline {
			o.Load = p.reports(i)
		}
		if failed {
			o.Class = router.ServerError
			if took >= deadline {
				o.Class = router.Timeout
			}
		}
		pick.Done(o)
	}
}

func (p *realPolicy) Close() {
	for i := range p.routers {
		p.routers[i].Close(context.Background())
		p.discoveries[i].Close()
	}
}

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

func (f choose) Choose(c int) (int, func(time.Duration, bool)) {
	return f(c), func(time.Duration, bool) {}
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

// LeastLoaded is the two-choice rule of gRPC and Envoy.
func LeastLoaded(e Env) Policy {
	return twoChoices(e, time.Second, 0, func(n *known) float64 { return float64(n.inFlight + 1) })
}

type known struct {
	lag, peak, success float64
	inFlight           int
	stamp, picked      time.Duration
}

func twoChoices(e Env, tau, force time.Duration, cost func(*known) float64) Policy {
	servers, clients := e.Size()
	p := &twoChoice{e: e, tau: tau.Seconds(), force: force, cost: cost, random: rand.New(rand.NewPCG(e.Seed, 3))}
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
	tau    float64
	force  time.Duration
	cost   func(*known) float64
	random *rand.Rand
	nodes  [][]known
}

func (p *twoChoice) Choose(client int) (int, func(time.Duration, bool)) {
	nodes, now := p.nodes[client], p.e.Now()
	a, b := p.random.IntN(len(nodes)), p.random.IntN(len(nodes)-1)
	if b >= a {
		b++
	}
	if p.cost(&nodes[b]) < p.cost(&nodes[a]) {
		a, b = b, a
	}
	if p.force > 0 && now-nodes[b].picked > p.force {
		a = b
	}
	n := &nodes[a]
	n.inFlight++
	n.picked = now
	return a, func(took time.Duration, failed bool) {
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
		if failed {
			ok = 0
		}
		n.success = n.success*w + ok*(1-w)
	}
}

func (p *twoChoice) Close() {}
