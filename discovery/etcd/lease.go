package etcd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases are those of one Discovery: one for each TTL that its instances
// have, however many they are. An instance without heartbeats has its own,
// which the others must not renew.
type leases struct {
	c *conn.Conn

	mu     sync.Mutex
	shared map[time.Duration]*lease
	own    map[string]written // by key
	guard  *guard             // nil: there is none
	closed bool               // there will be none
}

// written is what this Discovery wrote last under a key.
type written struct {
	owner    string
	lease    clientv3.LeaseID
	revision int64
	once     bool  // it has no heartbeats
	touched  int64 // the revision of the last change that the guard saw; 0: none
}

// traces stands for the lease of the traces of deregistrations, among the TTLs.
const traces = 0

// lease is shared by all entries of a TTL. Heartbeats that come shortly after
// one another share a round.
type lease struct {
	ttl   time.Duration
	doubt atomic.Bool // it may have a key that nobody here wants: a write or a removal failed

	turn chan struct{} // held by whoever grants or renews; guards what follows

	id   clientv3.LeaseID // 0: none
	sent time.Time        // when the last round that succeeded began
	keys map[string]bool  // what the lease has
}

func newLeases(c *conn.Conn) *leases {
	return &leases{c: c, shared: map[time.Duration]*lease{}, own: map[string]written{}}
}

// lock returns the lease of a TTL, whose turn the caller then has.
func (l *leases) lock(ctx context.Context, ttl time.Duration) (*lease, error) {
	l.mu.Lock()
	s := l.shared[ttl]
	if s == nil {
		s = &lease{ttl: ttl, turn: make(chan struct{}, 1), keys: map[string]bool{}}
		l.shared[ttl] = s
	}
	l.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *lease) unlock() { <-s.turn }

// get returns a lease that an entry can be written with, as if it were new.
func (l *leases) get(ctx context.Context, e discovery.Entry) (clientv3.LeaseID, error) {
	if e.Once {
		return l.grant(ctx, e.TTL)
	}
	s, err := l.lock(ctx, e.TTL)
	if err != nil {
		return 0, err
	}
	defer s.unlock()
	if err := l.round(ctx, s); err != nil {
		return 0, err
	}
	if s.id == 0 {
		sent := time.Now()
		s.id, err = l.grant(ctx, e.TTL)
		if err != nil {
			return 0, err
		}
		s.sent, s.keys = sent, map[string]bool{}
	}
	return s.id, nil
}

// replace returns another lease for one that the registry doesn't have.
func (l *leases) replace(ctx context.Context, e discovery.Entry, ended clientv3.LeaseID) (clientv3.LeaseID, error) {
	if !e.Once {
		s, err := l.lock(ctx, e.TTL)
		if err != nil {
			return 0, err
		}
		if s.id == ended {
			s.id = 0
		}
		s.unlock()
	}
	return l.get(ctx, e)
}

// renew renews an entry's lease and reports whether it still has the key.
func (l *leases) renew(ctx context.Context, e discovery.Entry, key string) (bool, error) {
	s, err := l.lock(ctx, e.TTL)
	if err != nil {
		return false, err
	}
	defer s.unlock()
	if err := l.round(ctx, s); err != nil {
		return false, err
	}
	return s.keys[key] && !l.touched(key), nil
}

// round renews a shared lease, unless that was done just now. A lease that has
// ended is given up: its id is 0 then. After a failure, and after a time in which
// nobody guarded the keys, it reads which keys the lease has: one may have been
// deleted, or replaced by another owner. If one is there that nobody here wants,
// the lease is left to end with it, and heartbeats write the others with another
// lease.
func (l *leases) round(ctx context.Context, s *lease) error {
	if s.id == 0 || time.Since(s.sent) < s.ttl/12 {
		return nil
	}
	l.keepGuard()
	sent := time.Now()
	doubt := s.doubt.Swap(false)
	alive, err := l.c.RenewLease(ctx, s.id)
	if err != nil {
		s.doubt.CompareAndSwap(false, doubt)
		return conn.Fault(err, false)
	}
	if alive && doubt {
		r, err := l.c.TimeToLive(ctx, s.id, clientv3.WithAttachedKeys())
		if err != nil {
			s.doubt.CompareAndSwap(false, doubt)
			return conn.Fault(err, false)
		}
		s.keys = make(map[string]bool, len(r.Keys))
		for _, k := range r.Keys {
			s.keys[string(k)] = true
		}
		alive = r.TTL > 0 && l.wanted(s.keys)
	}
	if alive {
		s.sent = sent
	} else {
		s.id, s.keys = 0, map[string]bool{}
	}
	return nil
}

// wanted reports whether this driver has written all of the keys, and removed
// none of them.
func (l *leases) wanted(keys map[string]bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range keys {
		if _, ok := l.own[k]; !ok {
			return false
		}
	}
	return true
}

// failed is called when nobody knows whether an entry was written or removed.
func (l *leases) failed(e discovery.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shared[e.TTL]; s != nil {
		s.doubt.Store(true)
	}
}

// wrote notes that a key was written.
func (l *leases) wrote(ctx context.Context, e discovery.Entry, key string, w written) {
	l.mu.Lock()
	w.touched = l.own[key].touched
	l.own[key] = w
	l.mu.Unlock()
	if e.Once {
		return
	}
	l.watchKey(key, w.revision+1)
	s, err := l.lock(ctx, e.TTL)
	if err != nil {
		return // the next heartbeat writes it again
	}
	defer s.unlock()
	if s.id == w.lease {
		s.keys[key] = true
	}
}

// last returns what e's owner wrote last under a key, as far as it knows.
func (l *leases) last(e discovery.Entry, key string) (written, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.own[key]
	return w, w.owner == e.Owner && w.revision != 0
}

// forget is called when an owner's key is there no longer.
func (l *leases) forget(e discovery.Entry, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own[key].owner == e.Owner {
		delete(l.own, key)
		if l.guard != nil {
			l.guard.leave(key)
		}
	}
}

// grant asks for a new lease. Without one nothing has been registered, so a
// lost answer is Unavailable: the lease itself is nothing.
func (l *leases) grant(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	r, err := l.c.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return 0, conn.Fault(err, false)
	}
	return r.ID, nil
}
