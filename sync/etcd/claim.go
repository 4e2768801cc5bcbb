package etcd

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func (d *driver) Claim(r dsync.Request) dsync.Claim {
	return &claim{Request: r, d: d, prefix: r.Key + "/"}
}

type claim struct {
	dsync.Request
	d      *driver
	prefix string // of all claims of the id
	key    string // of this claim
	tomb   string // once it exists, key can't be created

	home     *lease // that named key, and numbers it
	lease    *lease // that key is attached to
	other    *lease // that it may be attached to instead: nobody knows; or nil
	slot     int
	revision int64 // that created key; 0: not known to exist
	modified int64 // the last one of key that is known
	doubtful bool  // a request that creates key may still be on its way
	burnt    bool  // a request that deletes it may be
}

func (c *claim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	granted, err := c.enqueue(ctx, wait)
	if err != nil {
		return dsync.Grant{}, err
	}
	if !granted {
		if !wait { // only of a semaphore: a lock's TryLock creates nothing then
			return dsync.Grant{}, c.withdraw(ctx, dsync.ErrHeld)
		}
		if err := c.wait(ctx); err != nil {
			return dsync.Grant{}, err
		}
		if err := c.move(ctx, c.TTL); errors.Is(err, fault.Lost) {
			return dsync.Grant{}, err
		}
	}
	until, err := c.renew(ctx, 2)
	if errors.Is(err, fault.Lost) {
		return dsync.Grant{}, err
	}
	if err != nil { // what is left has to do
		until = c.until()
	}
	return dsync.Grant{Token: uint64(c.revision), Until: until}, nil
}

// enqueue creates the key and reports whether it holds already.
func (c *claim) enqueue(ctx context.Context, wait bool) (granted bool, err error) {
	caller := ctx
	ctx, cancel := within(ctx, c.Timeout)
	defer cancel()
	for {
		l, err := c.d.lease(ctx, c.TTL)
		if err != nil {
			if caller.Err() == nil && !errors.Is(err, fault.Unavailable) && !errors.Is(err, fault.Denied) {
				err = fault.Mark(fault.Unavailable, err)
			}
			return false, err
		}
		c.enter(l)

		free := []clientv3.Cmp{clientv3.Compare(clientv3.Version(c.tomb), "=", 0)}
		if !wait && c.Limit == 1 {
			free = append(free, clientv3.Compare(clientv3.CreateRevision(c.prefix).WithPrefix(), "=", 0))
		}
		r, err := c.d.conn.Txn(ctx).If(free...).
			Then(clientv3.OpPut(c.key, c.value(), clientv3.WithLease(l.id)), c.first()).
			Else(c.first()).
			Commit()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			l.retire() // and nothing was created
			continue
		}
		err = write(err)
		if err != nil {
			if errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Denied) { // never sent, or refused
				c.free()
			}
			return false, err
		}
		holders := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs
		revision := int64(0)
		if r.Succeeded {
			revision = r.Header.Revision
		}
		for _, kv := range holders { // a request that the client repeated finds what it did
			if string(kv.Key) == c.key {
				revision = kv.CreateRevision
			}
		}
		c.settle(revision)
		switch {
		case revision > 0:
		case wait:
			return false, fault.Markf(fault.Lost, "released before it was granted")
		default:
			c.free()
			return false, held(holders)
		}
		for _, kv := range holders {
			if limit, _ := parse(kv); limit != c.Limit {
				return false, c.withdraw(ctx, fault.Markf(fault.Conflict, "limit %d, but others use %d", c.Limit, limit))
			}
		}
		return c.among(holders), nil
	}
}

func (c *claim) value() string { return strconv.Itoa(c.Limit) + " " + c.Owner }

// within is context.WithTimeout without a deadline that gRPC would send, for
// which the server would set a timer of its own.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	t := time.AfterFunc(d, cancel)
	return ctx, func() { t.Stop(); cancel() }
}

// enter chooses the claim's key.
func (c *claim) enter(l *lease) {
	slot := l.take(c.Key)
	name := strconv.FormatInt(int64(l.id), 16) + "-" + strconv.Itoa(slot)
	c.key, c.tomb = c.prefix+name, c.Key+"!"+name
	c.home, c.lease, c.other, c.slot, c.doubtful = l, l, nil, slot, true
}

// free gives the claim's name to the next one.
func (c *claim) free() { c.home.give(c.Key, c.slot) }

// settle notes what became of the request that creates the key.
func (c *claim) settle(revision int64) {
	c.revision, c.modified, c.doubtful = revision, revision, false
}

// first asks for the claims that hold: the oldest ones.
func (c *claim) first() clientv3.Op {
	return clientv3.OpGet(c.prefix, clientv3.WithPrefix(), clientv3.WithLimit(int64(c.Limit)),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
}

func (c *claim) among(holders []*mvccpb.KeyValue) bool {
	return slices.ContainsFunc(holders, func(kv *mvccpb.KeyValue) bool { return string(kv.Key) == c.key })
}

// withdraw releases a claim that is not to be, and returns why; if that fails,
// the front has to go on with it, and hears of that instead.
func (c *claim) withdraw(ctx context.Context, why error) error {
	if err := c.Release(ctx); err != nil {
		return fault.Mark(fault.UnknownOutcome, errors.Join(err, why))
	}
	return why
}

func (c *claim) Release(ctx context.Context) error {
	if c.home == nil {
		return nil
	}
	ctx, cancel := within(ctx, c.Timeout)
	defer cancel()
	var deleted bool
	var err error
	if c.doubtful {
		// The request that creates the key may arrive after this one. The
		// tombstone, which ends with the lease, makes it fail.
		_, err = c.d.conn.Txn(ctx).Then(clientv3.OpPut(c.tomb, "", clientv3.WithLease(c.home.id)), clientv3.OpDelete(c.key)).Commit()
		deleted = true
		if errors.Is(err, rpctypes.ErrLeaseNotFound) { // gone, and its keys with it
			err = nil
		}
	} else {
		var r *clientv3.DeleteResponse
		r, err = c.d.conn.Delete(ctx, c.key)
		if err == nil {
			deleted = r.Deleted > 0
		}
	}
	switch {
	case err == nil && deleted:
		if !c.doubtful && !c.burnt {
			c.free()
		}
		return nil
	case err == nil, c.past():
		return dsync.ErrLost
	}
	// The request may still be on its way, and must not meet another claim.
	c.burnt = true
	return write(err)
}

// held is ErrHeld with the holder's name.
func held(holders []*mvccpb.KeyValue) error {
	if len(holders) == 0 {
		return dsync.ErrHeld
	}
	_, owner := parse(holders[0])
	return fault.Markf(fault.Held, "owner %q, token %d", owner, holders[0].CreateRevision)
}

// parse reads a claim's value.
func parse(kv *mvccpb.KeyValue) (limit int, owner string) {
	first, owner, _ := strings.Cut(string(kv.Value), " ")
	limit, _ = strconv.Atoi(first)
	return limit, owner
}
