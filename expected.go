package platform

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/backoff"
)

// expected tells the monitor which instances there should be: those that the
// registry has of a service that this process follows. The monitor is opened
// before the registry.
type expected struct {
	registry atomic.Pointer[discovery.Discovery]
}

func (e *expected) of(service string) (ids []string, known bool) {
	d := e.registry.Load()
	if d == nil {
		return nil, false
	}
	s, known := (*d).Lookup(service)
	for _, in := range s.Instances {
		ids = append(ids, in.ID)
	}
	return ids, known
}

// follow makes the registry's view of a service known to Lookup.
func (a *App) follow(ctx context.Context, service string) {
	for {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := a.discovery.Get(call, service)
		cancel()
		if !errors.Is(err, discovery.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if backoff.Sleep(ctx, 5*time.Second) != nil {
			return
		}
	}
}
