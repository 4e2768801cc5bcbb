package router

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// What is kept of services is bounded, whoever asks for them: a service that
// nobody has asked for is forgotten, and watched no longer. One without
// instances goes soon, and the longest idle one at once if there are too many.
const (
	emptyFor = 10 * time.Second
	mostIdle = 256 // services without instances
)

// errForgotten is why a call that waits for a service ends if too many others
// ask for unknown ones.
var errForgotten error = fault.Finer(ErrUnavailable, "too many services without instances")

// tick does what is done each second.
func (f *front) tick() {
	for _, s := range *f.services.Load() {
		s.refresh()
		if s.asked.Swap(false) || s.waiting.Load() > 0 {
			s.idle.Store(0)
			continue
		}
		idle := time.Duration(s.idle.Add(int64(tick)))
		if idle >= f.o.keep || idle >= emptyFor && s.empty() {
			f.forget(s)
		}
	}
}

// empty reports whether no instance of the service is known, nor was lately.
func (s *service) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes) == 0
}

func (f *front) Services() []string {
	var names []string
	for name, s := range *f.services.Load() {
		if !s.empty() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// service returns a service that has members, and waits for them if need be.
func (f *front) service(ctx context.Context, name string) (*service, error) {
	s := (*f.services.Load())[name]
	if s == nil {
		var err error
		s, err = f.add(name)
		if err != nil {
			return nil, err
		}
	}
	if !s.asked.Load() {
		s.asked.Store(true)
	}
	if s.members.Load() != nil {
		return s, nil
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	select {
	case <-s.ready:
	case <-ctx.Done():
		err := ctx.Err()
		if why := s.failed.Load(); why != nil {
			err = fmt.Errorf("%w: discovery: %w", err, *why)
		}
		return nil, fault.Wrap("router", "select", name, err)
	case <-f.life.Done():
		return nil, fault.Wrap("router", "select", name, ErrClosed)
	}
	if s.members.Load() == nil {
		if f.life.Closed() {
			return nil, fault.Wrap("router", "select", name, ErrClosed)
		}
		f.forget(s)
		return nil, fault.Wrap("router", "select", name, *s.failed.Load())
	}
	return s, nil
}

// add begins to follow a service.
func (f *front) add(name string) (*service, error) {
	if name == "" {
		return nil, fault.New(ErrInvalid, "router", "select", "", "empty service name")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := maps.Clone(*f.services.Load())
	if s := all[name]; s != nil {
		return s, nil
	}
	s := newService(f, name)
	if idle := idlest(all); idle != nil {
		idle.cancel()
		delete(all, idle.name)
	}
	// It is there before it begins: new rules, and a new place among the peers,
	// reach it either way.
	all[name] = s
	f.services.Store(&all)
	if !f.life.Go(s.until(s.follow)) {
		s.cancel()
		return nil, fault.Wrap("router", "select", name, ErrClosed)
	}
	if f.o.share != nil {
		f.life.Go(s.until(s.share))
	}
	return s, nil
}

// idlest is the service to forget so that another fits in, or nil: of those
// without instances one that has answered before one that calls wait for.
func idlest(all map[string]*service) (idle *service) {
	empty := 0
	for _, s := range all {
		if !s.empty() {
			continue
		}
		empty++
		if idle == nil || s.older(idle) {
			idle = s
		}
	}
	if empty < mostIdle {
		return nil
	}
	return idle
}

func (s *service) older(than *service) bool {
	if a, b := s.members.Load() != nil, than.members.Load() != nil; a != b {
		return a
	}
	return s.began < than.began
}

// until makes a goroutine of f that ends with the router or the service.
func (s *service) until(f func(context.Context)) func(context.Context) {
	return func(life context.Context) {
		defer context.AfterFunc(life, s.cancel)()
		f(s.ctx)
	}
}

// share listens to other clients once the service is known.
func (s *service) share(ctx context.Context) {
	select {
	case <-s.ready:
	case <-ctx.Done():
	}
	if s.members.Load() != nil { // else discovery refused it
		s.listen(ctx)
	}
}

// forget drops a service. Its name may be tried again.
func (f *front) forget(s *service) {
	s.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := maps.Clone(*f.services.Load())
	if all[s.name] == s {
		delete(all, s.name)
		f.services.Store(&all)
	}
}
