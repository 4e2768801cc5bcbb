package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/watch"
)

// driver passes calls to the drivers of nodes.
type driver struct {
	database    string
	backends    map[string]func(Node) db.Option
	credentials func(ctx context.Context, n Node) (Credentials, error)
	replicas    bool
	rest        time.Duration // for which a node that failed comes last
	life        *life.Life
	next        atomic.Uint64 // replica

	ready     chan struct{} // closed by the first snapshot, or the end of the watch
	readyOnce sync.Once

	mu       sync.Mutex
	nodes    map[string]*node
	ended    error // why the watch ended
	specs    map[string]db.TableSpec
	features *db.Features // promised; nil before Ping
}

var (
	_ dbdriver.Transactor = (*driver)(nil)
	_ dbdriver.Batcher    = (*driver)(nil)
	_ dbdriver.Explainer  = (*driver)(nil)
	_ dbdriver.Indexer    = (*driver)(nil)
	_ dbdriver.Executor   = (*transaction)(nil)
	_ dbdriver.Explainer  = (*transaction)(nil)
)

// follow keeps nodes as discovery says, again when it panics.
func (d *driver) follow(ctx context.Context, from discovery.Discovery, service string) {
	watch.Again(ctx, func() { d.heard(d.hear(from.Watch(ctx, service))) }, d.heard)
}

func (d *driver) hear(snapshots iter.Seq2[discovery.Snapshot, error]) error {
	for s, err := range snapshots {
		if err != nil {
			return err
		}
		if s.AsOf.IsZero() { // the registry has not said anything yet
			continue
		}
		d.update(s.Instances)
		d.heard(nil)
	}
	return nil
}

// heard lets calls go on: nodes are known, or err is why they are not.
func (d *driver) heard(err error) {
	d.mu.Lock()
	d.ended = err
	d.mu.Unlock()
	d.readyOnce.Do(func() { close(d.ready) })
}

func (d *driver) update(instances []discovery.Instance) {
	now := map[string]*node{}
	var left []*node
	d.mu.Lock()
	for _, in := range instances {
		if d.backends[in.Labels[LabelDriver]] == nil {
			continue
		}
		key := keyOf(in)
		n := d.nodes[key]
		if n == nil {
			n = newNode(key)
		}
		n.set(d.database, in)
		now[key] = n
	}
	for key, n := range d.nodes {
		if now[key] == nil {
			left = append(left, n)
		}
	}
	d.nodes = now
	d.mu.Unlock()
	for _, n := range left {
		_ = fault.Guard(func() error { n.retire(); return nil }) // a panic keeps no other open
	}
}

// candidates returns the nodes for a call, the best first.
func (d *driver) candidates(read bool) []*node {
	d.mu.Lock()
	all := slices.Collect(maps.Values(d.nodes))
	d.mu.Unlock()
	slices.SortFunc(all, func(a, b *node) int { return strings.Compare(a.key, b.key) })
	now := time.Now()
	var first, second, tired []*node
	for _, n := range all {
		info, usable, resting := n.state(now)
		asked := info.Role == Primary || read && info.Role == Replica
		switch {
		case !usable || !asked:
		case resting:
			tired = append(tired, n)
		case read && info.Role == Primary:
			second = append(second, n) // spared
		default:
			first = append(first, n)
		}
	}
	if read && len(first) > 1 {
		i := int(d.next.Add(1) % uint64(len(first)))
		first = append(slices.Clone(first[i:]), first[:i]...)
	}
	return slices.Concat(first, second, tired)
}

// on runs f on a node that fits, and on the next one as long as certainly
// nothing was done.
func (d *driver) on(ctx context.Context, read bool, f func(ctx context.Context, n *node, of db.Driver) error) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	var failures []error
	nodes := d.candidates(read)
	for i, n := range nodes {
		one, cancel := ctx, context.CancelFunc(func() {})
		if end, ok := ctx.Deadline(); ok && read && i < len(nodes)-1 {
			one, cancel = context.WithTimeout(ctx, time.Until(end)/2) // a node that hangs leaves time for the next
		}
		err := d.try(one, n, f)
		late := one.Err() != nil
		cancel()
		if late || errors.Is(err, fault.Unavailable) {
			n.failed(time.Now().Add(d.rest))
		}
		if ctx.Err() != nil || !errors.Is(err, fault.Unavailable) && !(read && late && err != nil) {
			return err
		}
		info, _, _ := n.state(time.Now())
		failures = append(failures, fmt.Errorf("%s at %s: %w", info.ID, info.Address, err))
	}
	if len(failures) == 0 {
		return d.nothingFits()
	}
	return fault.Mark(fault.Unavailable, errors.Join(failures...))
}

func (d *driver) try(ctx context.Context, n *node, f func(ctx context.Context, n *node, of db.Driver) error) error {
	if !n.enter() {
		return fault.Markf(fault.Unavailable, "has left")
	}
	defer n.leave()
	of, err := n.open(ctx, d)
	if err != nil {
		return err
	}
	d.mu.Lock()
	promised := d.features
	d.mu.Unlock()
	if promised != nil && both(*promised, of.Features()) != *promised {
		return fault.Markf(fault.Unavailable, "can do less than the others: %+v", of.Features())
	}
	return f(ctx, n, of)
}

// wait waits for discovery's first answer.
func (d *driver) wait(ctx context.Context) error {
	select {
	case <-d.ready:
		return nil
	default:
	}
	select {
	case <-d.ready:
		return nil
	case <-ctx.Done():
		return fault.Markf(fault.Unavailable, "discovery has not answered for db.%s: %w", d.database, ctx.Err())
	}
}

func (d *driver) nothingFits() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended != nil {
		return fault.Markf(fault.Unavailable, "discovery of db.%s has ended: %w", d.database, d.ended)
	}
	return fault.Markf(fault.Unavailable, "no node of db.%s fits: %d have a driver of %v, and none of them is a %s in service",
		d.database, len(d.nodes), slices.Sorted(maps.Keys(d.backends)), Primary)
}

// both returns what two backends can do.
func both(a, b db.Features) db.Features {
	return db.Features{
		Backend: a.Backend, Durable: a.Durable && b.Durable, Shared: a.Shared && b.Shared, Transactions: a.Transactions && b.Transactions,
		AnyKey: a.AnyKey && b.AnyKey, Compare: a.Compare && b.Compare, Prefix: a.Prefix && b.Prefix, Contains: a.Contains && b.Contains,
		Exists: a.Exists && b.Exists, Or: a.Or && b.Or, Not: a.Not && b.Not, Order: a.Order && b.Order,
		OrderEqual: (!a.Order || !b.Order) && (a.Order || a.OrderEqual) && (b.Order || b.OrderEqual), Count: a.Count && b.Count,
		FullText: a.FullText && b.FullText, Immediate: a.Immediate && b.Immediate,
	}
}

func (d *driver) Features() db.Features {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.features == nil {
		return db.Features{}
	}
	fs := *d.features
	fs.Immediate = fs.Immediate && !d.replicas
	return fs
}

// Ping asks a primary, or with replica reads any node. The first time it
// finds out what the nodes can do.
func (d *driver) Ping(ctx context.Context) error {
	err := d.on(ctx, d.replicas, func(ctx context.Context, _ *node, of db.Driver) error { return of.Ping(ctx) })
	if err != nil {
		return err
	}
	d.mu.Lock()
	known := d.features != nil
	d.mu.Unlock()
	if known {
		return nil
	}
	var fs *db.Features
	for _, n := range d.candidates(true) {
		d.try(ctx, n, func(ctx context.Context, _ *node, of db.Driver) error {
			f := of.Features()
			if fs != nil {
				f = both(*fs, f)
			}
			fs = &f
			return nil
		})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.features == nil {
		d.features = fs
	}
	return nil
}

// Close closes the pools of all nodes; no call is in progress.
func (d *driver) Close() error {
	return d.life.Close(func() error { d.update(nil); return nil })
}
