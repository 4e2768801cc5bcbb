package sim

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/micro/go-platform/router"
)

// exchange carries what routers share, until it dies, and may lie.
type exchange struct {
	router.Exchange
	e    Env
	dies time.Duration // when it stops to answer; 0: never
	lies bool

	mu        sync.Mutex
	listening int
}

var errDead = errors.New("the exchange is dead")

func (x *exchange) Publish(ctx context.Context, r router.Report) error {
	if x.dies > 0 && x.e.Now() >= x.dies {
		return errDead
	}
	if x.lies { // what fails is praised, and what does well is blamed
		for i := range r.Nodes {
			n := &r.Nodes[i]
			n.Success = []float64{math.NaN(), -1e9, 0, 1e300}[n.ID[len(n.ID)-1]%4]
			n.Outcomes[router.OK] = math.MaxUint64
		}
	}
	return x.Exchange.Publish(ctx, r)
}

func (x *exchange) Reports(ctx context.Context, service string, f func(router.Report)) error {
	x.mu.Lock()
	x.listening++
	x.mu.Unlock()
	return x.Exchange.Reports(ctx, service, f)
}

// Shared is routers that share what they see, every second, until dies.
func Shared(dies time.Duration, lies bool) func(Env) Policy {
	return func(e Env) Policy {
		x := &exchange{Exchange: router.Memory(), e: e, dies: dies, lies: lies}
		p := Real(router.WithSharing(x, router.Sharing{Interval: time.Second}))(e).(*realPolicy)
		// The first pick of each makes it listen, on a goroutine of its own.
		for c := range p.routers {
			pick, err := p.routers[c].Pick(context.Background(), "s")
			if err != nil {
				panic(err)
			}
			pick.Done(router.Outcome{Class: router.Cancelled})
		}
		for {
			x.mu.Lock()
			n := x.listening
			x.mu.Unlock()
			if n == len(p.routers) {
				return p
			}
			time.Sleep(time.Millisecond)
		}
	}
}
