package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	gosync "sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// front is what is the same on every backend.
type front struct {
	*options
	scope    string // "sync/etcd"
	prefix   string // of all keys
	driver   Driver
	features Features
	life     *life.Life
	gates    *gates // nil: the backend queues by itself

	mu    gosync.Mutex
	held  map[*lease]struct{}
	waits map[*Hold]struct{}
}

func open(o *options) (Sync, error) {
	f := &front{options: o, scope: "sync/" + o.backend.Name, prefix: "sync/" + url.PathEscape(o.namespace) + "/", life: life.New(), held: map[*lease]struct{}{}, waits: map[*Hold]struct{}{}}
	d, err := o.backend.Open(f.scope, func(advice string) { f.logger.Warn(advice, "backend", f.scope) }, o.around...)
	if err != nil {
		return nil, err
	}
	f.driver, f.features = d, d.Features()
	f.features.Backend = o.backend.Name
	_, f.features.Lists = d.(lister)
	if !f.features.Fair {
		f.gates = newGates()
	}
	return f, nil
}

func (f *front) Features() Features { return f.features }

func (f *front) Lock(ctx context.Context, id string, opts ...LockOption) (Lock, error) {
	return f.lock(ctx, "lock", KindLock, id, 1, true, opts)
}

func (f *front) TryLock(ctx context.Context, id string, opts ...LockOption) (Lock, error) {
	return f.lock(ctx, "try lock", KindLock, id, 1, false, opts)
}

func (f *front) Semaphore(ctx context.Context, id string, limit int, opts ...LockOption) (Lock, error) {
	if limit < 1 {
		return nil, fault.New(ErrInvalid, f.scope, "semaphore", id, "limit %d, want at least 1", limit)
	}
	return f.lock(ctx, "semaphore", KindSemaphore, id, limit, true, opts)
}

// lock is Lock, TryLock and Semaphore.
func (f *front) lock(ctx context.Context, op string, kind Kind, id string, limit int, wait bool, opts []LockOption) (Lock, error) {
	o := f.defaults()
	err := errors.Join(checkName("id", id), fronts.Apply(&o, opts))
	if err == nil && kind == KindSemaphore && !f.features.Limits {
		err = ErrUnsupported
	}
	if err != nil {
		return nil, fault.Wrap(f.scope, op, id, err)
	}
	l, err := f.acquire(ctx, op, kind, id, limit, wait, o)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (f *front) defaults() lockOptions { return lockOptions{ttl: f.ttl, owner: f.owner} }

// key is where the driver keeps id: escaped, so that no id reaches into another.
func (f *front) key(kind Kind, id string) string {
	return f.prefix + string(kind) + "/" + url.PathEscape(id)
}

// acquire is lock and Elect, whose input has been checked.
func (f *front) acquire(ctx context.Context, op string, kind Kind, id string, limit int, wait bool, o lockOptions) (*lease, error) {
	if !f.life.Enter() {
		return nil, fault.Wrap(f.scope, op, id, ErrClosed)
	}
	defer f.life.Leave()
	joined, release := f.life.Join(ctx)
	defer release()
	if o.wait > 0 {
		var cancel context.CancelFunc
		joined, cancel = context.WithTimeout(joined, o.wait)
		defer cancel()
	}
	l, err := f.claim(joined, ctx, kind, id, limit, wait, o)
	if err != nil {
		switch { // what ended the wait says more than what the driver made of it
		case errors.Is(err, fault.UnknownOutcome) && ctx.Err() != nil:
			err = fault.Mark(ErrUnknownOutcome, ctx.Err())
		case ctx.Err() != nil:
			err = ctx.Err()
		case f.life.Closed():
			err = ErrClosed
		case joined.Err() != nil:
			err = fault.Markf(ErrTimeout, "waited %v", o.wait)
		}
		return nil, fault.Wrap(f.scope, op, id, err)
	}
	return l, nil
}

// claim makes claims until one is granted. A place in the queue that was lost
// while waiting (the backend was unavailable for longer than the TTL) is taken again.
func (f *front) claim(ctx, values context.Context, kind Kind, id string, limit int, wait bool, o lockOptions) (*lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := Request{Key: f.key(kind, id), Owner: o.owner, TTL: f.features.round(o.ttl), Limit: limit, Timeout: f.timeout, Watched: kind == KindLeader}
	if wait {
		defer f.waitsFor(kind, id, o)()
	}
	leave := func() {}
	if f.gates != nil {
		var err error
		leave, err = f.gates.enter(ctx, r.Key, limit, wait)
		if err != nil {
			return nil, err
		}
	}
	held := false
	defer func() {
		if !held { // also when the driver panics
			leave()
		}
	}()
	for waited, failures := false, 0; ; failures++ {
		r.Nonce = rand.Text()
		claim := f.driver.Claim(r)
		if fronts.Nil(claim) {
			return nil, errors.New("the driver gave no claim")
		}
		c := newOnce(claim, f.timeout)
		g, err := c.Acquire(ctx, wait)
		if err == nil {
			if l, err := f.hold(values, kind, id, o.owner, c, g, r.TTL, leave); err == nil {
				held = true
				return l, nil
			} else if ctx.Err() == nil && wait {
				waited = true // granted, but the reply was slower than the lease
				continue
			}
			return nil, fault.Markf(ErrUnavailable, "the grant arrived after its own end")
		}
		if !clean(err) {
			f.cleanUp(c, id)
		}
		again := wait && ctx.Err() == nil && (errors.Is(err, fault.Lost) || waited && outage(err))
		if !again {
			return nil, err
		}
		waited = waited || errors.Is(err, fault.Lost)
		if backoff.Sleep(ctx, backoff.Policy{}.Wait(failures)) != nil {
			return nil, err
		}
	}
}

// clean reports whether a failed claim left nothing behind, by the driver's
// contract.
func clean(err error) bool {
	switch fault.KindOf(err) {
	case fault.Held, fault.Unavailable, fault.Conflict, fault.Invalid, fault.Denied:
		return true
	}
	return false
}

func outage(err error) bool {
	return errors.Is(err, fault.Unavailable) || errors.Is(err, fault.UnknownOutcome) || isContext(err)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// promptly is how long a call that failed or was cancelled waits for its
// clean-up: with a healthy backend nothing is left when it returns.
const promptly = 50 * time.Millisecond

// cleanUp releases a claim that may have left something. The caller has
// entered life.
func (f *front) cleanUp(c *once, id string) {
	done := f.abandon(c, id, nil)
	if done == nil { // closed, and Close waits for the caller
		f.lastTry(c)
		return
	}
	t := time.NewTimer(promptly)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// abandon releases a claim in the background, after a renewal that may be
// running, until the driver says that it is gone; after Close it tries once
// more. done is nil after Close.
func (f *front) abandon(c *once, id string, running *attempt) (done <-chan struct{}) {
	gone := make(chan struct{})
	begun := f.life.Go(func(ctx context.Context) {
		defer close(gone)
		if running != nil {
			<-running.done
		}
		for n := 0; ; n++ {
			err := c.Release(ctx)
			if err == nil || errors.Is(err, fault.Lost) {
				return
			}
			if n == 0 && ctx.Err() == nil {
				f.logger.Warn("releasing in the background", "id", id, "error", err)
			}
			if backoff.Sleep(ctx, backoff.Policy{}.Wait(n)) != nil {
				f.lastTry(c)
				return
			}
		}
	})
	if !begun {
		return nil
	}
	return gone
}

// lastTry releases while Close waits; what it leaves ends with its TTL.
func (f *front) lastTry(c *once) {
	ctx, cancel := context.WithTimeout(context.Background(), min(f.timeout, time.Second))
	defer cancel()
	c.Release(ctx)
}

func (f *front) Close() error {
	err := f.life.Close(func() error {
		f.mu.Lock()
		held := f.held
		f.held = nil
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
		defer cancel()
		var wg gosync.WaitGroup
		places := make(chan struct{}, 16)
		for l := range held {
			l.stop(ErrClosed) // all contexts first: a slow release must not delay them
		}
		for l := range held {
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				l.end(ctx, "close", ErrClosed)
			})
		}
		wg.Wait()
		return f.driver.Close()
	})
	return fault.Wrap(f.scope, "close", "", err)
}

// round makes a TTL one that the backend has.
func (ft Features) round(ttl time.Duration) time.Duration {
	ttl = max(ttl, ft.MinTTL)
	if step := ft.TTLStep; step > 0 {
		ttl = (ttl + step - 1) / step * step
	}
	return ttl
}
