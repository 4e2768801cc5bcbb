package ring

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
)

// view is what a node goes by at one moment.
type view struct {
	*table
	most  bool             // the owners are most of those that are registered
	all   int              // how many nodes there are, also those that own nothing
	up    []string         // those of them that do not leave, and this one, by name
	peers []string         // the others that can be asked, also those that own nothing
	links map[string]*link // to all others that are registered
	mine  [partitions]int8 // this node's place among the owners, -1: none
	first [partitions]*link
	known [partitions]bool // its owners are those of the view before, and were agreed on

	agreed   atomic.Bool // all peers go by the same members, or did
	deserted bool        // the registry has dropped most of this node's company, and shows nobody else
}

func (n *Node) newView(t *table, most bool, peers []string, links map[string]*link, old *view) *view {
	v := &view{table: t, most: most, peers: peers, links: links}
	for p, owners := range t.owners {
		v.mine[p] = int8(slices.Index(owners, n.self))
		if len(owners) > 0 {
			v.first[p] = links[owners[0]]
		}
		v.known[p] = old != nil && old.claims[p] == t.claims[p] && old.settled(uint16(p))
	}
	return v
}

// settled reports that nobody in reach goes by other owners of a partition. Only
// then a primary may write: what it writes would be missing where a node still
// takes itself for an owner, and reads its own memory.
func (v *view) settled(p uint16) bool { return v.known[p] || v.agreed.Load() }

// agree asks all peers whether they go by the same members, and reports that
// one said no.
func (v *view) agree(ctx context.Context, within time.Duration) (differ bool) {
	if v.agreed.Load() {
		return false
	}
	failed := false
	for _, a := range v.askAll(ctx, within, opAgree, putU64(nil, v.epoch)) {
		failed = failed || a.err != nil
		differ = differ || a.err == nil && a.status != stOK
	}
	if !failed && !differ {
		v.agreed.Store(true)
	}
	return differ
}

// rebuild makes a new view from the registry and from who is out of reach.
func (n *Node) rebuild() {
	n.build.Lock()
	defer n.build.Unlock()
	if n.life.Closed() {
		return
	}
	links := n.relink()
	reached := func(id string) bool { return id == n.self || !links[id].suspect.Load() }
	var up, near []member
	var peers []string
	self := false
	for _, in := range n.registered {
		self = self || in.ID == n.self
		if in.Status == discovery.Up {
			m := member{in.ID, in.Weight}
			up = append(up, m)
			if reached(in.ID) {
				near = append(near, m)
			}
		}
	}
	reach := len(near)
	// A minority keeps counting on the others, and so cannot write without
	// them: else both sides of a cut would go on by themselves.
	most := 2*len(near) > len(up)
	if !most {
		near = up
	}
	for _, in := range n.registered {
		if in.ID != n.self && (reached(in.ID) || !most && in.Status == discovery.Up) {
			peers = append(peers, in.ID)
		}
	}
	old := n.v.Load()
	v := n.newView(place(near, n.o.replicas), most, peers, links, old)
	v.all, v.up = len(n.registered), []string{n.self}
	if !self {
		v.all++
	}
	for _, m := range up {
		if m.id != n.self {
			v.up = append(v.up, m.id)
		}
	}
	slices.Sort(v.up)
	n.o.logger.Debug("kv/ring: members", "registered", len(n.registered), "reached", reach, "owners", len(near))

	n.mu.Lock()
	v.deserted = n.leftBy(v.up)
	if v.deserted && n.deserted.Load() == 0 {
		n.deserted.Store(time.Now().UnixMilli())
	}
	n.member, n.links = self, links
	for p := range v.owners {
		if v.mine[p] < 0 || old == nil || old.mine[p] < 0 {
			n.have[p].Store(false) // before the view: who sees the new one sees this
		}
	}
	n.v.Store(v)
	n.round++
	n.recount(v)
	n.mu.Unlock()
	n.syncNow()
}

// relink returns the links to who is registered now.
func (n *Node) relink() map[string]*link {
	links := map[string]*link{}
	for _, in := range n.registered {
		if in.ID == n.self {
			continue
		}
		l := n.links[in.ID] // written only under build
		if l == nil || l.address != in.Address {
			if l != nil {
				l.stop()
			}
			l = &link{n: n, id: in.ID, address: in.Address}
			var ctx context.Context
			ctx, l.stop = context.WithCancel(n.life.Context())
			n.life.Go(func(context.Context) { l.run(ctx) })
		}
		links[in.ID] = l
	}
	for id, l := range n.links {
		if links[id] == nil {
			l.stop()
		}
	}
	return links
}

// recount is called with mu held after a change of the view or of have.
func (n *Node) recount(v *view) {
	n.missing = 0
	for p := range v.owners {
		if v.mine[p] >= 0 && !n.have[p].Load() {
			n.missing++
		}
	}
	n.notify()
}

// notify has those look again who await a state of the node. Called with mu held.
func (n *Node) notify() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// connected is notified of every new connection to or from a peer. After one that
// is not the first this node may have missed writes.
func (n *Node) connected(id, way string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[id+way] && n.links[id] != nil {
		n.doubt()
	}
	if len(n.seen) > maxSeen {
		clear(n.seen)
	}
	n.seen[id+way] = true
	n.syncNow()
}

// maxSeen bounds what is kept of peers that come and go.
const maxSeen = 1 << 16

// doubt has this node ask others until it has compared with them. Called with
// mu held.
func (n *Node) doubt() {
	if v := n.v.Load(); v != nil {
		for p := range n.have {
			n.have[p].Store(false)
		}
		n.round++
		n.recount(v)
	}
}

// watchPauses finds out that the process was stopped, or starved, for so long
// that the others may have gone on without it.
func (n *Node) watchPauses(ctx context.Context) {
	every := time.NewTicker(n.o.detection / 4)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			now := time.Now()
			if !n.awake(now) {
				n.mu.Lock()
				n.doubt()
				n.mu.Unlock()
				n.woke.Store(now.UnixMilli()) // before the beat: who sees that sees this
				n.syncNow()
			}
			n.beat.Store(now.UnixMilli())
		case <-ctx.Done():
			return
		}
	}
}

// awake reports that the process was not stopped lately.
func (n *Node) awake(now time.Time) bool {
	return now.UnixMilli()-n.beat.Load() <= n.o.detection.Milliseconds()
}

// listened reports that the process has been running for as long as it takes to
// detect that a peer is out of reach. After a pause the peers get that time
// again: this node has not heard them because it did not listen. It would take
// itself for a minority, which answers from its own old memory.
func (n *Node) listened(now time.Time) bool {
	return n.awake(now) && now.UnixMilli()-n.woke.Load() > n.o.detection.Milliseconds()
}

// stands says whether this node owns a partition, and has all of it.
func (n *Node) stands(p uint16, now time.Time) (owner, have bool, v *view) {
	v = n.v.Load()
	if v == nil || v.mine[p] < 0 {
		return false, false, v
	}
	return true, n.have[p].Load() && n.awake(now), v
}

func (n *Node) syncNow() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}
