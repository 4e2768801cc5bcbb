package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// Backend stores in the Redis at addr, over an engine of its own:
// "redis://user:password@host:6379/2", several of a cluster as "a:6379,b:6379",
// and the other forms that engine/redis takes.
func Backend(addr string) kv.Option {
	return open(func() (*redis.Client, error) { return redis.Open(redis.Config{Address: addr}) }, false)
}

// On stores in the Redis that the engine is connected to, and leaves it open.
func On(e *engine.Engine) kv.Option { return open(e.Conn, false) }

// open makes the driver. Calls made at the same time share round trips, unless they
// are to be alone.
func open(connect func() (*redis.Client, error), alone bool) kv.Option {
	return kv.WithDriver("redis", func(context.Context) (kv.Driver, error) {
		client, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(client, alone), nil
	})
}

func newDriver(client *redis.Client, alone bool) *driver {
	d := &driver{client: client, alone: alone, timeout: client.Timeout()}
	d.cluster, _ = client.UniversalClient.(*goredis.ClusterClient)
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// driver implements kv.Driver.
type driver struct {
	client  *redis.Client
	cluster *goredis.ClusterClient // nil: one server
	alone   bool
	timeout time.Duration

	life  context.Context
	end   context.CancelFunc
	known atomic.Bool    // the cluster's slots
	nodes sync.Map       // of *goredis.Client, nil without a cluster, to *batch.Group[op]
	lanes sync.WaitGroup // of all nodes
}

func (d *driver) Ping(ctx context.Context) error { return d.client.Ping(ctx) }

// Advice implements kvdriver.AdviceDriver.
func (d *driver) Advice(ctx context.Context) string {
	policy := d.client.Eviction(ctx)
	if policy == "" {
		return ""
	}
	which := "any item"
	if strings.HasPrefix(policy, "volatile-") {
		which = "items that have a TTL"
	}
	return fmt.Sprintf("Redis at %s has maxmemory-policy %s: it drops %s when its memory is full", d.client.Addr(), policy, which)
}

func (d *driver) Features() kv.Features {
	return kv.Features{
		List: true, Watch: true, Batch: true, Counter: true, Shared: true,
		Linearizable: !d.replicated(), ExpiryStep: time.Millisecond, Deadlines: d.client.KeepsDeadlines(), MaxValue: 512 << 20,
	}
}

// replicated reports whether another server may take over, with what it knows.
func (d *driver) replicated() bool {
	one, ok := d.client.UniversalClient.(*goredis.Client)
	return !ok || one.Options().Addr == "FailoverClient" // the name that a client by sentinels has
}

func (d *driver) Close() error {
	d.end() // of round trips that were left by their callers
	err := d.client.Close()
	d.lanes.Wait()
	return err
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	return d.get(ctx, &op{kind: opGet, key: key})
}

// GetExpiring implements kvdriver.ExpiryDriver: the expiry is a command of its own.
func (d *driver) GetExpiring(ctx context.Context, key string) (kv.Item, error) {
	return d.get(ctx, &op{kind: opGet, key: key, life: true})
}

func (d *driver) get(ctx context.Context, o *op) (kv.Item, error) {
	if err := d.do(ctx, o); err != nil {
		return kv.Item{}, err
	}
	return o.item, nil
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	o := &op{kind: opSet, key: w.Key, value: w.Value, ttl: milliseconds(w.TTL), rev: w.IfRevision}
	var err error
	switch {
	case w.IfAbsent:
		o.kind = opCreate
		err = d.do(ctx, o)
	case w.IfRevision != 0:
		o.kind = opPutIf
		err = d.conditional(ctx, o, len(w.Value) >= large)
	default:
		err = d.do(ctx, o)
	}
	if err != nil {
		return 0, err
	}
	return revision(w.Value), nil
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	if rev == 0 {
		return d.do(ctx, &op{kind: opDelete, key: key})
	}
	return d.conditional(ctx, &op{kind: opDeleteIf, key: key, rev: rev}, false)
}

// conditional does o if the value has its revision. likely says that the
// present value is probably large, as the new one is.
func (d *driver) conditional(ctx context.Context, o *op, likely bool) error {
	if likely {
		return d.swap(ctx, o)
	}
	if err := d.do(ctx, o); err != nil {
		return err
	}
	switch o.n {
	case refused:
		return kv.ErrConflict
	case bulky:
		return d.swap(ctx, o)
	}
	return nil
}

func (d *driver) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	o := &op{kind: opAdd, key: key, n: delta, ttl: milliseconds(ttl)}
	if err := d.do(ctx, o); err != nil {
		return 0, err
	}
	return o.n, nil
}
