// Package static is a backend of package discovery that knows a fixed set of
// instances: for development, for tests, and for services that never move.
//
//	d, err := discovery.New(static.Backend(static.Addresses("greeter", "10.0.0.1:80", "10.0.0.2:80")...))
//
// # Backends
//
// None: it is this process's memory.
//
// # Semantics
//
// Snapshots are Live from the first Get and never change. A namespace makes no
// difference.
//
// # Errors
//
// Register returns ErrUnsupported. Instances are checked by discovery.New.
//
// # Closing
//
// There is nothing to close.
package static

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/discovery"
)

// Addresses returns an instance of a service for each host:port, which is its
// id too.
func Addresses(service string, addrs ...string) []discovery.Instance {
	all := make([]discovery.Instance, len(addrs))
	for i, a := range addrs {
		all[i] = discovery.Instance{Service: service, ID: a, Address: a}
	}
	return all
}

// Backend makes discovery.New know the instances, of one service or several.
// Each needs an ID.
func Backend(instances ...discovery.Instance) discovery.Option {
	return discovery.WithDriver("static", func(context.Context) (discovery.Driver, error) {
		d := driver{}
		seen := map[[2]string]bool{}
		for _, in := range instances {
			if err := in.Validate(); err != nil {
				return nil, err
			}
			key := [2]string{in.Service, in.ID}
			if seen[key] {
				return nil, fmt.Errorf("instance %s/%s is there twice", in.Service, in.ID)
			}
			seen[key] = true
			d[in.Service] = append(d[in.Service], in.Clone())
		}
		return d, nil
	})
}

// driver implements discovery.Driver: instances by service.
type driver map[string][]discovery.Instance

func (d driver) Ping(context.Context) error { return nil }
func (d driver) Close() error               { return nil }

func (d driver) Register(context.Context, discovery.Entry, func(discovery.Entry) bool) error {
	return discovery.ErrUnsupported
}

func (d driver) Renew(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

func (d driver) Deregister(context.Context, discovery.Entry) error { return discovery.ErrUnsupported }

func (d driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	all := d[service[strings.Index(service, "/")+1:]]
	deliver(discovery.Update{Instances: slices.Clone(all)})
	<-ctx.Done()
	return ctx.Err()
}

func (d driver) Services(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(d)), nil
}
