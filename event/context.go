package event

import (
	"context"
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
		return Cause{RootID: c.root, ParentID: c.id}, true
	}
	return Cause{}, false
}

// DeliveryFromContext returns how the record that a handler works on came to it.
func DeliveryFromContext(ctx context.Context) (Delivery, bool) {
	h, ok := ctx.Value(deliveryKey{}).(*handling)
	if !ok {
		return Delivery{}, false
	}
	return Delivery{Group: h.s.o.group, Attempt: h.attempt, Position: h.position}, true
}

type deliveryKey struct{}

// handling is the context of one attempt at one record. It never ends: a
// handler keeps its context until it returns. It is no value of a context below
// it, which saves two layers and their allocations.
type handling struct {
	s                  *subscription
	root, id, position string
	attempt            int
}

// handout is what a handler is called with.
type handout struct {
	record Record
	ctx    handling
}

func (*handling) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*handling) Done() <-chan struct{}       { return nil }
func (*handling) Err() error                  { return nil }
func (h *handling) Value(key any) any {
	switch key.(type) {
	case causeKey, deliveryKey:
		return h
	}
	return nil
}
