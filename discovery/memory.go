package discovery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Registry is a registry in this process, for tests and for programs that hold
// several services. Any number of Discovery values can share one.
type Registry struct {
	mu       sync.Mutex
	services map[string]*memoryService
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{services: map[string]*memoryService{}} }

// Memory makes New use a registry that others use too. Without a backend there
// is one of New's own.
func Memory(m *Registry) Option {
	if m == nil {
		return func(*options) error { return errors.New("nil memory registry") }
	}
	return WithDriver("memory", func(context.Context) (Driver, error) { return memoryDriver{m}, nil })
}

// memoryService is the instances of one service and who watches them.
type memoryService struct {
	entries  map[string]memoryEntry
	watchers map[*memoryWatcher]bool
	expiry   *time.Timer // of the entry that expires first; nil: none
}

type memoryEntry struct {
	Entry
	expires time.Time
}

// held returns the live entry of an id.
func (s *memoryService) held(id string, now time.Time) (memoryEntry, bool) {
	e, ok := s.entries[id]
	return e, ok && e.expires.After(now)
}

// memoryWatcher is one session.
type memoryWatcher struct {
	woken chan struct{}   // holds one token
	left  map[string]bool // deregistered since the last delivery
}

// service returns a service's record, which is made if need be.
func (m *Registry) service(name string) *memoryService {
	s := m.services[name]
	if s == nil {
		s = &memoryService{entries: map[string]memoryEntry{}, watchers: map[*memoryWatcher]bool{}}
		m.services[name] = s
	}
	return s
}

// tidy forgets a service that nothing is known of.
func (m *Registry) tidy(name string, s *memoryService) {
	if len(s.entries) == 0 && len(s.watchers) == 0 {
		if s.expiry != nil {
			s.expiry.Stop()
		}
		delete(m.services, name)
	}
}

func (s *memoryService) wake() {
	for w := range s.watchers {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
}

// arm sets the timer to the first expiry.
func (m *Registry) arm(name string, s *memoryService) {
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	var first time.Time
	for _, e := range s.entries {
		if first.IsZero() || e.expires.Before(first) {
			first = e.expires
		}
	}
	if !first.IsZero() {
		s.expiry = time.AfterFunc(time.Until(first), func() { m.expire(name, s) })
	}
}

// expire removes what has not been renewed in time.
func (m *Registry) expire(name string, s *memoryService) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.services[name] != s {
		return
	}
	now := time.Now()
	for id, e := range s.entries {
		if !e.expires.After(now) {
			delete(s.entries, id)
			s.wake()
		}
	}
	m.arm(name, s)
	m.tidy(name, s)
}

// memoryDriver is a Discovery's view of a registry.
type memoryDriver struct{ m *Registry }

func (d memoryDriver) Ping(ctx context.Context) error { return ctx.Err() }
func (d memoryDriver) Close() error                   { return nil }

func (d memoryDriver) Register(ctx context.Context, e Entry, replace func(held Entry) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	s, now := d.m.service(e.Service), time.Now()
	if held, ok := s.held(e.ID, now); ok && held.Owner != e.Owner && !replace(held.Entry) {
		return fault.Exists
	}
	s.entries[e.ID] = memoryEntry{e, now.Add(e.TTL)}
	for w := range s.watchers {
		delete(w.left, e.ID)
	}
	s.wake()
	d.m.arm(e.Service, s)
	return nil
}

func (d memoryDriver) Renew(ctx context.Context, e Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	s, now := d.m.services[e.Service], time.Now()
	if s == nil {
		return fault.NotFound
	}
	held, ok := s.held(e.ID, now)
	switch {
	case !ok:
		return fault.NotFound
	case held.Owner != e.Owner:
		return fault.Exists
	}
	held.expires = now.Add(e.TTL) // the timer finds out when it fires
	s.entries[e.ID] = held
	return nil
}

func (d memoryDriver) Deregister(ctx context.Context, e Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	s := d.m.services[e.Service]
	if s == nil {
		return nil
	}
	if held, ok := s.entries[e.ID]; ok && held.Owner == e.Owner {
		delete(s.entries, e.ID)
		for w := range s.watchers {
			w.left[e.ID] = true
		}
		s.wake()
		d.m.tidy(e.Service, s)
	}
	return nil
}

func (d memoryDriver) Watch(ctx context.Context, service string, deliver func(Update)) error {
	w := &memoryWatcher{woken: make(chan struct{}, 1), left: map[string]bool{}}
	d.m.mu.Lock()
	s := d.m.service(service)
	s.watchers[w] = true
	d.m.mu.Unlock()
	defer func() {
		d.m.mu.Lock()
		defer d.m.mu.Unlock()
		delete(s.watchers, w)
		d.m.tidy(service, s)
	}()
	for {
		d.m.mu.Lock()
		all := make([]Instance, 0, len(s.entries))
		ttls := make(map[string]time.Duration, len(s.entries))
		for id, e := range s.entries {
			all = append(all, e.Instance)
			ttls[id] = e.TTL
		}
		left := w.left
		w.left = map[string]bool{}
		d.m.mu.Unlock()
		deliver(Update{Instances: all, TTL: func(id string) time.Duration { return ttls[id] }, Fate: func(id string) Fate {
			if left[id] {
				return Deregistered
			}
			return Expired
		}})
		select {
		case <-w.woken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d memoryDriver) Services(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	var names []string
	for name, s := range d.m.services {
		if len(s.entries) > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}
