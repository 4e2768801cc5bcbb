package discovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// New opens a Discovery. Without a backend it stands on a registry of its own
// in this process; Memory shares one. It waits for the backend's first
// answer, unless WithLazy is given.
func New(opts ...Option) (Discovery, error) {
	o := defaults()
	if err := fronts.New("discovery", &o, opts); err != nil {
		return nil, err
	}
	if !o.backend.Chosen() {
		if err := Memory(NewRegistry())(&o); err != nil {
			return nil, err
		}
	}
	f := &front{options: o, scope: "discovery/" + o.backend.Name, life: life.New(), registrations: map[string]*registration{}}
	f.contact.woken = make(chan struct{}, 1)
	f.followers.Store(&map[string]*follower{})

	d, err := o.backend.Open(f.scope, nil)
	if err != nil {
		return nil, err
	}
	f.driver = d
	return f, nil
}

// mark makes an error that has no kind an invalid argument.
func mark(err error) error {
	if fault.KindOf(err) == nil {
		return fault.Mark(ErrInvalid, err)
	}
	return err
}

// front is what is the same on every backend.
type front struct {
	options
	scope  string // "discovery/consul"
	driver Driver
	life   *life.Life

	cut     atomic.Int32 // followers that can't reach the registry
	contact contact

	// followers by service. Lookup reads the map without a lock, so it is
	// never changed, only replaced, under mu.
	followers atomic.Pointer[map[string]*follower]

	mu            sync.Mutex
	sweeping      bool
	closing       bool
	unwanted      []dropped                // oldest first
	registrations map[string]*registration // by full service name and id

	closeOnce sync.Once
	closeErr  error
}

// full is the name that the driver knows a service by.
func (f *front) full(service string) string {
	if f.namespace == "" {
		return service
	}
	return f.namespace + "/" + service
}

// wrap gives an error its place. A deadline that only this package set says
// that the registry didn't answer.
func (f *front) wrap(ctx context.Context, op, subject string, err error) error {
	if k := fault.KindOf(err); (k == context.DeadlineExceeded || k == context.Canceled) && ctx.Err() == nil {
		if f.life.Closed() {
			err = fault.Markf(ErrClosed, "while waiting")
		} else {
			err = fault.Markf(ErrUnavailable, "no answer within %v", f.timeout)
		}
	}
	return fault.Wrap(f.scope, op, subject, err)
}

func (f *front) closed(op, subject string) error {
	return fault.Wrap(f.scope, op, subject, fault.Closed)
}

func (f *front) Lookup(service string) (Snapshot, bool) {
	fo := (*f.followers.Load())[service]
	if fo == nil {
		return Snapshot{Service: service}, false
	}
	if !fo.used.Load() {
		fo.used.Store(true)
	}
	s := fo.snapshot.Load()
	return *s, s.State != Cold
}

func (f *front) Get(ctx context.Context, service string, opts ...GetOption) (Snapshot, error) {
	none := Snapshot{Service: service}
	var o getOptions
	if err := fronts.Apply(&o, opts); err != nil {
		return none, fault.Wrap(f.scope, "get", service, mark(err))
	}
	fo, err := f.follow(service)
	if err != nil {
		return none, f.wrap(ctx, "get", service, err)
	}
	defer f.unfollow(fo)
	began, session := time.Now(), fo.current()
	bounded, cancel := fronts.Deadline(ctx, f.timeout)
	defer cancel()
	for {
		s, changed := fo.read()
		switch {
		case s.State == Cold && s.Err != nil:
			return *s, f.wrap(ctx, "get", service, s.Err)
		case s.State != Cold && (!o.limited || o.maxStale > 0 && !s.AsOf.Before(began.Add(-o.maxStale))):
			return *s, nil
		case s.State == Stale:
			return *s, fault.Wrap(f.scope, "get", service, stale(s.Err))
		case s.State == Live && fo.asked(session):
			s, _ = fo.read()
			return *s, nil
		}
		select {
		case <-changed:
		case <-f.life.Done():
			return none, f.closed("get", service)
		case <-bounded.Done():
			if s, _ := fo.read(); s.State != Cold {
				return *s, fault.Wrap(f.scope, "get", service, stale(ctx.Err()))
			}
			return none, f.wrap(ctx, "get", service, bounded.Err())
		}
	}
}

// stale is ErrStale with a reason, if there is one.
func stale(why error) error {
	if why == nil {
		return ErrStale
	}
	return fmt.Errorf("%w: %w", ErrStale, why)
}

func (f *front) Watch(ctx context.Context, service string) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		none := Snapshot{Service: service}
		fo, err := f.follow(service)
		if err != nil {
			yield(none, f.wrap(ctx, "watch", service, err))
			return
		}
		defer f.unfollow(fo)
		seen := uint64(0)
		for {
			// Whatever has ended the sequence comes before a change.
			switch {
			case f.life.Closed():
				yield(none, f.closed("watch", service))
				return
			case ctx.Err() != nil:
				yield(none, f.wrap(ctx, "watch", service, ctx.Err()))
				return
			}
			s, changed := fo.read()
			if s.Revision > seen {
				seen = s.Revision
				if !yield(*s, nil) {
					return
				}
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			case <-f.life.Done():
			}
		}
	}
}

func (f *front) Services(ctx context.Context) ([]string, error) {
	if !f.life.Enter() {
		return nil, f.closed("services", "")
	}
	defer f.life.Leave()
	bounded, cancel := fronts.Deadline(ctx, f.timeout)
	defer cancel()
	joined, release := f.life.Join(bounded)
	defer release()
	all, err := f.driver.Services(joined)
	if err != nil {
		return nil, f.wrap(ctx, "services", "", err)
	}
	prefix := f.full("")
	names := make([]string, 0, len(all))
	for _, name := range all {
		if own, ok := strings.CutPrefix(name, prefix); ok && !strings.Contains(own, "/") {
			names = append(names, own)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (f *front) Close() error {
	f.closeOnce.Do(func() {
		f.mu.Lock()
		f.closing = true
		left := slices.Collect(maps.Values(f.registrations))
		f.mu.Unlock()
		err := f.deregisterAll(left)
		closed := f.life.Close(func() error {
			f.mu.Lock()
			f.followers.Store(&map[string]*follower{})
			f.mu.Unlock()
			return f.driver.Close()
		})
		f.closeErr = errors.Join(err, fault.Wrap(f.scope, "close", "", closed))
	})
	return f.closeErr
}

// deregisterAll removes what is still registered, a few at a time, within one
// timeout for all of it.
func (f *front) deregisterAll(left []*registration) error {
	ctx := context.Background()
	bounded, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		slot = make(chan struct{}, 16)
	)
	for _, r := range left {
		if r.silent {
			continue
		}
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			if err := r.deregister(ctx, bounded); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	if len(errs) > 3 {
		errs = append(errs[:3], fmt.Errorf("and %d more", len(errs)-3))
	}
	return errors.Join(errs...)
}
