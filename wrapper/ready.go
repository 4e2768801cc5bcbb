package wrapper

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/monitor"
)

// identify makes the monitor report under the id of the service's registration.
func (w *Wrapper) identify() {
	for _, r := range w.o.registrations {
		in := r.Instance()
		if in.Service == w.o.name {
			w.o.monitor.Identify(monitor.Instance{ID: in.ID, Service: in.Service, Version: in.Version, Address: in.Address, Zone: in.Zone})
			return
		}
	}
}

// announce keeps a registration's status what the monitor says: an instance
// that has not come up yet gets no calls, and one that is no longer ready is
// the last choice of routers, as one that drains. What a program has set
// itself comes back with readiness. A write that fails is made again by the
// registration's next heartbeat.
func (w *Wrapper) announce(ctx context.Context, r discovery.Registration) {
	own := r.Instance().Status
	said, came := own, false
	for s := range w.o.monitor.Watch(ctx) {
		if now := r.Instance().Status; now != said { // the program has set it
			own, said = now, now
		}
		came = came || s.Ready
		status := discovery.Draining
		switch {
		case s.Ready:
			status = own
		case !came:
			status = discovery.Starting
		}
		if status == said {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, announceTimeout)
		err := r.Update(limited, func(in *discovery.Instance) { in.Status = status })
		cancel()
		said = status
		if err != nil && ctx.Err() == nil && w.o.log != nil {
			w.o.log.Logger("wrapper").Warn("wrapper: readiness not announced", "status", status.String(), "error", err)
		}
	}
}

const announceTimeout = 5 * time.Second
