package etcd

import (
	"context"
	"errors"
	gosync "sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lease is an etcd lease that claims share. It has no goroutine: whoever holds
// or waits renews it, and renewals that come together are one.
type lease struct {
	d   *driver
	ttl time.Duration

	mu   gosync.Mutex
	busy chan struct{} // closed at the end of the request that runs; nil if none does
	id   clientv3.LeaseID
	sent time.Time // of the last renewal that was confirmed
	end  time.Time // sent plus the TTL that the server gave
	gone bool

	slots map[string]*slots // by id
}

// slots number the claims of one id that are alive at a time. Numbers are used
// again, because so are the keys that they name: etcd goes through all keys that
// it ever had below a prefix, until they are compacted. A number of a claim
// whose requests may still be on their way is not used again.
type slots struct {
	free []int
	next int
}

func (l *lease) take(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.slots[key]
	if s == nil {
		s = &slots{}
		if l.slots == nil {
			l.slots = map[string]*slots{}
		}
		l.slots[key] = s
	}
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.next++
	return s.next - 1
}

func (l *lease) give(key string, slot int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.slots[key]
	s.free = append(s.free, slot)
	if len(s.free) == s.next {
		delete(l.slots, key)
	}
}

// lease returns a lease with at least half of its life left.
func (d *driver) lease(ctx context.Context, ttl time.Duration) (*lease, error) {
	for {
		d.mu.Lock()
		if d.leases == nil {
			d.mu.Unlock()
			return nil, fault.Closed
		}
		key := int64(ttl / time.Second)
		l := d.leases[key]
		if l == nil || l.over() {
			l = &lease{d: d, ttl: ttl}
			d.leases[key] = l
		}
		d.mu.Unlock()
		if _, err := l.renew(ctx, ttl/2); !errors.Is(err, fault.Lost) {
			return l, err
		}
	}
}

// over reports whether the lease is of no use any more.
func (l *lease) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone || l.id != 0 && !time.Now().Before(l.end)
}

// renew returns until when the lease lives, after having renewed it unless it
// was renewed less than age ago. fault.Lost says that it is gone, or that it
// may be, because no renewal was confirmed for all of its life.
func (l *lease) renew(ctx context.Context, age time.Duration) (until time.Time, err error) {
	for {
		l.mu.Lock()
		now := time.Now()
		switch {
		case l.gone || l.id != 0 && !now.Before(l.end):
			l.gone = true
			l.mu.Unlock()
			return time.Time{}, fault.Markf(fault.Lost, "the lease ended")
		case l.id != 0 && now.Sub(l.sent) < age:
			defer l.mu.Unlock()
			return l.end, nil
		case l.busy == nil:
			l.busy = make(chan struct{})
			l.mu.Unlock()
			return l.request(ctx, now)
		}
		busy := l.busy
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// request grants or renews. The caller has set busy; now was read before.
func (l *lease) request(ctx context.Context, now time.Time) (time.Time, error) {
	id, ttl, err := l.id, int64(0), error(nil)
	if id == 0 {
		var r *clientv3.LeaseGrantResponse
		r, err = l.d.conn.Grant(ctx, int64(l.ttl/time.Second))
		if err == nil {
			id, ttl = r.ID, r.TTL
		}
	} else {
		var r *clientv3.LeaseKeepAliveResponse
		r, err = l.d.conn.KeepAliveOnce(ctx, id)
		if err == nil {
			ttl = r.TTL
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.busy)
	l.busy = nil
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		l.gone = true
		return time.Time{}, fault.Mark(fault.Lost, err)
	}
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	l.id, l.sent, l.end = id, now, now.Add(time.Duration(ttl)*time.Second)
	return l.end, nil
}

// retire keeps new claims off a lease that the server doesn't know any more.
func (l *lease) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
}

// until is when the lease ends if nobody renews it.
func (l *lease) until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// past reports whether the lease must have ended on the server, by a wide
// margin.
func (l *lease) past() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.end) > 3*l.ttl
}

func (l *lease) revoke(ctx context.Context) {
	l.mu.Lock()
	id := l.id
	l.gone = true
	l.mu.Unlock()
	if id != 0 {
		l.d.conn.Revoke(ctx, id)
	}
}
