package ring

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/seldom"
)

// Node is one process's part of a ring. It is an http.Handler for its peers,
// and the backend of any number of stores. All methods may be called
// concurrently.
type Node struct {
	o        options
	d        discovery.Discovery
	service  string
	self     string
	life     *life.Life
	store    *store
	clock    clock
	locks    [partitions]chan struct{} // held by the write that is being decided
	kick     chan struct{}             // holds one token: compare with the peers now
	refusals seldom.Gate               // of log lines about peers without the key
	recent   atomic.Int64              // when it last compared with most of those that are registered, Unix milliseconds; 0: never
	heard    atomic.Int64              // when it last compared with most of its company too, see gap.go
	since    atomic.Int64              // from when on it has done so without a gap
	broke    atomic.Int64              // when that gap began; 0: there was none
	deserted atomic.Int64              // when the registry dropped most of its company; 0: it did not

	checked time.Time // when it last compared what it does not own; keepSynced's

	build      sync.Mutex // one rebuild at a time; guards what follows
	registered []discovery.Instance

	v    atomic.Pointer[view] // nil until the registry was heard
	have [partitions]atomic.Bool
	beat atomic.Int64 // when it was last seen running, Unix milliseconds
	woke atomic.Int64 // when it was found to have been stopped; 0: never

	mu      sync.RWMutex // writes hold it while they apply, so that owners don't change in between; guards what follows, and changes of v and have
	missing int          // of the partitions that this node owns, how many it does not have
	round   uint64       // grows when something may have been missed
	seen    map[string]bool
	company []string // who was up when it last compared with most of its company, by name
	links   map[string]*link
	member  bool          // this node is registered
	changed chan struct{} // closed and replaced when v or missing changes
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
	if err := fronts.Apply(&n.o, opts); err != nil {
		return nil, fault.Wrap("kv/ring", "new", "", err)
	}
	switch {
	case fronts.Nil(d) || service == "" || self == "":
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
	n.beat.Store(time.Now().UnixMilli())
	n.life.Go(n.follow)
	n.life.Go(n.keepSynced)
	n.life.Go(n.watchPauses)
	return n, nil
}

// Close releases all peers. What this node had stays with the other owners.
// To lose nothing with WithReplicas(1) either, set the instance to Draining
// first and wait for Drained.
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
		n.registered = slices.DeleteFunc(slices.Clone(s.Instances), n.stranger)
		n.build.Unlock()
		n.rebuild()
	}
}

// stranger reports whether a registered instance has no node.
func (n *Node) stranger(in discovery.Instance) bool {
	return in.Status == discovery.Down || n.o.label != "" && in.Labels[n.o.label] == ""
}

// Settled waits until this node has heard that its instance is registered, and has
// everything that it owns, and nothing that others own and do not have yet: after a
// start it is then a full member.
func (n *Node) Settled(ctx context.Context) error {
	return n.await(ctx, "settled", func(v *view) bool { return n.member && n.missing == 0 && !n.leftovers(v) })
}

// Drained waits, after this node's instance was set to Draining, until others
// have what it had: then it may go. If there are no others it returns at once.
func (n *Node) Drained(ctx context.Context) error {
	return n.await(ctx, "drained", func(v *view) bool {
		for p, at := range v.mine {
			if at >= 0 || len(v.owners[p]) > 0 && n.store.counts[p].Load() > 0 {
				return false
			}
		}
		return true
	})
}

// await waits for a state of the node; done is called with mu held.
func (n *Node) await(ctx context.Context, op string, done func(*view) bool) error {
	for {
		n.mu.RLock()
		changed := n.changed
		v := n.v.Load()
		is := v != nil && done(v)
		n.mu.RUnlock()
		if is {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fault.Wrap("kv/ring", op, "", fault.Mark(fault.Unavailable, ctx.Err()))
		case <-n.life.Done():
			return fault.Wrap("kv/ring", op, "", fault.Closed)
		}
	}
}

// leftovers reports that the node has what it does not own.
func (n *Node) leftovers(v *view) bool {
	for p, at := range v.mine {
		if at < 0 && n.store.counts[p].Load() > 0 {
			return true
		}
	}
	return false
}
