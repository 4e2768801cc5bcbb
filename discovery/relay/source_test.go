package relay_test

import (
	"context"
	"sync"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// mapDriver is a registry that expires what it is told to.
type mapDriver struct {
	mu      sync.Mutex
	change  chan struct{} // closed and replaced with every change
	all     map[string]discovery.Instance
	expired map[string]bool
}

func (d *mapDriver) edit(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	close(d.change)
	d.change = make(chan struct{})
}

func (d *mapDriver) expire(ids ...string) {
	d.edit(func() {
		d.expired = map[string]bool{}
		for _, id := range ids {
			delete(d.all, id)
			d.expired[id] = true
		}
	})
}

func (d *mapDriver) Ping(context.Context) error { return nil }
func (d *mapDriver) Close() error               { return nil }

func (d *mapDriver) Register(_ context.Context, e discovery.Entry, _ func(discovery.Entry) bool) error {
	d.edit(func() { d.all[e.ID] = e.Instance })
	return nil
}

func (d *mapDriver) Renew(context.Context, discovery.Entry) error {
	return fault.NotFound
}

func (d *mapDriver) Deregister(_ context.Context, e discovery.Entry) error {
	d.edit(func() { delete(d.all, e.ID) })
	return nil
}

func (d *mapDriver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	for {
		d.mu.Lock()
		var all []discovery.Instance
		for _, in := range d.all {
			if in.Service == service {
				all = append(all, in)
			}
		}
		expired, change := d.expired, d.change
		d.mu.Unlock()
		deliver(discovery.Update{Instances: all, Fate: func(id string) discovery.Fate {
			if expired[id] {
				return discovery.Expired
			}
			return discovery.Deregistered
		}})
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *mapDriver) Services(context.Context) ([]string, error) { return []string{"shop/s"}, nil }
