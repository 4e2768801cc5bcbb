package event

import (
	"context"
	"errors"
	"sync"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
)

// handledClass is how the handling of a record went.
func handledClass(err error, panicked any) router.Class {
	switch {
	case panicked != nil:
		return router.ServerError
	case err == nil:
		return router.OK
	case errors.Is(err, context.Canceled):
		return router.Cancelled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, fault.Timeout):
		return router.Timeout
	case errors.Is(err, fault.Exhausted):
		return router.Overload
	}
	return router.ServerError
}

// publishClass is how publishing went.
func publishClass(err error) router.Class {
	switch {
	case err == nil:
		return router.OK
	case errors.Is(err, context.Canceled):
		return router.Cancelled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, fault.Timeout):
		return router.Timeout
	}
	switch fault.KindOf(err) {
	case fault.Unavailable:
		return router.Unsent
	case fault.UnknownOutcome:
		return router.Connect
	case fault.Exhausted:
		return router.Overload
	case fault.Invalid, fault.TooLarge, fault.Closed:
		return router.ClientError
	}
	return router.ServerError
}

const (
	maxTypes = 200
	other    = "_OTHER"
	several  = "_several"
)

// names keeps what publishers choose out of metrics, when it is too much.
type names struct {
	mu   sync.RWMutex
	seen map[string]bool
}

// of returns the type, or "_OTHER" if too many were seen before it.
func (n *names) of(typ string) string {
	n.mu.RLock()
	known, full := n.seen[typ], len(n.seen) >= maxTypes
	n.mu.RUnlock()
	switch {
	case known:
		return typ
	case full:
		return other
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.seen = map[string]bool{}
	}
	if !n.seen[typ] && len(n.seen) >= maxTypes {
		return other
	}
	n.seen[typ] = true
	return typ
}

// ofAll is the type of all records, if they have one.
func (n *names) ofAll(records []*event.Record) string {
	for _, r := range records[1:] {
		if r != nil && r.Type != records[0].Type {
			return several
		}
	}
	return n.of(records[0].Type)
}
