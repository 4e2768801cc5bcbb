// Package consul keeps locks, semaphores and elections of package sync in
// Consul.
//
// # Backends
//
// An agent, or several of one cluster of which one is used at a time.
//
// # Semantics
//
// A claim has a session of its own and queues with a key that ends with the
// session. Who is first in the queue acquires the lock's key; of a semaphore,
// the first so many hold. So the order is that of arrival, over all processes.
//
//	sync/<namespace>/lock/<id>/queue/<nonce>   "1 <owner>", the order is that of CreateIndex
//	sync/<namespace>/lock/<id>/holder          "1 <owner>", acquired with the session
//
// The fencing token is the ModifyIndex of the acquired key, a semaphore's the
// CreateIndex of its place: indexes of the cluster's log, which rise for as long
// as its data lives, also when keys are deleted. (LockIndex, which Consul's own
// documentation recommends, starts again when the key is deleted.)
//
// Consul keeps sessions for at least 10 s and ends a silent one after one to two
// TTLs. Sessions have no health checks: with the usual one, an agent that
// fails would end them before their time, while the holder still trusts it.
// WithLockDelay makes Consul wait longer still before it gives a silent holder's
// lock to somebody else.
//
// Sessions that came to a good end are used again, so locking costs two
// transactions and unlocking one.
//
// # Errors
//
// As in package sync.
//
// # Closing
//
// Close destroys the sessions. It closes the engine that Backend opened; one given
// to On stays open.
package consul

import (
	"context"
	"fmt"
	"strings"
	gosync "sync"
	"time"

	"github.com/hashicorp/consul/api"
	engine "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/internal/conn"
	consulconn "github.com/micro/go-platform/internal/conn/consul"
	dsync "github.com/micro/go-platform/sync"
)

// Option configures Backend and On.
type Option func(*options) error

type options struct {
	lockDelay time.Duration
	minTTL    time.Duration
}

// WithLockDelay makes Consul refuse for d to give a lock to anyone else after
// its holder's session has ended by itself, up to 60 s. Consul's own default is
// 15 s; here it is none, because holders give up by themselves before their
// sessions end.
func WithLockDelay(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 || d > time.Minute {
			return fmt.Errorf("lock delay %v, want 0 to 60 s", d)
		}
		o.lockDelay = d
		return nil
	}
}

// WithMinTTL says that the servers' session_ttl_min is not the default of 10 s.
func WithMinTTL(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("minimum TTL %v, want a positive one", d)
		}
		o.minTTL = d
		return nil
	}
}

// Backend selects the agent at addr, over an engine of its own:
// "consuls://:token@host" and the other forms that engine/consul takes. The token
// needs session:write and key:write on "sync/".
func Backend(addr string, opts ...Option) dsync.Option {
	return open(func() (*consulconn.Conn, error) { return consulconn.Open(consulconn.Config{Address: addr}) }, opts)
}

// On selects the agent that the engine is connected to, and leaves it open.
func On(e *engine.Engine, opts ...Option) dsync.Option { return open(e.Conn, opts) }

func open(connect func() (*consulconn.Conn, error), opts []Option) dsync.Option {
	return dsync.WithDriver("consul", func(context.Context) (dsync.Driver, error) {
		o, err := conn.Apply(options{minTTL: 10 * time.Second}, opts)
		if err != nil {
			return nil, err
		}
		c, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{conn: c, options: o, idle: map[time.Duration][]*session{}}, nil
	})
}

type driver struct {
	options
	conn *consulconn.Conn

	mu     gosync.Mutex
	idle   map[time.Duration][]*session // by TTL
	closed bool
}

func (d *driver) Features() dsync.Features {
	return dsync.Features{Limits: true, Fair: true, Durable: true, MinTTL: d.minTTL, TTLStep: time.Second, Delay: d.lockDelay}
}

func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }

func (d *driver) Close() error {
	d.mu.Lock()
	d.closed = true
	idle := d.idle
	d.idle = nil
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, sessions := range idle {
		for _, s := range sessions {
			s.destroy(ctx) // else they end by themselves
		}
	}
	return d.conn.Close()
}

// keys are those of one id. A segment of dots would be cleaned away from a URL.
type keys struct{ holder, queue string }

func keysOf(key string) keys {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		if p == "." || p == ".." {
			parts[i] = strings.ReplaceAll(p, ".", "%2E")
		}
	}
	key = strings.Join(parts, "/")
	return keys{holder: key + "/holder", queue: key + "/queue/"}
}

func consistent(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

func (d *driver) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	p, _, err := d.conn.KV().Get(keysOf(key).holder, consistent(ctx))
	if err != nil {
		return dsync.Candidate{}, consulconn.Read(err)
	}
	if c := candidate(p); c.Token > 0 {
		return c, nil
	}
	return dsync.Candidate{}, dsync.ErrNoLeader
}

// candidate is who holds a key: nobody if no session does, whatever the value
// says.
func candidate(p *api.KVPair) dsync.Candidate {
	if p == nil || p.Session == "" {
		return dsync.Candidate{}
	}
	_, owner := parse(p)
	return dsync.Candidate{Owner: owner, Token: p.ModifyIndex}
}

func (d *driver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	get := func(q *api.QueryOptions) (*api.KVPair, *api.QueryMeta, error) {
		q.RequireConsistent = true
		return d.conn.KV().Get(keysOf(key).holder, q)
	}
	return consulconn.Follow(ctx, d.conn, consulconn.Wait, get, func(a consulconn.Answer[*api.KVPair]) error {
		report(candidate(a.Value))
		return nil
	})
}
