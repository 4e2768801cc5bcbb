package discovery

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

func (f *front) Register(ctx context.Context, in Instance, opts ...RegisterOption) (Registration, error) {
	o := registerOptions{ttl: f.ttl}
	if err := fronts.Apply(&o, opts); err != nil {
		return nil, fault.Wrap(f.scope, "register", in.Service, mark(err))
	}
	in = in.Clone()
	var err error
	in.Address, err = HostPort(in.Address)
	if err != nil {
		return nil, fault.Wrap(f.scope, "register", in.Service, err)
	}
	if in.ID == "" {
		in.ID = in.Service + "-" + strings.ToLower(rand.Text()[:13])
	}
	if err := in.Validate(); err != nil {
		return nil, fault.Wrap(f.scope, "register", in.Service, err)
	}
	r := &registration{
		f: f, service: in.Service, id: in.ID, key: f.full(in.Service) + "/" + in.ID, owner: rand.Text(),
		ttl: o.ttl, silent: o.silent, in: in, turn: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if !f.life.Enter() {
		return nil, f.closed("register", r.subject())
	}
	defer f.life.Leave()
	if err := f.reserve(r); err != nil {
		return nil, fault.Wrap(f.scope, "register", r.subject(), err)
	}
	registered := false
	defer func() {
		if !registered { // also when the driver panics
			f.release(r)
		}
	}()
	if err := r.registerOnce(ctx, o.replace); err != nil {
		return nil, err
	}
	if !r.silent && !f.life.Go(r.run) {
		return nil, f.closed("register", r.subject())
	}
	registered = true
	return r, nil
}

// reserve keeps the id for the registration, so that Close finds the registration and nobody else
// in this process keeps the same one alive.
func (f *front) reserve(r *registration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return fault.Closed
	}
	if f.registrations[r.key] != nil {
		return fault.Markf(ErrExists, "registered here before")
	}
	f.registrations[r.key] = r
	return nil
}

// release gives the id up.
func (f *front) release(r *registration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.registrations[r.key] == r {
		delete(f.registrations, r.key)
	}
}

// registration keeps one instance in the registry.
type registration struct {
	f           *front
	service, id string
	key         string
	owner       string // tells this registration's entry from others of the id
	ttl         time.Duration
	silent      bool          // no heartbeats
	turn        chan struct{} // held by whoever writes to the registry
	stop        chan struct{} // closed by the first Deregister

	mu        sync.Mutex
	in        Instance
	dirty     bool // in has not been written
	confirmed time.Time
	err       error // of the last attempt
	beats     []Heartbeat
	stopped   bool
	done      bool // Deregister has succeeded
}

func (r *registration) subject() string { return r.service + "/" + r.id }

// entry is what the driver gets.
func (r *registration) entry() Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.in.Clone()
	in.Service = r.f.full(in.Service)
	return Entry{Owner: r.owner, TTL: r.ttl, Once: r.silent, Instance: in}
}

// never replaces no entry of another owner.
func never(Entry) bool { return false }

// registerOnce writes the instance for the first time, or leaves nothing
// behind.
func (r *registration) registerOnce(ctx context.Context, replace bool) error {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	r.mu.Lock()
	stopped := r.stopped
	r.mu.Unlock()
	if stopped { // by Close, which came in between
		return r.f.closed("register", r.subject())
	}
	bounded, cancel := fronts.Deadline(ctx, r.f.timeout)
	defer cancel()
	joined, release := r.f.life.Join(bounded)
	defer release()
	sent, e := time.Now(), r.entry()
	replaced := false
	err := r.f.driver.Register(joined, e, func(held Entry) bool {
		// What has the same address is a predecessor that crashed: two
		// processes don't listen there.
		replaced = replace || held.Address == e.Address
		return replaced
	})
	if err == nil {
		if replaced {
			r.f.log.Warn("discovery: replaced the registration of another process", "backend", r.f.backend.Name, "service", r.service, "id", r.id)
		}
		r.record(sent, nil)
		return nil
	}
	kind := fault.KindOf(err)
	if kind == context.Canceled || kind == context.DeadlineExceeded {
		// A driver that doesn't know better: the request may be on its way.
		if ctx.Err() == nil {
			err = fault.Markf(ErrUnknownOutcome, "no answer within %v", r.f.timeout)
		} else {
			err = fault.Mark(ErrUnknownOutcome, err)
		}
		kind = fault.UnknownOutcome
	}
	if kind == fault.UnknownOutcome {
		r.f.life.Go(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, r.f.timeout)
			defer cancel()
			_ = fault.Guard(func() error { return r.f.driver.Deregister(ctx, e) }) // else it ends with its TTL
		})
	}
	return fault.Wrap(r.f.scope, "register", r.subject(), err)
}

// beatsEvery is the time between two heartbeats: one may be lost, or take as long
// as it may, and the next is still in time.
func beatsEvery(ttl time.Duration) time.Duration { return ttl * 2 / 5 }

// run sends heartbeats until Deregister or Close.
func (r *registration) run(ctx context.Context) {
	every := beatsEvery(r.ttl)
	retry := backoff.Policy{Min: r.f.retryMin, Max: min(r.f.retryMax, every)}
	failures := 0
	for {
		wait := every + every/20 - mathrand.N(every/10+1)
		if failures > 0 {
			wait = retry.Wait(failures - 1)
		}
		select {
		case <-time.After(wait):
		case <-r.stop:
			return
		case <-ctx.Done():
			return
		}
		err := r.heartbeat(ctx)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if failures == 1 {
			r.f.log.Warn("discovery: heartbeat failed", "backend", r.f.backend.Name, "service", r.service, "id", r.id, "error", err)
		}
	}
}

// heartbeat renews the instance, or writes it again if it changed or is lost.
func (r *registration) heartbeat(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-r.stop:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, min(r.f.timeout, max(r.ttl/3, time.Second)))
	defer cancel()
	r.mu.Lock()
	dirty, stopped := r.dirty, r.stopped
	r.mu.Unlock()
	if stopped {
		return nil
	}
	sent := time.Now()
	var err error
	if !dirty {
		err = fault.Guard(func() error { return r.f.driver.Renew(ctx, r.entry()) })
		dirty = errors.Is(err, fault.NotFound)
	}
	if dirty {
		err = fault.Guard(func() error { return r.f.driver.Register(ctx, r.entry(), never) })
		if err == nil {
			r.f.log.Info("discovery: registered again", "backend", r.f.backend.Name, "service", r.service, "id", r.id)
		}
	}
	r.record(sent, err)
	return err
}

// record keeps the outcome of an attempt that was sent at a time.
func (r *registration) record(sent time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beats = remember(r.beats, heartbeats, Heartbeat{At: sent, Took: time.Since(sent), Err: fault.Adopt("discovery", err)})
	r.err = err
	if err == nil {
		r.confirmed, r.dirty = sent, false
		r.f.contact.confirm(time.Now())
	}
}

func (r *registration) Instance() Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in.Clone()
}

func (r *registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return r.f.closed("heartbeat", r.subject())
	}
	if time.Since(r.confirmed) < r.ttl && !errors.Is(r.err, fault.Exists) {
		return nil
	}
	if r.err == nil {
		return fault.New(ErrUnavailable, r.f.scope, "heartbeat", r.subject(), "not confirmed for %v", time.Since(r.confirmed).Round(time.Millisecond))
	}
	return fault.Wrap(r.f.scope, "heartbeat", r.subject(), r.err)
}
