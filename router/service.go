package router

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
)

// service is what is known of one service.
type service struct {
	o    *options
	name string

	ready   chan struct{} // closed when members is first set
	once    sync.Once
	members atomic.Pointer[members]
	failed  atomic.Pointer[error]          // why there are no members yet
	rules   *atomic.Pointer[rules]         // of the router
	ruled   <-chan struct{}                // closed when the router's rule source has answered
	methods atomic.Pointer[map[string]int] // with breakers of their own
	tripped atomic.Int32                   // how many breakers are not closed

	epoch       atomic.Uint64 // of the lease, see Node.inFlight
	force       atomic.Int64  // how long a node may be idle before it is asked again
	slowStart   atomic.Int64  // 0 while it does not apply
	heard       heard         // from other clients
	mean        average       // the usual latency: the median of the instances'
	concurrency average       // calls of this client in flight

	mu     sync.Mutex // of what follows
	nodes  map[string]*Node
	ticked time.Duration
	turned time.Duration // when the epoch began
	picked uint64        // at the last tick
	rate   float64       // picks per second
	ticks  int

	heeded    time.Duration // when what others say was last heeded
	reports   uint64        // how many were made
	published time.Duration // when the last was, with a driven clock
}

func newService(o *options, name string, r *atomic.Pointer[rules], ruled <-chan struct{}) *service {
	s := &service{o: o, name: name, rules: r, ruled: ruled, ready: make(chan struct{}), nodes: map[string]*Node{}, ticked: o.now(), turned: o.now()}
	s.mean.set(float64(time.Millisecond))
	s.force.Store(int64(forceAfter))
	return s
}

// follow keeps members up to date until ctx ends.
func (s *service) follow(ctx context.Context) {
	for snap, err := range s.o.source.Watch(ctx, s.name) {
		if err != nil {
			s.failed.Store(&err)
			s.once.Do(func() { close(s.ready) })
			return
		}
		if snap.State == discovery.Cold {
			if snap.Err != nil {
				s.failed.Store(&snap.Err)
			}
			continue
		}
		s.awaitRules(ctx)
		s.update(snap)
	}
}

// rulesWait is how long the first calls wait for the first answer of the rule
// source: they should not go where a rule forbids it.
const rulesWait = time.Second

func (s *service) awaitRules(ctx context.Context) {
	select {
	case <-s.ruled:
		return
	default:
	}
	t := time.NewTimer(rulesWait)
	defer t.Stop()
	select {
	case <-s.ruled:
	case <-t.C:
		s.o.logger.Warn("router: no answer of the rule source, calls are routed without it", "service", s.name)
	case <-ctx.Done():
	}
}

func (s *service) update(snap discovery.Snapshot) {
	s.mu.Lock()
	m := s.compileMembers(snap)
	s.members.Store(m)
	s.mu.Unlock()
	s.refresh()
	s.once.Do(func() { close(s.ready) })
}

// reroute compiles the members anew after a change of rules.
func (s *service) reroute() {
	s.mu.Lock()
	if old := s.members.Load(); old != nil {
		m := &members{all: old.all}
		m.finish(s)
		s.members.Store(m)
	}
	s.mu.Unlock()
	s.refresh()
}

const (
	tick       = time.Second
	forceAfter = 2 * time.Second
)

// refresh does what is done each second.
func (s *service) refresh() {
	m := s.members.Load()
	if m == nil {
		return
	}
	now := s.o.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var total uint64
	var lats []float64
	fresh := 0
	for _, n := range m.all {
		for c := range classes {
			total += n.outcomes[c].Load()
		}
		if l := n.latency.value(); l > 0 {
			lats = append(lats, l)
		}
		if now-time.Duration(n.since.Load()) < s.o.start {
			fresh++
		}
	}
	if len(lats) > 0 {
		slices.Sort(lats)
		s.mean.set(lats[(len(lats)-1)/2])
	}
	if age := now - s.ticked; age >= tick {
		if total >= s.picked {
			s.rate += 0.3 * (float64(total-s.picked)/age.Seconds() - s.rate)
		}
		s.picked, s.ticked = total, now
		s.ticks++
	}
	// While most nodes are new there is nobody to take the load from them.
	if 2*fresh > len(m.all) {
		s.slowStart.Store(0)
	} else {
		s.slowStart.Store(int64(s.o.start))
	}
	if s.rate > 0 { // at most one call in a hundred asks again what was learnt long ago
		s.force.Store(int64(max(forceAfter, time.Duration(100*float64(len(m.all))/s.rate*float64(time.Second)))))
	}
	if now-s.turned >= s.o.lease {
		s.turned = now
		next := s.epoch.Load() + 1
		for _, n := range s.nodes {
			n.inFlight[next&1].Store(0)
		}
		s.epoch.Store(next)
	}
	for _, n := range slow(m.all, s.o.eject.Slower, now) {
		s.out(m, n, "slower than its peers", now, true)
		n.latency.set(s.mean.value()) // judged anew when it is back
	}
	if s.ticks%30 == 0 {
		for _, n := range m.all {
			n.forgive()
		}
	}
	if s.o.share != nil && now-s.heeded >= tick {
		s.heeded = now
		s.heed(m, now)
	}
	for _, n := range m.all {
		n.rescale(s, now)
	}
	concurrency := s.rate * s.mean.value() / float64(time.Second) // Little's law
	s.concurrency.set(concurrency)
	m.whole.refresh(s.o, now, concurrency)
	if all := m.subsets.Load(); all != nil {
		for _, sub := range *all {
			sub.refresh(s.o, now, concurrency)
		}
	}
	for _, a := range m.rules {
		for _, sub := range a.subsets {
			sub.refresh(s.o, now, concurrency)
		}
	}
}

// out ejects a node if not too many are out, and reports whether it did. own
// says that this client has seen the reason itself. The lock is held.
func (s *service) out(m *members, n *Node, reason string, now time.Duration, own bool) bool {
	out := 0
	for _, p := range m.all {
		if p != n && p.out(now) {
			out++
		}
	}
	limit := max(int(s.o.eject.Cap*float64(len(m.all))), 1)
	if len(m.all) < 2 || out >= limit {
		return false
	}
	d := n.eject(s.o, reason, now, own)
	s.o.logger.Warn("router: instance out of rotation", "service", s.name, "instance", n.id, "reason", reason, "for", d)
	return true
}

// done takes in the outcome of a call to a node.
func (s *service) done(n *Node, o Outcome) {
	n.done(s, o)
	reason := n.judge(o.Class, s.o.eject, s.o.now)
	if reason == "" {
		return
	}
	m := s.members.Load()
	now := s.o.now()
	s.mu.Lock()
	s.out(m, n, reason, now, true)
	s.mu.Unlock()
	m.whole.refresh(s.o, now, s.concurrency.value())
}
