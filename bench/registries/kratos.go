package registries

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	kratosconsul "github.com/go-kratos/kratos/contrib/registry/consul/v2"
	kratosetcd "github.com/go-kratos/kratos/contrib/registry/etcd/v2"
	"github.com/go-kratos/kratos/v2/registry"
	"github.com/hashicorp/consul/api"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// kratosEtcd is kratos' registry with this TTL.
var kratosEtcd = kratos(func(addr string) (kratosRegistry, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return kratosetcd.New(c, kratosetcd.RegisterTTL(ttl)), nil
})

// kratosConsul is kratos' registry with a heartbeat each second. It counts in
// seconds, and its TTL is twice the time between two: 2 s.
var kratosConsul = kratos(func(addr string) (kratosRegistry, error) {
	c, err := api.NewClient(&api.Config{Address: addr})
	if err != nil {
		return nil, err
	}
	return kratosconsul.New(c, kratosconsul.WithHealthCheck(false), kratosconsul.WithHealthCheckInterval(1)), nil
})

type kratosRegistry interface {
	registry.Registrar
	registry.Discovery
}

// kratos is kratos' registry, followed as its resolver does: an error is waited
// out, and an answer without instances changes nothing.
func kratos(open func(addr string) (kratosRegistry, error)) peer {
	return peer{
		register: func(ctx context.Context, i instance) error {
			r, err := open(i.registry)
			if err != nil {
				return err
			}
			return r.Register(ctx, &registry.ServiceInstance{ID: i.id, Name: service, Endpoints: []string{"http://" + i.address}})
		},
		follow: func(ctx context.Context, addr string) (func() []string, error) {
			r, err := open(addr)
			if err != nil {
				return nil, err
			}
			w, err := r.Watch(ctx, service)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { _ = w.Stop() })
			var last atomic.Pointer[[]string]
			last.Store(new([]string))
			go func() {
				for ctx.Err() == nil {
					found, err := w.Next()
					if err != nil {
						time.Sleep(time.Second)
						continue
					}
					var all []string
					for _, in := range found {
						for _, e := range in.Endpoints {
							all = append(all, strings.TrimPrefix(e, "http://"))
						}
					}
					if len(all) > 0 {
						last.Store(&all)
					}
				}
			}()
			return func() []string { return *last.Load() }, nil
		},
	}
}
