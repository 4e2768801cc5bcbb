package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// Option configures the backend.
type Option func(*config) error

type config struct {
	redis.Config
	alone bool // no shared round trips
	hooks []goredis.Hook
}

// Backend stores in the Redis at addr: "host:port", several of a cluster as
// "a:6379,b:6379", or a URL with the scheme redis, rediss (TLS), redis+sentinel
// or redis+cluster, with user, password and database:
// "redis://user:password@host:6379/2", "redis+sentinel://a:26379/mymaster".
func Backend(addr string, opts ...Option) kv.Option {
	return open(config{Config: redis.Config{Address: addr}}, opts)
}

// WithClient stores through a client of your own, which Close leaves open: a
// *redis.Client or a *redis.ClusterClient. It should have ContextTimeoutEnabled;
// else a call's deadline ends the call, but not what it does on the connection.
// A call whose context can be cancelled takes a goroutine of its own, as the
// client does not look at a context's end: with an address, and WithHook and
// WithClientOptions, it takes none.
func WithClient(client goredis.UniversalClient, opts ...Option) kv.Option {
	return open(config{Config: redis.Config{Client: client}}, opts)
}

// WithAuth gives name and password, over those in the address. The name is
// empty for a server that only has a password.
func WithAuth(username, password string) Option {
	return func(c *config) error {
		c.Username = username
		return conn.SetSecret(&c.Password, password)
	}
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithDatabase selects a database by number. The default is 0.
func WithDatabase(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fault.Markf(kv.ErrInvalid, "database %d", n)
		}
		c.DB = n
		return nil
	}
}

// WithTimeouts bounds making a connection and waiting for one answer. The
// defaults are 2 s and 3 s; 0 keeps the default.
func WithTimeouts(dial, answer time.Duration) Option {
	return func(c *config) error {
		if dial < 0 || answer < 0 {
			return fault.Markf(kv.ErrInvalid, "timeouts %v and %v", dial, answer)
		}
		c.DialTimeout, c.Timeout = dial, answer
		return nil
	}
}

// WithoutSharing gives every call a round trip of its own. By default calls
// made at the same time share round trips.
func WithoutSharing() Option {
	return func(c *config) error { c.alone = true; return nil }
}

// WithClientOptions has adjust change what the client is made of: credentials
// providers, the connections' name (by default "go-platform"), buffers, limits
// of the pool. What keeps writes from being sent twice stays as it is.
func WithClientOptions(adjust func(*goredis.UniversalOptions)) Option {
	return func(c *config) error {
		if adjust == nil {
			return fault.Markf(kv.ErrInvalid, "nil function")
		}
		c.Adjust = append(slices.Clip(c.Adjust), adjust)
		return nil
	}
}

// WithHook adds a hook to the client, for tracing, metrics or limits.
func WithHook(hook goredis.Hook) Option {
	return func(c *config) error {
		if hook == nil {
			return fault.Markf(kv.ErrInvalid, "nil hook")
		}
		c.hooks = append(slices.Clip(c.hooks), hook)
		return nil
	}
}

func open(c config, opts []Option) kv.Option {
	return kv.WithDriver("redis", func(context.Context) (kv.Driver, error) {
		c := c // one option may open several stores, also at once
		c, err := conn.Apply(c, opts)
		if err != nil {
			return nil, err
		}
		d, err := newDriver(c)
		if err != nil {
			return nil, err
		}
		return d, nil
	})
}

func newDriver(c config) (*driver, error) {
	client, err := redis.Open(c.Config)
	if err != nil {
		return nil, err
	}
	for _, h := range c.hooks {
		client.AddHook(h)
	}
	d := &driver{client: client, alone: c.alone, timeout: c.Timeout}
	if d.timeout == 0 {
		d.timeout = 3 * time.Second
	}
	d.cluster, _ = client.UniversalClient.(*goredis.ClusterClient)
	d.life, d.end = context.WithCancel(context.Background())
	return d, nil
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

// Advice implements kv.AdviceDriver.
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

// GetExpiring implements kv.ExpiryDriver: the expiry is a command of its own.
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
