package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// node is one address.
type node struct {
	base string // without credentials
	auth string

	mu     sync.Mutex
	rested time.Time // until then it comes last
}

// rest is for how long a node that failed comes last.
const rest = time.Second

// candidates returns the nodes in turn, those that failed a moment ago last.
func (c *client) candidates() []*node {
	i := int(c.next.Add(1) % uint32(len(c.nodes))) // an int of 32 bits would become negative
	now := time.Now()
	var good, tired []*node
	for _, n := range slices.Concat(c.nodes[i:], c.nodes[:i]) {
		n.mu.Lock()
		resting := now.Before(n.rested)
		n.mu.Unlock()
		if resting {
			tired = append(tired, n)
		} else {
			good = append(good, n)
		}
	}
	return append(good, tired...)
}

// failed has others asked first for a moment.
func (n *node) failed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rested = time.Now().Add(rest)
}

// trace sees how far a request got.
type trace struct{ asked, reused, sent atomic.Bool }

// lost gives a request without an answer its kind.
func (n *node) lost(ctx context.Context, err error, write bool, t *trace) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address, which follows
	}
	sent := t.sent.Load() || !t.asked.Load() // a round tripper that can't be seen into
	switch {
	case write && sent:
		return fmtNode(n, fault.Mark(fault.UnknownOutcome, err))
	case errors.Is(ctx.Err(), context.Canceled), ctx.Err() != nil && sent:
		return fmtNode(n, err)
	}
	return fmtNode(n, fault.Mark(fault.Unavailable, err))
}

// fmtNode says which node an error is of.
func fmtNode(n *node, err error) error { return fmt.Errorf("%w (%s)", err, n.base) }
