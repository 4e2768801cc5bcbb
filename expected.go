package platform

import (
	"sync/atomic"

	"github.com/micro/go-platform/discovery"
)

// expected tells the monitor which instances there should be: those that the
// registry has of a service that this process follows, as its router does the
// service's own. The monitor is opened before the registry.
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
