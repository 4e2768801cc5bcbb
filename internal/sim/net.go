package sim

import (
	"hash/fnv"
	"net/netip"
	"sync"
	"time"
)

// Net is a network in memory: hosts, and the ways between them. What a segment
// meets on its way depends on the seed and on its number in its connection, not on
// who runs first; and hardly ever do two segments arrive at the same nanosecond, so
// that the order of what happens is that of the virtual clock.
type Net struct {
	s       *Sim
	mu      sync.Mutex
	hosts   map[string]*Host
	byIP    map[string]*Host
	ways    map[[2]*Host]*way
	conns   []*pair
	numbers map[[2]*Host]int // of connections, so far
	changed chan struct{}    // closed and replaced when a host or a way changes
	bytes   int64
	dials   int64
}

// way is one direction between two hosts.
type way struct {
	seed    uint64
	base    time.Duration
	cuts    int           // nothing arrives while there is one
	clear   time.Time     // what was held up arrives then, or later
	delay   time.Duration // on top of base
	rate    int           // bytes a second; 0: no limit
	loss    int           // of a hundred
	arrived time.Time     // when the last segment does
}

func newNet(s *Sim) *Net {
	return &Net{
		s: s, hosts: map[string]*Host{}, byIP: map[string]*Host{}, ways: map[[2]*Host]*way{},
		numbers: map[[2]*Host]int{}, changed: make(chan struct{}),
	}
}

// Host returns the host of a name, which is up.
func (n *Net) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		return h
	}
	ip := netip.AddrFrom4([4]byte{10, 0, byte(len(n.hosts) >> 8), byte(len(n.hosts) + 1)})
	h := &Host{net: n, name: name, ip: ip, listeners: map[uint16]*listener{}}
	n.hosts[name], n.byIP[ip.String()] = h, h
	return h
}

// Traffic is how many bytes have been sent, and how often somebody has dialled:
// what does not grow is not used.
func (n *Net) Traffic() (bytes, dials int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bytes, n.dials
}

// way is called with mu held.
func (n *Net) way(from, to *Host) *way {
	w := n.ways[[2]*Host{from, to}]
	if w == nil {
		seed := n.s.chance(from.name, to.name)
		w = &way{seed: seed, base: 100*time.Microsecond + time.Duration(seed%1_900_000)}
		if from == to {
			w.base = 20 * time.Microsecond
		}
		n.ways[[2]*Host{from, to}] = w
	}
	return w
}

// chance is a number that the seed and what it is for decide.
func (s *Sim) chance(of ...string) uint64 {
	h := fnv.New64a()
	for _, o := range of {
		_, _ = h.Write([]byte(o + "/"))
	}
	return mix(s.seed ^ h.Sum64())
}

// mix is the finish of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// changedNow wakes all who wait for a host or a way. Called with mu held.
func (n *Net) changedNow() {
	close(n.changed)
	n.changed = make(chan struct{})
	for _, p := range n.conns {
		for _, q := range p.pipes {
			q.wakeUp()
		}
	}
}

// rto is how long TCP waits before it sends something again, at first.
const rto = 200 * time.Millisecond

// cut holds up what goes one way until the function that it returns is called. What
// was on its way is sent again then, if it has to be.
func (n *Net) cut(again bool, ways ...*way) func() {
	for _, w := range ways {
		w.cuts++
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		now := time.Now()
		for _, w := range ways {
			w.cuts--
			if w.cuts == 0 {
				w.clear = now
				if again {
					w.clear = now.Add(time.Duration(mix(w.seed^uint64(now.UnixNano())) % uint64(rto)))
				}
			}
		}
		n.changedNow()
	}
}

// around is all ways in and out of a host. Called with mu held.
func (n *Net) around(h *Host) (ways []*way) {
	for _, other := range n.hosts {
		if other != h {
			ways = append(ways, n.way(h, other), n.way(other, h))
		}
	}
	return ways
}

// Handler returns what a kind of fault does to the network, nil if that has none of
// the kind.
func (n *Net) Handler(k Kind) Handler {
	do := map[Kind]func(f Fault, from, to *Host) func(){
		Cut:     func(_ Fault, from, to *Host) func() { return n.cut(true, n.way(from, to)) },
		Isolate: func(_ Fault, from, _ *Host) func() { return n.cut(true, n.around(from)...) },
		Freeze: func(_ Fault, from, _ *Host) func() {
			from.frozen++
			thaw := n.cut(false, n.around(from)...)
			return func() { n.mu.Lock(); from.frozen--; n.mu.Unlock(); thaw() }
		},
		Delay: func(f Fault, from, to *Host) func() {
			w, d := n.way(from, to), time.Duration(f.Size)*time.Millisecond
			w.delay += d
			return func() { n.mu.Lock(); w.delay -= d; n.mu.Unlock() }
		},
		Slow: func(f Fault, from, to *Host) func() {
			w := n.way(from, to)
			w.rate = f.Size
			return func() { n.mu.Lock(); w.rate = 0; n.mu.Unlock() }
		},
		Lossy: func(f Fault, from, to *Host) func() {
			w := n.way(from, to)
			w.loss = f.Size
			return func() { n.mu.Lock(); w.loss = 0; n.mu.Unlock() }
		},
		Reset: func(f Fault, from, to *Host) func() {
			var due []*pipe
			for _, p := range n.between(from, to) {
				q := p.pipes[p.sends(from)]
				q.resetAfter(f.Size)
				due = append(due, q)
			}
			return func() {
				n.mu.Lock()
				defer n.mu.Unlock()
				for _, q := range due {
					q.credit = -1 // fewer bytes came: a fault that is over does nothing later
				}
			}
		},
		Forget: func(_ Fault, from, to *Host) func() {
			for _, p := range n.between(from, to) {
				p.silent = true
			}
			return func() {}
		},
	}[k]
	if do == nil {
		return nil
	}
	return func(f Fault) (func(), error) {
		from, to := n.Host(f.From), (*Host)(nil)
		if f.To != "" {
			to = n.Host(f.To)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		end := do(f, from, to)
		n.changedNow()
		return end, nil
	}
}

// between is the open connections of two hosts. Called with mu held.
func (n *Net) between(a, b *Host) (some []*pair) {
	for _, p := range n.conns {
		if p.hosts == [2]*Host{a, b} || p.hosts == [2]*Host{b, a} {
			some = append(some, p)
		}
	}
	return some
}
