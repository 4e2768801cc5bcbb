package ring

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// Membership is a node that a program makes before it knows its own instance:
// whoever registers that has it join. Package platform does, by WithRing.
type Membership struct {
	opts []Option
	node atomic.Pointer[Node]
}

// memberLabel marks the instances that have a node, for those of other versions
// of the service that have none. Its value is the path.
const memberLabel = "ring"

// Member returns the node of the instance that Join will name.
func Member(opts ...Option) *Membership { return &Membership{opts: opts} }

// Join makes the node that of the instance, whose ID and service are set, and
// returns the backend that stands on it. It adds the label "ring" to the
// instance, which is to be registered with it: instances without are no members.
// The options of Member go before the logger. It joins once.
func (m *Membership) Join(d discovery.Discovery, self *discovery.Instance, logger *slog.Logger) (kv.Option, error) {
	if self == nil {
		return nil, fault.New(fault.Invalid, "kv/ring", "join", "", "nil instance")
	}
	opts := []Option{withLabel(memberLabel)}
	if logger != nil {
		opts = append(opts, WithLogger(logger))
	}
	n, err := New(d, self.Service, self.ID, append(opts, m.opts...)...)
	if err != nil {
		return nil, err
	}
	if !m.node.CompareAndSwap(nil, n) {
		return nil, errors.Join(fault.New(fault.Invalid, "kv/ring", "join", self.ID, "it has joined"), n.Close())
	}
	labels := map[string]string{memberLabel: path}
	maps.Copy(labels, self.Labels)
	self.Labels = labels
	return Backend(n), nil
}

// Node returns the node, nil before Join.
func (m *Membership) Node() *Node { return m.node.Load() }

// Handler serves the peers, and everybody else with next.
func (m *Membership) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := m.node.Load(); n != nil && r.URL.Path == path && upgrades(r) {
			n.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Listener is the node's, see Node.Listener; before Join it is l.
func (m *Membership) Listener(l net.Listener) net.Listener {
	if n := m.node.Load(); n != nil {
		return n.Listener(l)
	}
	return l
}

// Leave is the node's Drained.
func (m *Membership) Leave(ctx context.Context) error {
	if n := m.node.Load(); n != nil {
		return n.Drained(ctx)
	}
	return nil
}

// Close closes the node.
func (m *Membership) Close() error {
	if n := m.node.Load(); n != nil {
		return n.Close()
	}
	return nil
}

// withLabel makes only the instances with a label members.
func withLabel(label string) Option {
	return func(o *options) error { o.label = label; return nil }
}
