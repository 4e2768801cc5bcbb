package sim

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// Oracle knows the true queues, speeds and health, also what is under way to
// each server, and sends each call to the server with the shortest queue for
// its speed.
func Oracle(e Env) Policy { return oracle{e} }

type oracle struct{ e Env }

func (o oracle) Choose(int) (int, func(time.Duration, Outcome)) {
	best, least := 0, math.Inf(1)
	for i, s := range o.e.r.servers {
		c := float64(len(s.jobs)+s.coming+2) / (s.speed * (1 - s.fails)) * (1 + 4*float64(s.cold)/coldCalls)
		if s.limit > 0 && len(s.jobs)+s.coming >= s.limit {
			c += 1e6
		}
		if c < least {
			best, least = i, c
		}
	}
	return best, func(time.Duration, Outcome) {}
}

func (oracle) Close() {}

// Real is the router of this project, one for each client.
func Real(opts ...router.Option) func(Env) Policy {
	return routers(func(Env, int) []router.Option { return opts })
}

// Prequal is the router with probes. They are answered at once, which is
// somewhat better than on a network.
func Prequal(p router.Probing) func(Env) Policy {
	return routers(func(e Env, _ int) []router.Option {
		return []router.Option{router.WithStrategy(router.Prequal(func(_ context.Context, in *discovery.Instance) (router.Load, error) {
			i, err := index(in.ID)
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
func routers(options func(e Env, client int) []router.Option) func(Env) Policy {
	return func(e Env) Policy {
		_, clients := e.Size()
		e.r.fleet = &fleet{run: e.r, wake: make(chan struct{})}
		p := &realPolicy{fleet: e.r.fleet}
		for c := range clients {
			random := rand.New(rand.NewPCG(e.Seed, uint64(c)+100))
			opts := []router.Option{
				router.WithDiscovery(e.r.fleet), router.WithClock(e.Now), router.WithRandom(random.Uint64),
				router.WithClient(strconv.FormatUint(e.Seed, 10) + "/" + strconv.Itoa(c)),
			}
			if e.r.Zones > 0 {
				opts = append(opts, router.WithZone(zone(c, e.r.Zones)))
			}
			r, err := router.New(append(opts, options(e, c)...)...)
			if err != nil {
				panic(err)
			}
			p.routers = append(p.routers, r)
		}
		e.r.fleet.routers = p.routers
		return p
	}
}

type realPolicy struct {
	fleet   *fleet
	routers []router.Router
	reports func(server int) router.Load // nil: none
}

var classes = [...]router.Class{Good: router.OK, Failed: router.ServerError, Refused: router.Overload, TimedOut: router.Timeout}

func (p *realPolicy) Choose(client int) (int, func(time.Duration, Outcome)) {
	pick, err := p.routers[client].Pick(context.Background(), service)
	if err != nil {
		panic(err)
	}
	i, err := index(pick.Instance.ID)
	if err != nil {
		panic(err)
	}
	return i, func(took time.Duration, o Outcome) {
		out := router.Outcome{Latency: took, Class: classes[o]}
		if p.reports != nil && o != TimedOut {
			out.Load = p.reports(i)
		}
		pick.Done(out)
	}
}

func (p *realPolicy) Close() {
	for _, r := range p.routers {
		r.Close(context.Background())
	}
}

// index is the place of the server that an instance's id names.
func index(id string) (int, error) {
	place, _, _ := strings.Cut(id, ".")
	return strconv.Atoi(place)
}
