package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The id of a lease is chosen by us: the end of the life, in milliseconds
// since 1970, above leaseBits bits that say that it is one of ours. etcd tells
// the id with every item, so the exact end costs no request and no room. Two
// processes that want the same end choose the same id and share the lease.
const (
	leaseBits = 20
	leaseMark = 0x4b56a
	leaseMask = 1<<leaseBits - 1
)

// Ends are rounded up, so that many items share a lease: for lives of a minute
// and more to a second, from two seconds to a tenth.
const (
	coarseLife, coarseStep = time.Minute, time.Second
	fineLife, fineStep     = 2 * time.Second, 100 * time.Millisecond
	maxLife                = 100 * 365 * 24 * time.Hour // ids hold dates up to 2248
)

// idOf returns the lease for a life that begins now, and its end.
func idOf(now time.Time, ttl time.Duration) (clientv3.LeaseID, time.Time) {
	ttl = min(ttl, maxLife)
	step := time.Millisecond
	if ttl >= coarseLife {
		step = coarseStep
	} else if ttl >= fineLife {
		step = fineStep
	}
	ms := now.Add(ttl + time.Millisecond - 1).UnixMilli()
	if s := step.Milliseconds(); ms%s != 0 {
		ms += s - ms%s
	}
	return clientv3.LeaseID(ms<<leaseBits | leaseMark), time.UnixMilli(ms)
}

// endOf returns when a life ends, and whether that is to come. A lease of
// another program says nothing: etcd removes its items.
func endOf(id int64) (time.Time, bool) {
	if id&leaseMask != leaseMark {
		return time.Time{}, true
	}
	end := time.UnixMilli(id >> leaseBits)
	return end, time.Now().Before(end)
}

// leases knows which leases were granted already.
type leases struct {
	client *clientv3.Client
	mu     sync.Mutex
	known  map[clientv3.LeaseID]time.Time // and their ends
	sweep  time.Time                      // when to forget the old ones
}

func newLeases(c *clientv3.Client) *leases {
	return &leases{client: c, known: map[clientv3.LeaseID]time.Time{}}
}

// get returns a lease for a life of ttl, 0 for a ttl of 0. Its errors have a
// kind: nothing was written.
func (l *leases) get(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	if ttl == 0 {
		return 0, nil
	}
	now := time.Now()
	id, end := idOf(now, ttl)
	l.mu.Lock()
	_, ok := l.known[id]
	l.mu.Unlock()
	if ok {
		return id, nil
	}
	// A second more than needed, so that etcd does not remove what lives still.
	seconds := int64(end.Sub(now)/time.Second) + 2
	_, err := clientv3.RetryLeaseClient(l.client).LeaseGrant(ctx, &etcdserverpb.LeaseGrantRequest{ID: int64(id), TTL: seconds})
	if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseExist) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		err = etcd.Fault(rpctypes.Error(err), false)
		if fault.KindOf(err) == nil {
			err = fault.Mark(kv.ErrUnavailable, err)
		}
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[id] = end
	if now.After(l.sweep) {
		for id, end := range l.known {
			if end.Before(now) {
				delete(l.known, id)
			}
		}
		l.sweep = now.Add(10 * time.Second)
	}
	return id, nil
}

// forget makes the next get grant id again.
func (l *leases) forget(id clientv3.LeaseID) {
	l.mu.Lock()
	delete(l.known, id)
	l.mu.Unlock()
}
