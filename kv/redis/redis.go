package redis

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
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
	silent bool // no messages for watches
	alone  bool // no shared round trips
}

// Backend stores in the Redis at addr: "host:port", several of a cluster as
// "a:6379,b:6379", or a URL with the scheme redis, rediss (TLS), redis+sentinel
// or redis+cluster, with user, password and database:
// "redis://user:password@host:6379/2", "redis+sentinel://a:26379/mymaster".
func Backend(addr string, opts ...Option) kv.Option {
	return open(config{Config: redis.Config{Address: addr}}, opts)
}

// WithClient stores through a client that the caller already has, and closes
// itself: a *redis.Client or a *redis.ClusterClient.
func WithClient(client goredis.UniversalClient, opts ...Option) kv.Option {
	return open(config{Config: redis.Config{Client: client}}, opts)
}

// WithAuth gives name and password, over those in the address. The name is
// empty for a server that only has a password.
func WithAuth(username, password string) Option {
	return func(c *config) error { c.Username, c.Password = username, password; return nil }
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

// WithoutWatch publishes no changes, which makes writes a little cheaper; Watch
// is then not supported. All writers of the watched keys have to agree.
func WithoutWatch() Option {
	return func(c *config) error { c.silent = true; return nil }
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
	d := &driver{client: client, silent: c.silent, alone: c.alone, timeout: c.Timeout}
	if d.timeout == 0 {
		d.timeout = 3 * time.Second
	}
	d.cluster, _ = client.UniversalClient.(*goredis.ClusterClient)
	d.marks.prefix = processID()
	d.life, d.end = context.WithCancel(context.Background())
	return d, nil
}

// processID returns a name that no other driver has.
func processID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// driver implements kv.Driver.
type driver struct {
	client  *redis.Client
	cluster *goredis.ClusterClient // nil: one server
	silent  bool
	alone   bool
	timeout time.Duration

	requests atomic.Int64 // made by scripts
	marks    marks
	life     context.Context
	end      context.CancelFunc
	known    atomic.Bool // the cluster's slots
	nodes    sync.Map    // of goredis.UniversalClient to *node: one for each server
}

func (d *driver) Ping(ctx context.Context) error { return d.client.Ping(ctx) }

func (d *driver) Features() kv.Features {
	return kv.Features{
		List: true, Watch: !d.silent, Batch: true, Counter: true, Shared: true,
		Linearizable: !d.replicated(), ExpiryStep: time.Millisecond, Deadlines: d.client.Owned(), MaxValue: 512 << 20,
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
	d.nodes.Range(func(_, n any) bool { n.(*node).drop(); n.(*node).Wait(); return true })
	return err
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	o := &op{kind: opGet, key: key}
	if err := d.do(ctx, o); err != nil {
		return kv.Item{}, err
	}
	return o.item, nil
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	// A call that is left by its caller may still be on its way: it has a copy.
	o := &op{kind: opSet, key: w.Key, value: bytes.Clone(w.Value), ttl: milliseconds(w.TTL)}
	switch {
	case w.IfAbsent:
		o.kind, o.cond = opPutIf, "absent"
	case w.IfRevision != 0:
		o.kind, o.cond = opPutIf, condition(w.IfRevision)
	}
	if err := d.do(ctx, o); err != nil {
		return 0, err
	}
	if o.n == 0 && o.kind == opPutIf {
		if w.IfAbsent {
			return 0, kv.ErrExists
		}
		return 0, kv.ErrConflict
	}
	return revision(w.Value), nil
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	o := &op{kind: opDelete, key: key}
	if rev != 0 {
		o.kind, o.cond = opDeleteIf, condition(rev)
	}
	if err := d.do(ctx, o); err != nil {
		return err
	}
	if o.n == 0 && o.kind == opDeleteIf {
		return kv.ErrConflict
	}
	return nil
}

func (d *driver) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	o := &op{kind: opAdd, key: key, n: delta, ttl: milliseconds(ttl)}
	err := d.do(ctx, o)
	return o.n, err
}

// maxLife is the longest life that is asked for: 100 years. What is over 290
// overflows in the client.
const maxLife = 100 * 365 * 24 * time.Hour

// milliseconds rounds up.
func milliseconds(d time.Duration) int64 {
	d = min(d, maxLife)
	return int64(d/time.Millisecond) + min(int64(d%time.Millisecond), 1)
}
