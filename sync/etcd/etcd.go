// Package etcd keeps locks, semaphores and elections of package sync in etcd
// 3.4 or later.
//
// # Backends
//
// One server or a cluster; package engine/etcd has the forms of an address, TLS,
// credentials and timeouts. Three or five members survive the loss of one or
// two without losing a lock.
//
// # Semantics
//
// A claim is a key below the id's prefix, attached to a lease; the oldest keys
// hold. So the order is that of arrival, over all processes. The fencing token
// is the revision that created the key: it rises for as long as the cluster's
// data lives.
//
//	sync/<namespace>/lock/<id>/<lease>-<number>   "1 <owner>"
//
// Claims of one Sync with one TTL share a lease, so locking costs one
// transaction and unlocking one delete. TTLs are whole seconds, and a server
// raises short ones to one and a half of its election timeout, usually 2 s. A
// change of leader gives all leases their full TTL again: a silent holder may
// keep a lock for longer than its TTL, never for less.
//
// With one exception: a leader that is stopped for longer than the TTL, as a
// virtual machine can be, and goes on after the others have chosen a new one may
// revoke leases that were renewed with the new one, because it acts before it
// notices (seen in one of five such pauses of etcd 3.7.3, whose check of the
// leadership passes right after a pause). The holders notice that at their next
// renewal, after up to a third of the TTL. Until then two may believe that they
// hold the lock, and only the fencing token tells them apart.
//
// A claim that has waited for .3 s is moved to a lease of at most 4 s, and to
// that of its TTL when it is granted. So a process that is stopped, or gone,
// while it waits holds up those behind it for about 4 s when its turn comes,
// whatever its TTL. One that cannot reach the cluster for as long loses its
// place, and queues again.
//
// A waiter watches the claim before its own. The watch is opened first and the
// claim is read again after it: a watch that starts at a revision of the past
// is served only every 100 ms, and so are the locks of clients that open one.
//
// # Errors
//
// As in package sync. A write that the cluster accepted while its leader was
// lost is ErrUnknownOutcome.
//
// # Closing
//
// Close revokes the leases. It closes the engine that Backend opened; one given to
// On stays open.
package etcd

import (
	"context"
	gosync "sync"
	"time"

	engine "github.com/micro/go-platform/engine/etcd"
	etcdconn "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// Backend selects the cluster at addr, over an engine of its own:
// "etcds://user:password@a,b,c" and the other forms that engine/etcd takes.
func Backend(addr string) dsync.Option {
	return open(func() (*etcdconn.Conn, error) { return etcdconn.Open(etcdconn.Config{Address: addr}) })
}

// On selects the cluster that the engine is connected to, and leaves it open.
func On(e *engine.Engine) dsync.Option { return open(e.Conn) }

func open(connect func() (*etcdconn.Conn, error)) dsync.Option {
	return dsync.WithDriver("etcd", func(context.Context) (dsync.Driver, error) {
		c, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{conn: c, leases: map[int64]*lease{}}, nil
	})
}

type driver struct {
	conn *etcdconn.Conn

	mu     gosync.Mutex
	leases map[int64]*lease // by TTL in seconds: those that new claims use
}

func (d *driver) Features() dsync.Features {
	return dsync.Features{Limits: true, Fair: true, Durable: true, MinTTL: time.Second, TTLStep: time.Second}
}

func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }

func (d *driver) Close() error {
	d.mu.Lock()
	leases := d.leases
	d.leases = nil
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, l := range leases {
		l.revoke(ctx) // else they end by themselves
	}
	return d.conn.Close()
}

// read and write give an error its kind.
func read(err error) error  { return etcdconn.Fault(err, false) }
func write(err error) error { return etcdconn.Fault(err, true) }

// unavailable is for requests that leave nothing behind, whatever became of
// them.
func unavailable(err error) error {
	err = read(err)
	if err == nil || fault.KindOf(err) != nil {
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}
