package registries

import (
	"context"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/redis"
)

var (
	platformEtcd   = platform(func(addr string) discovery.Option { return etcd.Backend(addr) })
	platformConsul = platform(func(addr string) discovery.Option { return consul.Backend(addr) })
	platformRedis  = platform(func(addr string) discovery.Option { return redis.Backend(addr) })
)

// platform is this module, with default options but for the TTL.
func platform(backend func(addr string) discovery.Option) peer {
	return peer{
		register: func(ctx context.Context, i instance) error {
			d, err := discovery.New(backend(i.registry), discovery.WithTTL(ttl))
			if err != nil {
				return err
			}
			var opts []discovery.RegisterOption
			if i.again { // an id that moves
				opts = append(opts, discovery.Replace())
			}
			_, err = d.Register(ctx, discovery.Instance{Service: service, ID: i.id, Address: i.address}, opts...)
			return err
		},
		follow: func(ctx context.Context, registry string) (func() []string, error) {
			d, err := discovery.New(backend(registry))
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { d.Close() })
			_, err = d.Get(ctx, service)
			return func() []string {
				s, _ := d.Lookup(service)
				all := make([]string, len(s.Instances))
				for n, in := range s.Instances {
					all[n] = in.Address
				}
				return all
			}, err
		},
	}
}
