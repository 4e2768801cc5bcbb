package ring

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
)

// Node is one process's part of a ring. It is an http.Handler for its peers,
// and the backend of any number of stores. All methods may be called
// concurrently.
type Node struct {
	o       options
	d       discovery.Discovery
	service string
	self    string
	life    *life.Life
	store   *store
	clock   clock
	locks   [Partitions]chan struct{} // held by the write that is being decided
	kick    chan struct{}             // holds one token: compare with the peers now
	heard   atomic.Int64              // when it last compared with most others, Unix milliseconds; 0: never

	build      sync.Mutex // one rebuild at a time; guards what follows
	registered []discovery.Instance

	mu      sync.RWMutex // writes hold it while they apply, so that owners don't change in between
	v       *view        // nil until the registry was heard
	have    [Partitions]bool
	missing int    // of the partitions that this node owns, how many it does not have
	round   uint64 // grows when something may have been missed
	seen    map[string]bool
	links   map[string]*link
	member  bool          // this node is registered
	changed chan struct{} // closed and replaced when v or missing changes
}

// view is what a node goes by at one moment.
type view struct {
	*table
	peers []string // the others that can be asked, also those that own nothing
}

// New returns a node of the ring of a service's instances: those that
// discovery names, of status Up, own the keys; a Draining one hands off what it
// has. The name self is this process's instance ID. A node whose instance is
// not registered owns nothing but may read and write.
//
// The node follows the registry from here on, which stays the caller's. Mount
// it at WithPath on the server at the instance's address, then register.
func New(d discovery.Discovery, service, self string, opts ...Option) (*Node, error) {
	n := &Node{
		o: defaults(), d: d, service: service, self: self, life: life.New(), kick: make(chan struct{}, 1),
		seen: map[string]bool{}, links: map[string]*link{}, changed: make(chan struct{}),
	}
	for _, opt := range opts {
		err := fault.Markf(fault.Invalid, "nil option")
		if opt != nil {
			err = opt(&n.o)
		}
		if err != nil {
			return nil, fault.Wrap("kv/ring", "new", "", err)
		}
	}
	switch {
	case d == nil || service == "" || self == "":
		return nil, fault.New(fault.Invalid, "kv/ring", "new", "", "want a discovery, a service and an instance ID")
	case n.o.key == nil:
		return nil, fault.New(fault.Invalid, "kv/ring", "new", "", "no key: see WithKey")
	case n.o.interval > n.o.tombs/4:
		return nil, fault.New(fault.Invalid, "kv/ring", "new", "", "an interval of %v is over a quarter of the life of tombstones, %v", n.o.interval, n.o.tombs)
	}
	n.clock.node = hash(self)
	for i := range n.locks {
		n.locks[i] = make(chan struct{}, 1)
	}
	n.store = newStore(n.o.maxBytes, n.o.tombs)
	n.life.Go(n.follow)
	n.life.Go(n.keepSynced)
	return n, nil
}

// Close lets go of all peers. What this node had stays with the other owners.
// To lose nothing with WithReplicas(1) either, drain the instance's
// registration first and wait for Settled.
func (n *Node) Close() error {
	return n.life.Close(func() error { n.store.close(); return nil })
}

// follow keeps the members up to date.
func (n *Node) follow(ctx context.Context) {
	for s, err := range n.d.Watch(ctx, n.service) {
		if err != nil {
			if ctx.Err() == nil {
				n.o.logger.Error("kv/ring: the members are no longer followed", "error", err)
			}
			return
		}
		if s.State == discovery.Cold {
			continue
		}
		n.build.Lock()
		n.registered = slices.DeleteFunc(slices.Clone(s.Instances), func(in discovery.Instance) bool { return in.Status == discovery.Down })
		n.build.Unlock()
		n.rebuild()
	}
}

// rebuild makes the view anew from the registry and from who is out of reach.
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
			if up = append(up, m); reached(in.ID) {
				near = append(near, m)
			}
		}
	}
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
	t := place(near, n.o.replicas)
	n.o.logger.Debug("kv/ring: members", "registered", len(n.registered), "owners", len(near))

	n.mu.Lock()
	old := n.v
	n.v, n.member, n.links = &view{t, peers}, self, links
	for p := range t.owners {
		owns := t.owns(uint16(p), n.self)
		n.have[p] = owns && n.have[p] && old.owns(uint16(p), n.self)
	}
	n.round++
	n.recount()
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

// recount is called with mu held after a change of v or have.
func (n *Node) recount() {
	n.missing = 0
	for p := range n.v.owners {
		if n.v.owns(uint16(p), n.self) && !n.have[p] {
			n.missing++
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// connected is told of every new connection to or from a peer. After one that
// is not the first this node may have missed writes, and asks others until it
// has compared with them.
func (n *Node) connected(id, way string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[id+way] && n.links[id] != nil && n.v != nil {
		n.have = [Partitions]bool{}
		n.round++
		n.recount()
	}
	if len(n.seen) > maxSeen {
		clear(n.seen)
	}
	n.seen[id+way] = true
	n.syncNow()
}

// maxSeen bounds what is kept of peers that come and go.
const maxSeen = 1 << 16

func (n *Node) syncNow() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// stands says whether this node owns a partition, and has all of it.
func (n *Node) stands(p uint16) (owner, have bool, v *view) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.v == nil {
		return false, false, nil
	}
	return n.v.owns(p, n.self), n.have[p], n.v
}

// call asks a peer.
func (n *Node) call(ctx context.Context, id string, op byte, body []byte) (answer, error) {
	n.mu.RLock()
	l := n.links[id]
	n.mu.RUnlock()
	if l == nil {
		return answer{}, errUnsent
	}
	return l.call(ctx, op, body)
}

// get reads as an owner. While it does not have the partition it asks the
// others too, and keeps what they know.
func (n *Node) get(ctx context.Context, key string) (record, error) {
	owner, have, v := n.stands(partition(hash(key)))
	if !owner {
		return record{}, errMoved
	}
	if n.cutOff() {
		return record{}, errCutOff
	}
	failed := 0
	if !have {
		failed = n.learn(ctx, v, key)
	}
	if r, ok := n.store.get(key); ok {
		return r, nil
	}
	if failed > 0 {
		return record{}, fault.Markf(kv.ErrUnavailable, "hand-off is not complete")
	}
	return record{}, kv.ErrNotFound
}

// learn asks all peers for a key, and returns how many did not answer.
func (n *Node) learn(ctx context.Context, v *view, key string) (failed int) {
	ctx, cancel := context.WithTimeout(ctx, n.o.detection)
	defer cancel()
	body := putBytes(nil, key)
	records := make([]record, len(v.peers))
	errs := make([]error, len(v.peers))
	var wg sync.WaitGroup
	for i, id := range v.peers {
		wg.Go(func() {
			a, err := n.call(ctx, id, opAsk, body)
			if r := (&reader{b: a.body}); err == nil && a.status == stOK {
				if records[i] = r.record(); r.bad {
					err = errFrame
				}
			} else if err == nil {
				err = errors.New("refused")
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			failed++
		} else if r := records[i]; r.version != 0 {
			n.clock.seen(r.version)
			n.store.merge(key, r)
		}
	}
	return failed
}

// Settled waits until this node has everything that it owns, and nothing that
// others own and do not have yet: after a start it is then a full member, and
// after its instance was set to Draining it may go.
func (n *Node) Settled(ctx context.Context) error {
	for {
		n.mu.RLock()
		changed := n.changed
		settled := n.v != nil && n.missing == 0 && !n.leftovers()
		n.mu.RUnlock()
		if settled {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fault.Wrap("kv/ring", "settled", "", fault.Mark(fault.Unavailable, ctx.Err()))
		case <-n.life.Done():
			return fault.Wrap("kv/ring", "settled", "", fault.Closed)
		}
	}
}

// leftovers reports that the node has what it does not own. Called with mu
// held.
func (n *Node) leftovers() bool {
	for p := range n.v.owners {
		if n.store.counts[p].Load() > 0 && !n.v.owns(uint16(p), n.self) {
			return true
		}
	}
	return false
}
