package outlet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// Member is an Outlet of any kind.
type Member interface {
	Label() string
	Stats() Stats
	Drained() <-chan struct{}
	stop() <-chan struct{}
	release() error
}

// Label is the outlet's name.
func (o *Outlet[T, B]) Label() string { return o.Name }

// Group flushes and closes the outlets of one front together, and says what was
// lost.
type Group struct {
	pkg, items string
	Members    []Member

	closed atomic.Bool
	done   chan struct{} // closed when Close is through
	err    error
	mu     sync.Mutex
	told   uint64 // losses that an error of Flush or Close has counted
}

// NewGroup returns the group of a package, which calls an item so.
func NewGroup(pkg, items string) *Group {
	return &Group{pkg: pkg, items: items, done: make(chan struct{})}
}

// Closed reports whether Close was called.
func (g *Group) Closed() bool { return g.closed.Load() }

// Flush returns when all that was accepted before the call is sent or lost, or
// when ctx ends. The error says how much was lost that no error has said before;
// when Close is called meanwhile, it is that of Close.
func (g *Group) Flush(ctx context.Context) error {
	if g.Closed() {
		return fault.Wrap(g.pkg, "flush", "", fault.Closed)
	}
	drained := make([]<-chan struct{}, len(g.Members))
	for i, m := range g.Members {
		drained[i] = m.Drained()
	}
	for i, d := range drained {
		select {
		case <-d:
		case <-ctx.Done():
			return fault.Wrap(g.Members[i].Label(), "flush", "", ctx.Err())
		}
	}
	if g.Closed() { // meanwhile: what it gave up is for Close to say
		<-g.done
		return g.err
	}
	return g.lost("flush")
}

// Close sends what waits until ctx ends, then releases everything. The error
// says how much was lost that no error has said before. Further calls wait for
// the first and return the same.
func (g *Group) Close(ctx context.Context) error {
	if g.closed.CompareAndSwap(false, true) {
		defer close(g.done)
		stopped := make([]<-chan struct{}, len(g.Members))
		for i, m := range g.Members {
			stopped[i] = m.stop()
		}
		for _, s := range stopped {
			select {
			case <-s:
			case <-ctx.Done():
			}
		}
		errs := make([]error, 0, len(g.Members)+1)
		for _, m := range g.Members {
			errs = append(errs, m.release())
		}
		g.err = errors.Join(append(errs, g.lost("close"))...)
		return g.err
	}
	<-g.done
	return g.err
}

// lost returns an error that counts the losses that none has counted yet.
func (g *Group) lost(op string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var total uint64
	why := ""
	for _, m := range g.Members {
		s := m.Stats()
		n := s.Lost().Items
		if n == 0 {
			continue
		}
		total += n
		why += fmt.Sprintf("; %s: %d", m.Label(), n)
		if s.LastError != "" {
			why += " (" + s.LastError + ")"
		}
	}
	n := total - g.told
	g.told = total
	if n == 0 {
		return nil
	}
	return fault.New(fault.Dropped, g.pkg, op, "", "%d %s%s", n, g.items, why)
}
