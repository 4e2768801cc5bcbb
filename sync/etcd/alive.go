package etcd

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A claim that waits is attached to a short lease, so that one whose process
// has stopped holds up the queue for no longer than that: its turn comes, and it
// does not take it. Who waits briefly is not worth the request.
const (
	waitTTL    = 4 * time.Second
	waitAwhile = 300 * time.Millisecond
)

// keepEvery is how often a waiter renews. A renewal is a stream of its own, and
// waiting should cost little: on the short lease a second one has to do.
func (c *claim) keepEvery() time.Duration {
	if c.lease.ttl == c.TTL {
		return c.TTL / renewals
	}
	return waitTTL / 2
}

// move attaches the claim's key to the lease of a TTL. The request compares what
// the key was: one that arrives late neither creates it again, nor undoes what
// came after, nor touches a later claim of this name.
func (c *claim) move(ctx context.Context, ttl time.Duration) error {
	ctx, cancel := within(ctx, min(c.Timeout, c.lease.ttl/attempts))
	defer cancel()
	for c.other != nil || c.lease.ttl != ttl {
		to, err := c.d.lease(ctx, ttl)
		if err != nil {
			return unavailable(err)
		}
		if c.other == nil {
			c.other = to
		}
		if to != c.other && to != c.lease {
			return fault.Markf(fault.Lost, "one of two leases ended, and the key may have been its")
		}
		r, err := c.d.conn.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(c.key), "=", c.modified)).
			Then(clientv3.OpPut(c.key, c.value(), clientv3.WithLease(to.id))).
			Else(clientv3.OpGet(c.key)). // with keys only, it would not name the lease
			Commit()
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound) && to != c.lease:
			to.retire() // and nothing was moved
			c.other = nil
		case err != nil:
			return write(err)
		case r.Succeeded:
			c.lease, c.other, c.modified = to, nil, r.Header.Revision
		default:
			if err := c.moved(r.Responses[0].GetResponseRange().Kvs); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved notes what an earlier request, whose answer was lost, did to the key.
func (c *claim) moved(found []*mvccpb.KeyValue) error {
	switch {
	case len(found) == 0 || found[0].CreateRevision != c.revision:
		return fault.Markf(fault.Lost, "the key was deleted")
	case found[0].Lease == int64(c.other.id):
		c.lease = c.other
	case found[0].Lease != int64(c.lease.id):
		return fault.Markf(fault.Lost, "the key was changed")
	}
	c.other, c.modified = nil, found[0].ModRevision
	return nil
}

// attempts is how many requests fit in a TTL.
const attempts = 4

// renew renews what the key is attached to, unless that was done less than a
// share of the lease ago, and returns until when the claim certainly lives.
func (c *claim) renew(ctx context.Context, share time.Duration) (time.Time, error) {
	until, err := c.lease.renew(ctx, c.lease.ttl/share)
	if err != nil || c.other == nil {
		return until, err
	}
	other, err := c.other.renew(ctx, c.other.ttl/share)
	return earlier(until, other), err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// until is when the claim ends at the earliest if nobody renews it.
func (c *claim) until() time.Time {
	if c.other == nil {
		return c.lease.until()
	}
	return earlier(c.lease.until(), c.other.until())
}

// past reports whether the claim must have ended on the server.
func (c *claim) past() bool { return c.lease.past() && (c.other == nil || c.other.past()) }

// keep renews what keeps the place in the queue.
func (c *claim) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.lease.ttl/attempts)
	defer cancel()
	if _, err := c.renew(ctx, 2*renewals); err != nil {
		return err
	}
	_, _ = c.home.renew(ctx, c.home.ttl/2) // for when the turn comes; if it ends, there will be another
	return nil
}

// renewals is how often a lease is renewed in its TTL.
const renewals = 3

func (c *claim) Renew(ctx context.Context) (time.Time, error) {
	until, err := c.renew(ctx, 2*renewals)
	if err != nil {
		return time.Time{}, err
	}
	if c.other != nil || c.lease.ttl != c.TTL { // it was not moved when it was granted
		switch err := c.move(ctx, c.TTL); {
		case errors.Is(err, fault.Lost):
			return time.Time{}, err
		case err != nil: // it lives on where it is
			return c.until(), nil
		}
		return c.renew(ctx, 2)
	}
	// The lease lives, but somebody may have deleted the key.
	r, err := c.d.conn.Get(ctx, c.key, clientv3.WithCountOnly())
	if err != nil {
		return time.Time{}, read(err)
	}
	if r.Count == 0 {
		return time.Time{}, fault.Markf(fault.Lost, "the key was deleted")
	}
	return until, nil
}
