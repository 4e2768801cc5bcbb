package registries

import (
	"context"

	"github.com/go-micro/plugins/v4/registry/consul"
	"github.com/go-micro/plugins/v4/registry/etcd"
	"go-micro.dev/v4/logger"
	"go-micro.dev/v4/registry"
	"go-micro.dev/v4/registry/cache"
)

var (
	microEtcd   = micro(etcd.NewRegistry)
	microConsul = micro(consul.NewRegistry)
)

// micro is go-micro's registry, heartbeats as its server sends them, and read
// through its cache as its selector does.
func micro(open func(...registry.Option) registry.Registry) peer {
	return peer{
		register: func(_ context.Context, i instance) error {
			r := open(registry.Addrs(i.registry), registry.Logger(quiet))
			s := &registry.Service{Name: service, Version: "1", Nodes: []*registry.Node{{Id: i.id, Address: i.address}}}
			register := func() error { return r.Register(s, registry.RegisterTTL(ttl)) }
			beat(func() { _ = register() })
			return register()
		},
		follow: func(ctx context.Context, addr string) (func() []string, error) {
			c := cache.New(open(registry.Addrs(addr), registry.Logger(quiet)), cache.WithLogger(quiet))
			context.AfterFunc(ctx, c.Stop)
			return func() []string {
				var all []string
				services, _ := c.GetService(service) // on an error nothing is offered
				for _, s := range services {
					for _, n := range s.Nodes {
						all = append(all, n.Address)
					}
				}
				return all
			}, nil
		},
	}
}

var quiet = logger.NewLogger(logger.WithLevel(logger.FatalLevel))
