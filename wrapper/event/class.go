package event

import (
	"context"
	"errors"
	"sync"

	"github.com/micro/go-platform/event"
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, event.ErrTimeout):
		return router.Timeout
	case errors.Is(err, router.ErrLimited):
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, event.ErrTimeout):
		return router.Timeout
	case errors.Is(err, event.ErrInvalid), errors.Is(err, event.ErrTooLarge), errors.Is(err, event.ErrUnsupported), errors.Is(err, event.ErrClosed):
		return router.ClientError
	case errors.Is(err, event.ErrUnknownOutcome):
		return router.Connect
	case errors.Is(err, event.ErrUnavailable):
		return router.Unsent
	case errors.Is(err, router.ErrLimited):
		return router.Overload
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
