// Package redis keeps locks, semaphores and elections of package sync in Redis
// 6.2 or later, or Valkey: one primary, a cluster, or a quorum of independent primaries.
//
// # Backends
//
// Backend takes one server, sentinels or a cluster, Quorum an odd number of
// servers that know nothing of each other. Package engine/redis has the forms of
// an address, TLS, credentials and limits.
//
// # Semantics
//
// A lock is taken, renewed and released by scripts that compare the claim.
// Locking and unlocking cost one request each. Who waits is woken by a message
// that the release publishes; whoever then is first has the lock, so the order
// is not that of arrival, except among the callers of one Sync.
//
//	sync/<namespace>/lock/<id>   a hash: the holder's nonce, owner and end; the last token
//
// Everything of an id is in that one key, so locks work while a cluster moves
// its slot. It lives for an hour longer than its last holder. The token is the
// server's clock in microseconds, but always larger than the last one. It rises
// also when the key is gone, as long as the clock has not gone back by more than
// the time since.
//
// Use maxmemory-policy noeviction: a full memory then refuses new locks with
// ErrUnavailable, and those that are held stay. All the keys expire, so a volatile policy
// evicts them first, and an allkeys policy evicts them too: then two hold one
// lock. New warns where it can see such a policy.
//
// The user needs rights on the channels that are called like the keys
// ("&sync/*"), on which releases and grants are announced: without them a lock is
// ErrDenied.
//
// What one primary with replicas can lose: replication is asynchronous, so after
// a failover the new primary may not know of a lock that was granted in the
// last moments, and grants it again. Both holders have contexts that live. The
// second token is larger, if the machines' clocks agree to within the
// time that the failover took, so a resource that checks tokens refuses the
// first. A restart without persistence forgets all locks in the same way.
// The server measures by its wall clock: one that is set forward ends locks
// early.
//
// With Quorum a claim must be granted by more than half of the servers, and its
// token is made larger than any that they have given. It survives the loss of a
// minority. There are no semaphores: majorities of three servers with three
// permits each make four. It doesn't survive that servers forget: a server that was restarted
// without its data must stay away for a TTL.
//
// # Errors
//
// As in package sync. All scripts may be repeated, so a request whose reply was
// lost is sent once more before it is ErrUnknownOutcome. A password or rights
// that the server refuses are ErrDenied, and end a wait.
//
// # Closing
//
// Close closes the engines that Backend and Quorum opened; those given to On and
// QuorumOn stay open.
package redis

import (
	"context"
	"fmt"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	redisconn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// Backend selects the server at addr, over an engine of its own:
// "redis://user:password@host:6379/2", several of a cluster as "a:6379,b:6379",
// and the other forms that engine/redis takes.
func Backend(addr string) dsync.Option {
	return open(func() (*redisconn.Client, error) { return redisconn.Open(redisconn.Config{Address: addr}) })
}

// On selects the server that the engine is connected to, and leaves it open. What has
// no answer is repeated once, whatever MaxRetries a client of your own has.
func On(e *engine.Engine) dsync.Option { return open(e.Conn) }

func open(connect func() (*redisconn.Client, error)) dsync.Option {
	return dsync.WithDriver("redis", func(context.Context) (dsync.Driver, error) {
		client, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{node: newNode(client)}, nil
	})
}

// driver is one primary.
type driver struct{ *node }

func (d *driver) Features() dsync.Features {
	return dsync.Features{Limits: true, MinTTL: time.Millisecond, TTLStep: time.Millisecond}
}

func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }

// Advice implements sync.Adviser.
func (d *driver) Advice(ctx context.Context) string { return d.advice(ctx) }

func (n *node) advice(ctx context.Context) string {
	policy := n.conn.Eviction(ctx)
	if policy == "" {
		return ""
	}
	return fmt.Sprintf("Redis at %s has maxmemory-policy %s and evicts locks when its memory is full, so that two may hold one: set noeviction", n.conn.Addr(), policy)
}

func (d *driver) Close() error { return d.close() }

func (d *driver) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	c, _, err := d.holder(ctx, key)
	if err == nil && c.Token == 0 {
		err = dsync.ErrNoLeader
	}
	return c, err
}

func (d *driver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	s := d.hub.join(key)
	defer s.leave()
	return watch(ctx, s.messages, key, d.holder, report)
}

// poll is how often an idle Watch reads when nobody holds.
const poll = 10 * time.Second

// watch learns of grants and releases by messages, and of expiries by asking
// when one is due: at most once in the holder's TTL.
func watch(ctx context.Context, messages <-chan string, key string, holder func(ctx context.Context, key string) (dsync.Candidate, time.Duration, error), report func(dsync.Candidate)) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, poll/2)
		c, left, err := holder(bounded, key)
		cancel()
		if err != nil {
			if fault.KindOf(err) == context.DeadlineExceeded && ctx.Err() == nil {
				err = fault.Mark(fault.Unavailable, err)
			}
			return err
		}
		report(c)
		wait := poll
		if c.Token > 0 {
			wait = min(left+time.Millisecond, poll)
		}
		select {
		case <-messages:
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
