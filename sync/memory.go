package sync

import (
	"context"
	"slices"
	"strings"
	gosync "sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Locks is the embedded backend: locks that exclude the Syncs of one process
// that share it. The zero Locks is not usable; use NewLocks.
type Locks struct {
	mu    gosync.Mutex
	token uint64 // the last one given, of any key
	keys  map[string]*entry
}

// NewLocks returns an empty Locks, for Memory.
func NewLocks() *Locks { return &Locks{keys: map[string]*entry{}} }

// entry is a key that somebody holds or waits for.
type entry struct {
	limit    int
	holders  map[*memoryClaim]Grant
	queue    []*memoryClaim
	watchers map[chan struct{}]struct{}
}

type memoryDriver struct{ m *Locks }

func (d memoryDriver) Claim(r Request) Claim {
	return &memoryClaim{Request: r, m: d.m, granted: make(chan Grant, 1)}
}
func (memoryDriver) Features() Features         { return Features{Limits: true, Fair: true} }
func (memoryDriver) Ping(context.Context) error { return nil }
func (memoryDriver) Close() error               { return nil }

func (d memoryDriver) Holder(_ context.Context, key string) (Candidate, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if c := d.m.holder(key); c.Token > 0 {
		return c, nil
	}
	return Candidate{}, ErrNoLeader
}

// List implements Lister of sync/driver.
func (d memoryDriver) List(_ context.Context, prefix string, yield func(string, Hold) bool) error {
	type listed struct {
		key string
		Hold
	}
	var all []listed
	d.m.mu.Lock()
	for key, e := range d.m.keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for c, g := range e.holders {
			all = append(all, listed{key, Hold{Owner: c.Owner, Since: c.since, Token: g.Token, Until: c.until}})
		}
		for _, c := range e.queue {
			all = append(all, listed{key, Hold{Owner: c.Owner, Since: c.since, Waiting: true}})
		}
	}
	d.m.mu.Unlock()
	for _, l := range all {
		if !yield(l.key, l.Hold) {
			break
		}
	}
	return nil
}

func (d memoryDriver) Watch(ctx context.Context, key string, report func(Candidate)) error {
	changed := make(chan struct{}, 1)
	d.m.mu.Lock()
	d.m.entry(key).watchers[changed] = struct{}{}
	d.m.mu.Unlock()
	defer func() {
		d.m.mu.Lock()
		defer d.m.mu.Unlock()
		delete(d.m.keys[key].watchers, changed)
		d.m.tidy(key)
	}()
	for {
		d.m.mu.Lock()
		c := d.m.holder(key)
		d.m.mu.Unlock()
		report(c)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type memoryClaim struct {
	Request
	m       *Locks
	granted chan Grant // 1 place

	// guarded by m.mu
	since    time.Time // when it began to wait, then of the grant
	until    time.Time // of the grant
	expiry   *time.Timer
	released bool
	expired  bool
}

func (c *memoryClaim) Acquire(ctx context.Context, wait bool) (Grant, error) {
	m := c.m
	m.mu.Lock()
	e := m.entry(c.Key)
	switch {
	case len(e.holders)+len(e.queue) == 0:
		e.limit = c.Limit
	case e.limit != c.Limit:
		defer m.mu.Unlock()
		return Grant{}, fault.Markf(ErrConflict, "limit %d, but others use %d", c.Limit, e.limit)
	case !wait && (len(e.holders) >= e.limit || len(e.queue) > 0):
		defer m.mu.Unlock()
		c := m.holder(c.Key)
		return Grant{}, fault.Markf(ErrHeld, "owner %q, token %d", c.Owner, c.Token)
	}
	c.since = time.Now()
	e.queue = append(e.queue, c)
	m.promote(c.Key)
	m.mu.Unlock()
	select {
	case g := <-c.granted:
		return g, nil
	default:
	}
	select {
	case g := <-c.granted:
		return g, nil
	case <-ctx.Done():
		return Grant{}, ctx.Err() // the front releases
	}
}

func (c *memoryClaim) Renew(context.Context) (time.Time, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.released || c.expired {
		return time.Time{}, ErrLost
	}
	c.until = time.Now().Add(c.TTL)
	c.expiry.Reset(c.TTL)
	return c.until, nil
}

func (c *memoryClaim) Release(context.Context) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.expired {
		return ErrLost
	}
	c.released = true
	c.remove()
	return nil
}

// expire is called by its timer, which may have fired while Renew had mu.
func (c *memoryClaim) expire() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.released && !c.expired && !time.Now().Before(c.until) {
		c.expired = true
		c.remove()
	}
}

// What follows is called with mu locked.

// remove takes the claim out of the holders or the queue.
func (c *memoryClaim) remove() {
	m := c.m
	e := m.entry(c.Key)
	if c.expiry != nil {
		c.expiry.Stop()
		delete(e.holders, c)
	}
	if i := slices.Index(e.queue, c); i >= 0 {
		e.queue = slices.Delete(e.queue, i, i+1)
	}
	m.promote(c.Key)
	m.tidy(c.Key)
}

func (m *Locks) entry(key string) *entry {
	e := m.keys[key]
	if e == nil {
		e = &entry{holders: map[*memoryClaim]Grant{}, watchers: map[chan struct{}]struct{}{}}
		m.keys[key] = e
	}
	return e
}

func (m *Locks) tidy(key string) {
	if e := m.keys[key]; len(e.holders)+len(e.queue)+len(e.watchers) == 0 {
		delete(m.keys, key)
	}
}

func (m *Locks) holder(key string) Candidate {
	if e := m.keys[key]; e != nil {
		for c, g := range e.holders {
			return Candidate{Owner: c.Owner, Token: g.Token}
		}
	}
	return Candidate{}
}

// promote grants what is free to the first in the queue, and tells the watchers.
func (m *Locks) promote(key string) {
	e := m.keys[key]
	for len(e.queue) > 0 && len(e.holders) < e.limit {
		c := e.queue[0]
		e.queue = e.queue[1:]
		m.token++
		c.since = time.Now()
		c.until = c.since.Add(c.TTL)
		c.expiry = time.AfterFunc(c.TTL, c.expire)
		g := Grant{Token: m.token, Until: c.until}
		e.holders[c] = g
		c.granted <- g
	}
	for w := range e.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}
