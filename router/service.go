package router

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// service is what is known of one service.
type service struct {
	f    *front
	o    *options
	name string

	ctx     context.Context // ends when the service is forgotten
	cancel  context.CancelFunc
	asked   atomic.Bool   // for, since the last tick
	waiting atomic.Int32  // calls that wait for the first answer
	idle    atomic.Int64  // for how long nobody has
	began   time.Duration // when it was first asked for
	ready   chan struct{} // closed when members is first set, or never will be
	once    sync.Once
	members atomic.Pointer[members]
	failed  atomic.Pointer[error]          // why there are no members yet
	methods atomic.Pointer[map[string]int] // with breakers of their own
	tripped atomic.Int32                   // how many breakers are not closed

	epoch     atomic.Uint64 // of the lease, see Node.inFlight
	stale     staleness     // what is known of nodes that are idle
	slowStart atomic.Int64  // 0 while it does not apply
	usual     average       // latency: the median of the instances'; 0 before the first answer
	weight    average       // the mean of the instances'
	spill     average       // the share of calls that takes all zones for equally near
	trust     trust
	window    atomic.Int64 // how many nodes make an aperture
	heard     heard        // from other clients

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

func newService(f *front, name string) *service {
	s := &service{
		f: f, o: f.o, name: name, ready: make(chan struct{}), nodes: map[string]*Node{},
		began: f.o.now(), ticked: f.o.now(), turned: f.o.now(),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.weight.set(1)
	s.stale.refresh(0, 0)
	return s
}

// follow keeps members up to date until ctx ends.
func (s *service) follow(ctx context.Context) {
	defer s.once.Do(func() { // nobody will say more
		s.failed.CompareAndSwap(nil, &errForgotten)
		close(s.ready)
	})
	err := fault.Guard(func() error {
		for snap, err := range s.o.source.Watch(ctx, s.name) {
			if err != nil {
				return err
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
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.failed.Store(&err)
	}
}

// rulesWait is how long the first calls wait for the first answer of the rule
// source: they should not go where a rule forbids it.
const rulesWait = time.Second

func (s *service) awaitRules(ctx context.Context) {
	select {
	case <-s.f.ruled:
		return
	default:
	}
	t := time.NewTimer(rulesWait)
	defer t.Stop()
	select {
	case <-s.f.ruled:
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

// reroute compiles the members again, after a change of rules, of this
// client's place among its peers, or of how an instance stands.
func (s *service) reroute() {
	s.mu.Lock()
	if old := s.members.Load(); old != nil {
		s.members.Store(s.arrange(old.all))
	}
	s.mu.Unlock()
	s.refresh()
}

const tick = time.Second

// refresh does what is done each second.
func (s *service) refresh() {
	m := s.members.Load()
	if m == nil {
		return
	}
	now := s.o.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measure(m, now)
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
		n.learnt.latency.set(s.usual.value()) // judged again when it is back
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
	s.weigh(m, now)
	m.each(func(sub *subset) { sub.refresh(s, now) })
}

// measure works out what is usual: latency, rate, and how much of it is new.
// The lock is held.
func (s *service) measure(m *members, now time.Duration) {
	var total uint64
	var lats, first []float64 // of those that were called more than once, and of the others
	fresh := 0
	for _, n := range m.all {
		for c := range classes {
			total += n.learnt.outcomes[c].Load()
		}
		switch l := n.learnt.latency.value(); {
		case n.learnt.samples.Load() > 0:
			lats = append(lats, l)
		case l > 0:
			first = append(first, l)
		}
		if now-time.Duration(n.since.Load()) < s.o.start {
			fresh++
		}
	}
	if len(lats) == 0 {
		lats = first
	}
	if len(lats) > 0 {
		was, usual := s.usual.value(), max(median(lats), 1)
		s.usual.set(usual)
		if usual > shifted*was || was > shifted*usual {
			s.trust.drop()
		}
	}
	if age := now - s.ticked; age >= tick {
		if total >= s.picked {
			s.rate += 0.3 * (float64(total-s.picked)/age.Seconds() - s.rate)
		}
		s.picked, s.ticked = total, now
		s.ticks++
		s.trust.refresh()
		for _, n := range m.all {
			n.forgetFailures(s, now)
		}
	}
	// While most nodes are new there is nobody to take the load from them.
	if 2*fresh > len(m.all) {
		s.slowStart.Store(0)
	} else {
		s.slowStart.Store(int64(s.o.start))
	}
	s.window.Store(int64(max(choices, 2*s.rate*s.usual.value()/float64(time.Second)+1))) // by Little's law: half of them hold a call
	s.stale.refresh(len(m.all), s.rate)
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
func (s *service) done(n *Node, o Outcome, again bool) {
	n.done(s, o, again)
	if o.Class.Failed() && standing(n.standing.Load()) == doubted {
		s.doubt(n)
	}
	reason := n.judge(s, o.Class)
	if reason == "" {
		return
	}
	m := s.members.Load()
	now := s.o.now()
	s.mu.Lock()
	s.out(m, n, reason, now, true)
	m.whole.refresh(s, now)
	s.mu.Unlock()
}
