package router

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// Probe asks an instance how busy it is: how many requests it has in progress,
// and, in Latency, what one takes there at that load. A good measure of it is
// the median of those that ended lately, or the median age of those in
// progress if that is more: under overload what has ended was what is short.
// Probe must end with ctx.
type Probe func(ctx context.Context, in *discovery.Instance) (Load, error)

// Probing is how Prequal probes. The zero value of a field means its default.
type Probing struct {
	PerCall  float64       // probes that are sent for each call; default 3
	Pool     int           // answers that are kept, up to 64; default 16, but no more than a sixth of the instances, and 4 at least
	Quantile float64       // of the requests in progress, from which on an instance is hot; default 0.7, in large fleets more
	MaxAge   time.Duration // of an answer; default 1 s
	Timeout  time.Duration // of a probe; default 100 ms
	Parallel int           // probes under way at the same time, at most; default 64
}

// Prequal chooses by probes that are sent beside the calls, to random
// instances: of the answers at hand it takes the one with the least latency
// among those that are not hot, or the least requests in progress if all are.
// An answer is used a few times at most, and counts as one request more each
// time. Without enough answers it is LeastCost. (Wydrowski, Kleinberg, Rumble
// and Archer, Load is not what you should balance: Introducing Prequal, NSDI
// 2024.)
//
// It sees what other clients send to an instance at once, and wants servers
// that answer probes fast, from memory.
func Prequal(probe Probe, p Probing) Strategy { return &prequal{probe: probe, o: p} }

type prequal struct {
	probe Probe
	o     Probing

	// From the router, when it is made.
	life   *life.Life
	inline bool                 // with a driven clock: probes are answered at once
	now    func() time.Duration // of the router
	under  atomic.Int32         // probes that are under way
}

func (p *prequal) String() string { return "prequal" }

func (p *prequal) Chooser() Chooser { return &probing{p: p, costChooser: costChooser{d: choices}} }

// start checks the options and gives the strategy what its background needs.
func (p *prequal) start(o *options, l *life.Life) error {
	q := &p.o
	if p.probe == nil {
		return errors.New("prequal: nil probe")
	}
	if !(q.PerCall >= 0 && q.PerCall <= 100) || q.Pool < 0 || !(q.Quantile >= 0 && q.Quantile <= 1) || q.MaxAge < 0 || q.Timeout < 0 || q.Parallel < 0 {
		return fmt.Errorf("prequal: out of range: %+v", *q)
	}
	if p.life != nil {
		return errors.New("prequal: the strategy is another router's")
	}
	def(&q.PerCall, 3)
	def(&q.Quantile, 0.7)
	def(&q.MaxAge, time.Second)
	def(&q.Timeout, 100*time.Millisecond)
	def(&q.Parallel, 64)
	p.life, p.inline, p.now = l, o.driven, o.now
	return nil
}

// probing is the answers of one set of nodes.
type probing struct {
	costChooser // without enough answers
	p           *prequal
	mu          sync.Mutex
	pool        []answer
	due         float64 // probes to send
	odd         bool    // whose turn it is to be removed: the oldest or the worst
}

// maxPool bounds what has to be looked through for each call.
const maxPool = 64

// answer is what a probe brought.
type answer struct {
	node    *Node
	index   int // of the node
	load    float64
	latency time.Duration
	at      time.Duration
	uses    float64 // that are left
}

func (c *probing) size(nodes int) int {
	if c.p.o.Pool > 0 {
		return min(c.p.o.Pool, maxPool)
	}
	return min(max(nodes/6, 4), 16)
}

// reuse is how often an answer may be used, from the paper: so often that the
// pool does not run dry.
func (c *probing) reuse(nodes int) float64 {
	if gain := (1-float64(c.size(nodes))/float64(max(nodes, 1)))*c.p.o.PerCall - 1; gain > 0 {
		return max(1, math.Round(2/gain))
	}
	return 8
}

func (c *probing) Choose(r *Request, nodes []*Node) int {
	c.mu.Lock()
	best := c.best(r, nodes)
	c.due = min(c.due+c.p.o.PerCall, 8)
	n := int(c.due)
	c.due -= float64(n)
	c.mu.Unlock()
	for range n {
		c.send(r, nodes)
	}
	if best < 0 {
		best = c.costChooser.Choose(r, nodes)
	}
	return best
}

// best takes the best answer, and drops one that is old or bad. The lock
// is held.
func (c *probing) best(r *Request, nodes []*Node) int {
	c.pool = slices.DeleteFunc(c.pool, func(a answer) bool {
		return r.now-a.at > c.p.o.MaxAge || a.index >= len(nodes) || nodes[a.index] != a.node
	})
	var loads [maxPool]float64
	usable := loads[:0]
	for i := range c.pool {
		if r.Usable(c.pool[i].node) {
			usable = append(usable, c.pool[i].load)
		}
	}
	if len(usable) < 2 {
		return -1
	}
	slices.Sort(usable)
	hot := usable[min(int(c.p.o.Quantile*float64(len(usable))), len(usable)-1)]
	best := -1
	for i := range c.pool {
		if a := &c.pool[i]; r.Usable(a.node) && (best < 0 || a.before(&c.pool[best], hot)) {
			best = i
		}
	}
	a := &c.pool[best]
	index := a.index
	a.load++
	a.uses--
	if a.uses <= 0 {
		c.pool = slices.Delete(c.pool, best, best+1)
	}
	if len(c.pool) >= c.size(len(nodes)) {
		c.remove(hot)
	}
	return index
}

// before reports whether a is the better choice.
func (a *answer) before(b *answer, hot float64) bool {
	if ah, bh := a.load >= hot, b.load >= hot; ah != bh {
		return bh
	} else if ah && a.load != b.load {
		return a.load < b.load
	}
	return a.latency < b.latency
}

// remove drops the oldest answer and the worst one in turn. The lock is held.
func (c *probing) remove(hot float64) {
	worst := 0
	for i := range c.pool {
		if c.odd && c.pool[i].at < c.pool[worst].at || !c.odd && c.pool[worst].before(&c.pool[i], hot) {
			worst = i
		}
	}
	c.odd = !c.odd
	c.pool = slices.Delete(c.pool, worst, worst+1)
}

// send probes a random node.
func (c *probing) send(r *Request, nodes []*Node) {
	i := another(r, nodes)
	if i < 0 {
		return
	}
	n, p := nodes[i], c.p
	if p.inline {
		c.answered(context.Background(), n, i, len(nodes))
		return
	}
	if p.under.Add(1) > int32(p.o.Parallel) {
		p.under.Add(-1)
		return
	}
	if !p.life.Go(func(ctx context.Context) {
		defer p.under.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
		defer cancel()
		c.answered(ctx, n, i, len(nodes))
	}) {
		p.under.Add(-1)
	}
}

// answered probes a node and keeps the answer.
func (c *probing) answered(ctx context.Context, n *Node, index, nodes int) {
	var load Load
	err := fault.Guard(func() (err error) { load, err = c.p.probe(ctx, n.Instance()); return err })
	at := c.p.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pool = slices.DeleteFunc(c.pool, func(a answer) bool { return a.node == n })
	if err != nil || !(load.InFlight >= 0) {
		return
	}
	if load.Latency <= 0 { // it doesn't say: what this client has seen
		load.Latency = n.Latency()
	}
	if len(c.pool) >= c.size(nodes) {
		oldest := 0
		for i := range c.pool {
			if c.pool[i].at < c.pool[oldest].at {
				oldest = i
			}
		}
		c.pool = slices.Delete(c.pool, oldest, oldest+1)
	}
	c.pool = append(c.pool, answer{n, index, load.InFlight, load.Latency, at, c.reuse(nodes)})
}
