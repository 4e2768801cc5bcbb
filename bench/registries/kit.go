package registries

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/go-kit/kit/sd"
	kitconsul "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/kit/sd/etcdv3"
	"github.com/go-kit/log"
	"github.com/hashicorp/consul/api"
)

// kitEtcd is go-kit's registrar with its TTL option, which renews the lease.
var kitEtcd = peer{
	register: func(ctx context.Context, i instance) error {
		c, err := etcdv3.NewClient(ctx, []string{i.registry}, etcdv3.ClientOptions{})
		if err != nil {
			return err
		}
		return c.Register(etcdv3.Service{Key: service + "/" + i.id, Value: i.address, TTL: etcdv3.NewTTLOption(ttl/3, ttl)})
	},
	follow: func(ctx context.Context, registry string) (func() []string, error) {
		c, err := etcdv3.NewClient(ctx, []string{registry}, etcdv3.ClientOptions{})
		if err != nil {
			return nil, err
		}
		i, err := etcdv3.NewInstancer(c, service+"/", log.NewNopLogger())
		if err != nil {
			return nil, err
		}
		return events(ctx, i), nil
	},
}

// kitConsul is go-kit's registrar with a check of the TTL. Who uses it sends the
// heartbeats; here they register again when one fails.
var kitConsul = peer{
	register: func(_ context.Context, i instance) error {
		c, err := api.NewClient(&api.Config{Address: i.registry})
		if err != nil {
			return err
		}
		host, port, err := net.SplitHostPort(i.address)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return err
		}
		r := kitconsul.NewRegistrar(kitconsul.NewClient(c), &api.AgentServiceRegistration{
			ID: i.id, Name: service, Address: host, Port: n,
			Check: &api.AgentServiceCheck{TTL: ttl.String(), Status: api.HealthPassing},
		}, log.NewNopLogger())
		r.Register()
		beat(func() {
			if c.Agent().UpdateTTL("service:"+i.id, "", api.HealthPassing) != nil {
				r.Register()
			}
		})
		return c.Agent().UpdateTTL("service:"+i.id, "", api.HealthPassing)
	},
	follow: func(ctx context.Context, registry string) (func() []string, error) {
		c, err := api.NewClient(&api.Config{Address: registry})
		if err != nil {
			return nil, err
		}
		return events(ctx, kitconsul.NewInstancer(kitconsul.NewClient(c), log.NewNopLogger(), service, nil, true)), nil
	},
}

// events keeps what the last event without an error said, as go-kit's endpointer
// does.
func events(ctx context.Context, i sd.Instancer) func() []string {
	var last atomic.Pointer[[]string]
	last.Store(new([]string))
	c := make(chan sd.Event, 16)
	i.Register(c)
	go func() {
		defer i.Stop()
		for {
			select {
			case e := <-c:
				if e.Err == nil {
					all := slices.Clone(e.Instances)
					last.Store(&all)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() []string { return *last.Load() }
}
