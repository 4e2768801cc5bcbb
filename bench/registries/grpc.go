package registries

import (
	"context"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.uber.org/zap"
)

// grpcEtcd is the naming of etcd's own client for gRPC. Its users grant the lease
// and keep it alive; the follower is what its resolver does.
var grpcEtcd = peer{
	register: func(ctx context.Context, i instance) error {
		c, m, err := naming(i.registry)
		if err != nil {
			return err
		}
		lease, err := c.Grant(ctx, int64(ttl.Seconds()))
		if err != nil {
			return err
		}
		if err := m.AddEndpoint(ctx, service+"/"+i.id, endpoints.Endpoint{Addr: i.address}, clientv3.WithLease(lease.ID)); err != nil {
			return err
		}
		alive, err := c.KeepAlive(ctx, lease.ID)
		go func() {
			for range alive {
			}
		}()
		return err
	},
	follow: func(ctx context.Context, registry string) (func() []string, error) {
		c, m, err := naming(registry)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { c.Close() })
		changes, err := m.NewWatchChannel(ctx)
		if err != nil {
			return nil, err
		}
		var mu sync.Mutex
		known := map[string]string{}
		go func() {
			for updates := range changes {
				mu.Lock()
				for _, u := range updates {
					if u.Op == endpoints.Add {
						known[u.Key] = u.Endpoint.Addr
					} else {
						delete(known, u.Key)
					}
				}
				mu.Unlock()
			}
		}()
		return func() []string {
			mu.Lock()
			defer mu.Unlock()
			var all []string
			for _, addr := range known {
				all = append(all, addr)
			}
			return all
		}, nil
	},
}

func naming(registry string) (*clientv3.Client, endpoints.Manager, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{registry}, Logger: zap.NewNop()})
	if err != nil {
		return nil, nil, err
	}
	m, err := endpoints.NewManager(c, service)
	return c, m, err
}
