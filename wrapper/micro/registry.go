package micro

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go-micro.dev/v5/registry"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// Registry makes discovery.New read a registry of go-micro's, for a router
// whose instances register there. A node's metadata are its labels, and "zone"
// among them its zone; a service's version is its nodes'. It only reads:
// Register returns ErrUnsupported, since go-micro's server registers itself.
// Changes come from the registry's watcher, and the whole set is read every
// 30 s, because a watcher may miss some.
func Registry(r registry.Registry) discovery.Option {
	return discovery.WithDriver("go-micro", func(context.Context) (discovery.Driver, error) {
		if r == nil {
			return nil, errors.New("nil registry")
		}
		return reader{r}, nil
	})
}

type reader struct{ r registry.Registry }

// refresh is how often the whole set is read.
const refresh = 30 * time.Second

// wait runs f, which takes no context, until ctx ends. late gets what f returns
// after that; nil forgets it.
func wait[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	c := make(chan result)
	go func() {
		var v T
		err := fault.Guard(func() (err error) { v, err = f(); return err })
		select {
		case c <- result{v, err}:
		case <-ctx.Done():
			if err == nil && late != nil {
				late(v)
			}
		}
	}()
	select {
	case r := <-c:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (d reader) Ping(ctx context.Context) error {
	_, err := d.Services(ctx)
	return err
}

func (d reader) Services(ctx context.Context) ([]string, error) {
	all, err := wait(ctx, func() ([]*registry.Service, error) { return d.r.ListServices() }, nil)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	names := map[string]bool{}
	for _, s := range all {
		names[s.Name] = true
	}
	return slices.Collect(maps.Keys(names)), nil
}

func (d reader) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	w, err := wait(ctx, func() (registry.Watcher, error) { return d.r.Watch(registry.WatchService(service)) }, registry.Watcher.Stop)
	if err != nil {
		return unavailable(ctx, err)
	}
	changes := make(chan error, 1)
	done := make(chan struct{})
	defer close(done)
	defer w.Stop()
	go func() {
		for {
			err := fault.Guard(func() error { _, err := w.Next(); return err })
			select {
			case changes <- err:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		set, err := d.instances(ctx, service)
		if err != nil {
			return err
		}
		deliver(discovery.Update{Instances: set})
		select {
		case err := <-changes:
			if err != nil {
				return unavailable(ctx, err)
			}
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// instances reads the whole set.
func (d reader) instances(ctx context.Context, service string) ([]discovery.Instance, error) {
	found, err := wait(ctx, func() ([]*registry.Service, error) { return d.r.GetService(service) }, nil)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	var out []discovery.Instance
	for _, s := range found {
		for _, n := range s.Nodes {
			out = append(out, discovery.Instance{
				ID: n.Id, Service: service, Version: s.Version, Address: n.Address, Zone: n.Metadata["zone"], Labels: maps.Clone(n.Metadata),
			})
		}
	}
	return out, nil
}

func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.Mark(discovery.ErrUnavailable, err)
}

func (d reader) Register(context.Context, discovery.Entry, func(discovery.Entry) bool) error {
	return discovery.ErrUnsupported
}

func (d reader) Renew(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

func (d reader) Deregister(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

func (d reader) Close() error { return nil }
