package cluster

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// node is a server and its pool.
type node struct {
	key  string        // what a pool is for: another address is another node
	turn chan struct{} // holds one value while somebody opens or ensures

	mu     sync.Mutex
	info   Node
	usable bool // not draining
	users  int
	gone   bool // has left; the last user closes
	rested time.Time
	driver db.Driver         // nil until first use
	made   map[string]string // tables that are there, with their indexes
}

func newNode(key string) *node {
	return &node{key: key, turn: make(chan struct{}, 1), made: map[string]string{}}
}

func keyOf(in discovery.Instance) string {
	return in.ID + "\x00" + in.Address + "\x00" + in.Labels[LabelDriver]
}

func (n *node) set(database string, in discovery.Instance) {
	role := in.Labels[LabelRole]
	if role == "" {
		role = Primary
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.info = Node{ID: in.ID, Address: in.Address, Driver: in.Labels[LabelDriver], Role: role, Zone: in.Zone, Database: database, Labels: maps.Clone(in.Labels)}
	n.usable = in.Status != discovery.Draining && in.Status != discovery.Down
}

// state returns what the node is now, and whether it failed a moment ago.
func (n *node) state(now time.Time) (info Node, usable, tired bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info, n.usable && !n.gone, now.Before(n.rested)
}

// failed lets others be asked first for a while.
func (n *node) failed(until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rested = until
}

// enter begins a use; leave must be called.
func (n *node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		return false
	}
	n.users++
	return true
}

func (n *node) leave() {
	n.mu.Lock()
	n.users--
	d := n.closable()
	n.mu.Unlock()
	if d != nil {
		d.Close()
	}
}

// retire closes the pool when its last user has left.
func (n *node) retire() {
	n.mu.Lock()
	n.gone = true
	d := n.closable()
	n.mu.Unlock()
	if d != nil {
		d.Close()
	}
}

func (n *node) closable() db.Driver {
	if !n.gone || n.users > 0 {
		return nil
	}
	d := n.driver
	n.driver = nil
	return d
}

// open returns the pool, and makes it on first use.
func (n *node) open(ctx context.Context, d *driver) (db.Driver, error) {
	n.mu.Lock()
	have, info := n.driver, n.info
	n.mu.Unlock()
	if have != nil {
		return have, nil
	}
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	have = n.driver
	n.mu.Unlock()
	if have != nil {
		return have, nil
	}
	if d.credentials != nil {
		c, err := d.credentials(ctx, info)
		if err != nil {
			return nil, fault.Markf(fault.Unavailable, "credentials: %w", err)
		}
		info.Credentials = c
	}
	made, err := d.backends[info.Driver](info).OpenDriver(ctx)
	if err != nil {
		return nil, fault.Markf(fault.Unavailable, "%w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.driver = made
	return made, nil
}
