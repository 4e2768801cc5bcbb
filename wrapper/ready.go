package wrapper

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/monitor"
)

// registrations are what Close deregisters.
type registrations struct {
	mu  sync.Mutex
	all []discovery.Registration
}

// AddRegistration is WithRegistration for an instance that is registered after
// New, as one is that has to listen first. Nothing is announced after Close.
func (w *Wrapper) AddRegistration(r discovery.Registration) {
	w.registrations.mu.Lock()
	first := !slices.ContainsFunc(w.registrations.all, w.own)
	w.registrations.all = append(w.registrations.all, r)
	w.registrations.mu.Unlock()
	if w.o.monitor == nil {
		return
	}
	if first && w.own(r) {
		in := r.Instance()
		w.o.monitor.Identify(monitor.Instance{ID: in.ID, Service: in.Service, Version: in.Version, Address: in.Address, Zone: in.Zone})
	}
	w.life.Go(func(ctx context.Context) { w.announce(ctx, r) })
}

// own reports whether r is of the service that is wrapped.
func (w *Wrapper) own(r discovery.Registration) bool { return r.Instance().Service == w.o.name }

// deregister takes all instances out of the registry, at the same time. A registry
// that accepts everything and answers nothing must not take the time of the calls
// in progress: their entries end with their TTL.
func (w *Wrapper) deregister(ctx context.Context) error {
	w.registrations.mu.Lock()
	var all []func(context.Context) error
	for _, r := range w.registrations.all {
		all = append(all, r.Deregister)
	}
	w.registrations.mu.Unlock()
	began := time.Now()
	bounded, cancel := within(ctx, .25, registryTimeout)
	defer cancel()
	err := together(bounded, all)
	return fault.Late(ctx, time.Since(began).Round(time.Millisecond), err)
}

// announce keeps a registration's status what the monitor says: an instance
// that has not come up yet gets no calls, and one that is no longer ready is
// the last choice of routers, as one that drains. What a program has set
// itself comes back with readiness. A write that fails is made again by the
// registration's next heartbeat.
func (w *Wrapper) announce(ctx context.Context, r discovery.Registration) {
	defer w.o.faults.caught(ctx, "the announcement of readiness")
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
		limited, cancel := context.WithTimeout(ctx, registryTimeout)
		err := fault.Guard(func() error {
			return r.Update(limited, func(in *discovery.Instance) { in.Status = status })
		})
		cancel()
		said = status
		if err != nil && ctx.Err() == nil && w.o.log != nil {
			w.o.log.Logger("wrapper").Warn("wrapper: readiness not announced", "status", status.String(), "error", err)
		}
	}
}

// registryTimeout bounds one question to the registry.
const registryTimeout = 5 * time.Second
