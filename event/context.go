package event

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Cause ties a record to the story that it is part of.
type Cause struct {
	RootID   string // of the first record of the story
	ParentID string // of the record that led to this one
}

type causeKey struct{}

// ContextWithCause returns a context in which Publish gives records without a
// RootID or ParentID those of c. A handler's context has them already.
func ContextWithCause(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// CauseFromContext returns what ContextWithCause, or the delivery to a
// handler, has put into the context.
func CauseFromContext(ctx context.Context) (Cause, bool) {
	switch c := ctx.Value(causeKey{}).(type) {
	case Cause:
		return c, true
	case *handling:
		if c.several {
			return Cause{}, false
		}
		return Cause{RootID: c.root, ParentID: c.id}, true
	}
	return Cause{}, false
}

// DeliveryFromContext returns how the record that a handler works on came to it; of
// a batch, the first one.
func DeliveryFromContext(ctx context.Context) (Delivery, bool) {
	h, ok := ctx.Value(deliveryKey{}).(*handling)
	if !ok {
		return Delivery{}, false
	}
	return Delivery{Group: h.s.o.group, Attempt: h.attempt, Position: h.position}, true
}

type deliveryKey struct{}

// handling is the context of one attempt at one record. It ends only if the
// handler has run for HandlerTimeout. It is no value of a context below it, which
// saves two layers and their allocations. It names no deadline, so that what a
// handler calls keeps its own default ones.
type handling struct {
	s                  *subscription
	root, id, position string
	attempt            int
	several            bool                     // a batch, whose records have no common cause
	stop               atomic.Pointer[stopping] // made when somebody asks
}

// stopping is what waits for a handling's end.
type stopping struct {
	done  chan struct{}
	mu    sync.Mutex
	ended bool
	after map[int]func()
	next  int
}

// handout is what a handler is called with.
type handout struct {
	record Record
	ctx    handling
}

func (*handling) Deadline() (time.Time, bool) { return time.Time{}, false }

func (h *handling) Done() <-chan struct{} {
	if h.s.o.limit == 0 {
		return nil
	}
	return h.stopping().done
}

func (h *handling) Err() error {
	p := h.stop.Load()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return context.DeadlineExceeded
	}
	return nil
}

func (h *handling) Value(key any) any {
	switch key.(type) {
	case causeKey, deliveryKey:
		return h
	}
	return nil
}

// AfterFunc lets the contexts below this one end with it without a goroutine
// each; package context looks for it.
func (h *handling) AfterFunc(f func()) (stop func() bool) {
	p := h.stopping()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		go f()
		return func() bool { return false }
	}
	n := p.next
	p.next++
	if p.after == nil {
		p.after = map[int]func(){}
	}
	p.after[n] = f
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, waits := p.after[n]
		delete(p.after, n)
		return waits
	}
}

func (h *handling) stopping() *stopping {
	if p := h.stop.Load(); p != nil {
		return p
	}
	h.stop.CompareAndSwap(nil, &stopping{done: make(chan struct{})})
	return h.stop.Load()
}

// end ends the context.
func (h *handling) end() {
	p := h.stopping()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	close(p.done)
	for _, f := range p.after {
		go f()
	}
	p.after = nil
}
