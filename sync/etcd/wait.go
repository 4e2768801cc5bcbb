package etcd

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// wait returns nil once the claim holds. It rides out what the lease survives.
func (c *claim) wait(ctx context.Context) error {
	for failures := 0; ; failures++ {
		err := c.follow(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fault.Lost), errors.Is(err, fault.Denied):
			return err
		}
		if err := backoff.Sleep(ctx, backoff.Policy{Max: c.lease.ttl / (2 * renewals)}.Wait(failures)); err != nil {
			return err
		}
		if err := c.keep(ctx); errors.Is(err, fault.Lost) {
			return err
		}
	}
}

// follow waits by one watch after another, until the claim holds or a request
// fails.
func (c *claim) follow(ctx context.Context) error {
	keep := time.NewTicker(c.keepEvery())
	defer keep.Stop()
	long := time.NewTimer(waitAwhile)
	defer long.Stop()
	var (
		watched string
		events  clientv3.WatchChan
		stop    = func() {}
	)
	defer func() { stop() }()
look:
	for {
		q, err := c.look(ctx)
		switch {
		case err != nil:
			return err
		case !q.present:
			return fault.Markf(fault.Lost, "the place in the queue is gone")
		case q.granted:
			return nil
		}
		if q.ahead != watched {
			// The watch is open before the next look, so nothing is missed. It
			// starts at no revision: one of the past, even the newest, would
			// be served by a loop of the server that runs every 100 ms.
			stop()
			watched = q.ahead
			events, stop = c.watch(ctx, watched)
		}
		for looked := time.Now(); ; {
			select {
			case e, open := <-events: // created, or a deletion
				if err := e.Err(); err != nil || !open {
					err = read(err)
					if errors.Is(err, fault.Denied) {
						return err
					}
					return errors.Join(errors.New("the watch ended"), err)
				}
				continue look
			case <-long.C:
				if err := c.move(ctx, min(c.TTL, waitTTL)); err != nil {
					return err
				}
				keep.Reset(c.keepEvery())
			case <-keep.C:
				if err := c.keep(ctx); err != nil {
					return err
				}
				if time.Since(looked) >= c.TTL/renewals { // in case the watch is dead
					continue look
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func (c *claim) watch(ctx context.Context, key string) (clientv3.WatchChan, context.CancelFunc) {
	ctx, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	opts := []clientv3.OpOption{clientv3.WithCreatedNotify(), clientv3.WithFilterPut()}
	if c.Limit > 1 {
		opts = append(opts, clientv3.WithPrefix())
	}
	return c.d.conn.Watch(ctx, key, opts...), stop
}

// place is where the claim stands in the queue.
type place struct {
	present bool
	granted bool
	ahead   string // the key or, of a semaphore, the prefix whose deletions matter
}

func (c *claim) look(ctx context.Context) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.Timeout, max(c.lease.ttl/renewals, time.Second)))
	defer cancel()
	r, err := c.d.conn.Txn(ctx).Then(
		c.first(),
		clientv3.OpGet(c.prefix, append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(c.revision-1), clientv3.WithKeysOnly())...),
		clientv3.OpGet(c.key, clientv3.WithKeysOnly()),
	).Commit()
	if err != nil {
		return place{}, read(err)
	}
	own := r.Responses[2].GetResponseRange().Kvs
	if len(own) > 0 && own[0].CreateRevision != c.revision {
		// The client repeated the request that had created the key.
		c.settle(own[0].CreateRevision)
		return c.look(ctx)
	}
	p := place{
		granted: c.among(r.Responses[0].GetResponseRange().Kvs),
		present: len(own) > 0,
		ahead:   c.prefix,
	}
	if before := r.Responses[1].GetResponseRange().Kvs; c.Limit == 1 && len(before) > 0 {
		p.ahead = string(before[0].Key)
	}
	return p, nil
}

// pollPeriod is how often an idle Watch reads, in case a link is dead and
// nobody has noticed: the client hides it.
const pollPeriod = 10 * time.Second

func (d *driver) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	c, err := d.holder(ctx, key)
	if err == nil && c.Token == 0 {
		err = dsync.ErrNoLeader
	}
	return c, err
}

func (d *driver) holder(ctx context.Context, key string) (dsync.Candidate, error) {
	r, err := d.conn.Get(ctx, key+"/", clientv3.WithFirstCreate()...)
	if err != nil {
		return dsync.Candidate{}, read(err)
	}
	if len(r.Kvs) == 0 {
		return dsync.Candidate{}, nil
	}
	_, owner := parse(r.Kvs[0])
	return dsync.Candidate{Owner: owner, Token: uint64(r.Kvs[0].CreateRevision)}, nil
}

func (d *driver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	wctx, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	events := d.conn.Watch(wctx, key+"/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	wait := time.NewTimer(pollPeriod / 2) // for the watch to open
	defer wait.Stop()
	for {
		select {
		case e, open := <-events:
			if err := e.Err(); err != nil || !open {
				err = read(err)
				if errors.Is(err, fault.Denied) {
					return err
				}
				return fault.Mark(fault.Unavailable, errors.Join(errors.New("the watch ended"), err))
			}
			wait.Stop()
		case <-poll.C:
		case <-wait.C:
			return fault.Markf(fault.Unavailable, "no answer to a watch within %v", pollPeriod/2)
		case <-ctx.Done():
			return ctx.Err()
		}
		rctx, cancel := context.WithTimeout(ctx, pollPeriod/2)
		c, err := d.holder(rctx, key)
		cancel()
		if err != nil {
			return unavailable(err)
		}
		report(c)
	}
}
