package sync

import (
	"context"
	"errors"
	gosync "sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// lease is a grant that is kept alive: a Lock, a permit or a term of office.
//
//	         sent        confirmed                              deadline    until
//	──────────┼──────────────┼─────────────────────────────────────┼──────────┼──▶ local monotonic clock
//	          └─ TTL counts from here                              └─ margin ─┘
//
// The backend can't give the claim away before "until", because it began to
// count after the request was sent. The holder's context ends a margin earlier.
// Only this process's clock is read: no clock of another machine matters, only
// that both run at nearly the same speed.
type lease struct {
	f      *front
	kind   Kind
	id     string
	owner  string
	claim  *once
	token  uint64
	ttl    time.Duration
	ctx    leaseContext
	cancel context.CancelCauseFunc
	leave  func() // the gate; idempotent

	born     time.Time
	deadline atomic.Int64 // nanoseconds after born

	mu       gosync.Mutex
	state    state
	timer    *time.Timer // for the next renewal or, while one runs, the deadline
	failures int
	inFlight *attempt // the renewal that runs, nil if none does
	result   error    // of Unlock, once state is stateReleased or stateLost
}

type attempt struct {
	cancel context.CancelFunc
	done   chan struct{}
}

type state uint8

const (
	stateHeld state = iota
	stateEnding
	stateReleased
	stateLost
)

// Shares of the TTL. A renewal that hangs is given up after the time of one
// attempt, so that two more fit in before the deadline.
const (
	renewShare   = 3 // renew after TTL/3
	attemptShare = 5 // one attempt may take TTL/5
	marginShare  = 5 // give up TTL/5 before the end
)

// hold begins to keep a grant alive. It fails if the grant is over already.
func (f *front) hold(values context.Context, kind Kind, id, owner string, c *once, g Grant, ttl time.Duration, leave func()) (*lease, error) {
	l := &lease{f: f, kind: kind, id: id, owner: owner, claim: c, token: g.Token, ttl: ttl, leave: leave, born: time.Now()}
	end := g.Until.Add(-ttl / marginShare)
	if !end.After(l.born) {
		f.abandon(c, id, nil)
		return nil, ErrLost
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(values))
	l.ctx, l.cancel = leaseContext{inner, l}, cancel
	l.deadline.Store(int64(end.Sub(l.born)))

	// Registered before anything can end it.
	f.mu.Lock()
	f.held[l] = struct{}{}
	f.mu.Unlock()
	l.mu.Lock()
	l.timer = time.AfterFunc(time.Until(g.Until)/renewShare, l.tick)
	l.mu.Unlock()
	return l, nil
}

func (l *lease) ID() string               { return l.id }
func (l *lease) Token() uint64            { return l.token }
func (l *lease) Context() context.Context { return &l.ctx }

func (l *lease) Unlock(ctx context.Context) error { return l.end(ctx, "unlock", context.Canceled) }

// over reports whether the local deadline has passed.
func (l *lease) over() bool { return int64(time.Since(l.born)) >= l.deadline.Load() }

// expire ends the lease if its deadline has passed.
func (l *lease) expire() {
	l.mu.Lock()
	after := l.lapse()
	l.mu.Unlock()
	after()
}

// tick is called by the timer: to renew, or at the deadline.
func (l *lease) tick() {
	l.expire()
	if l.f.life.Enter() {
		defer l.f.life.Leave()
		l.renew()
	}
}

// lapse is expire for who has mu locked, and calls after without it.
func (l *lease) lapse() (after func()) {
	if l.state != stateHeld || !l.over() {
		return func() {}
	}
	return l.lose(fault.Markf(ErrLost, "not renewed in time"))
}

// lose ends a lease that is held, because of an ErrLost. It is called with mu
// locked, and after without.
func (l *lease) lose(cause error) (after func()) {
	err := fault.Wrap(l.f.scope, "hold", l.id, cause)
	l.state, l.result = stateLost, err
	l.quiet()
	running := l.inFlight
	return func() {
		l.cancel(err)
		l.forget()
		l.f.logger.Warn("lost", "id", l.id, "token", l.token, "error", err)
		l.f.abandon(l.claim, l.id, running)
	}
}

// quiet stops what would renew or expire. It is called with mu locked.
func (l *lease) quiet() {
	l.timer.Stop()
	if l.inFlight != nil {
		l.inFlight.cancel()
	}
}

func (l *lease) forget() {
	l.leave()
	l.f.mu.Lock()
	delete(l.f.held, l)
	l.f.mu.Unlock()
}

// renew renews once and resets the timer. While it runs the timer is set to
// the deadline, which doesn't wait for a reply.
func (l *lease) renew() {
	l.mu.Lock()
	if l.state != stateHeld {
		l.mu.Unlock()
		return
	}
	l.timer.Reset(l.left())
	if l.inFlight != nil { // the deadline was moved meanwhile
		l.mu.Unlock()
		return
	}
	ctx, cancel := context.WithTimeout(l.f.life.Context(), l.ttl/attemptShare)
	defer cancel()
	a := &attempt{cancel, make(chan struct{})}
	l.inFlight = a
	l.mu.Unlock()

	until, err := l.claim.Renew(ctx)

	after := func() {}
	l.mu.Lock()
	close(a.done)
	l.inFlight = nil
	switch {
	case l.state != stateHeld || l.f.life.Closed():
	case err == nil:
		l.failures = 0
		if end := until.Add(-l.ttl / marginShare).Sub(l.born); int64(end) > l.deadline.Load() {
			l.deadline.Store(int64(end))
		}
		l.timer.Reset(max(time.Until(until)/renewShare, l.ttl/100))
	case errors.Is(err, fault.Lost):
		after = l.lose(err)
	default:
		retry := backoff.Policy{Min: l.ttl / 50, Max: l.ttl / 10}.Wait(l.failures)
		l.timer.Reset(min(retry, l.left()))
		l.failures++
	}
	l.mu.Unlock()
	after()
}

// left is the time until the deadline, at least a moment.
func (l *lease) left() time.Duration {
	return max(time.Duration(l.deadline.Load())-time.Since(l.born), time.Microsecond)
}

// stop ends the context and waits for a renewal that runs, so that it can't
// arrive after the release. It reports whether the lease is still to release.
func (l *lease) stop(cause error) bool {
	l.mu.Lock()
	after := l.lapse()
	before, running := l.state, l.inFlight
	if before == stateHeld {
		l.state = stateEnding
		l.quiet()
	}
	l.mu.Unlock()
	after()
	if before != stateHeld {
		return before == stateEnding
	}
	l.cancel(cause)
	if running != nil {
		<-running.done
	}
	return true
}

// end is Unlock, Resign and what Close does to each lease.
func (l *lease) end(ctx context.Context, op string, cause error) error {
	if !l.stop(cause) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.result
	}
	err := ctx.Err()
	if err == nil {
		err = l.claim.Release(ctx)
	}
	err = fault.Wrap(l.f.scope, op, l.id, err)
	switch {
	case err == nil:
		l.finish(stateReleased, nil)
	case errors.Is(err, fault.Lost):
		l.finish(stateLost, err)
	case l.f.abandon(l.claim, l.id, nil) == nil:
		l.leave()
		return err // Close was called, has it among what is held, and releases it
	}
	l.forget()
	return err
}

func (l *lease) finish(s state, result error) {
	l.mu.Lock()
	l.state, l.result = s, result
	l.mu.Unlock()
}

// leaseContext ends at the deadline even before the timer could run: a process
// that was stopped and wakes up sees the end at its first look. It embeds the
// context that is cancelled, so contexts derived from it need no goroutine.
type leaseContext struct {
	context.Context
	l *lease
}

func (c *leaseContext) look() {
	if c.l.over() && c.Context.Err() == nil {
		c.l.expire()
	}
}

func (c *leaseContext) Done() <-chan struct{} { c.look(); return c.Context.Done() }
func (c *leaseContext) Err() error            { c.look(); return c.Context.Err() }
func (c *leaseContext) Value(key any) any     { c.look(); return c.Context.Value(key) }
