package redis

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// index is a sorted set of the names of services, by when they were last
// heard of. It may have names without instances.
const index = "discovery:services"

// driver implements discovery.Driver.
type driver struct {
	*conn.Client
	poll time.Duration

	mu  sync.Mutex
	hub *hub // nil: nobody listens
}

// keys of a service; the braces put them into one slot of a cluster.
func keys(service string) []string {
	base := "discovery:{" + service + "}:"
	return []string{base + "i", base + "t", base + "d"}
}

func channel(service string) string { return "discovery:{" + service + "}" }

// run runs a script and leaves with ctx.
func (d *driver) run(ctx context.Context, s *goredis.Script, service string, args ...any) (any, error) {
	return conn.Do(ctx, func(ctx context.Context) (any, error) {
		return s.Run(ctx, d.UniversalClient, keys(service), args...).Result()
	})
}

// list puts a service into the index.
func (d *driver) list(ctx context.Context, service string) error {
	_, err := conn.Do(ctx, func(ctx context.Context) (any, error) {
		z := goredis.Z{Score: float64(time.Now().Unix()), Member: service}
		_, err := d.Pipelined(ctx, func(p goredis.Pipeliner) error {
			p.ZAdd(ctx, index, z)
			p.Expire(ctx, index, 24*time.Hour)
			return nil
		})
		return nil, err
	})
	// Nobody has to know whether a name got there.
	return conn.ReadError(err)
}

func (d *driver) Register(ctx context.Context, in discovery.Instance, ttl time.Duration) error {
	value, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if err := d.list(ctx, in.Service); err != nil { // first: an instance must not be missing there
		return err
	}
	_, err = d.run(ctx, register, in.Service, in.ID, value, ttl.Milliseconds(), channel(in.Service))
	return conn.WriteError(err)
}

func (d *driver) Renew(ctx context.Context, in discovery.Instance, ttl time.Duration) error {
	found, err := d.run(ctx, renew, in.Service, in.ID, ttl.Milliseconds())
	if err != nil {
		return conn.WriteError(err)
	}
	if found != int64(1) {
		return discovery.ErrNotFound
	}
	return d.list(ctx, in.Service)
}

func (d *driver) Deregister(ctx context.Context, service, id string) error {
	_, err := d.run(ctx, deregister, service, id, channel(service))
	return conn.WriteError(err)
}

func (d *driver) Services(ctx context.Context) ([]string, error) {
	return conn.Do(ctx, func(ctx context.Context) ([]string, error) {
		names, err := d.ZRange(ctx, index, 0, -1).Result()
		if err != nil || len(names) == 0 {
			return nil, conn.ReadError(err)
		}
		now, err := d.Time(ctx).Result()
		if err != nil {
			return nil, conn.ReadError(err)
		}
		live := make([]*goredis.IntCmd, len(names))
		_, err = d.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, name := range names {
				live[i] = p.ZCount(ctx, keys(name)[1], "("+milliseconds(now), "+inf")
			}
			return nil
		})
		if err != nil {
			return nil, conn.ReadError(err)
		}
		some := names[:0]
		for i, name := range names {
			if live[i].Val() > 0 {
				some = append(some, name)
			}
		}
		return some, nil
	})
}
