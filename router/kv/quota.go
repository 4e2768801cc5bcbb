package kv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

// Outage is what a Quota does while its store is unavailable.
type Outage uint8

const (
	KeepShare  Outage = iota // each process goes on with the share of the quota that it had
	LetThrough               // there is no limit
	Refuse                   // nothing gets through
)

// QuotaOption configures NewQuota.
type QuotaOption func(*Quota) error

// WithOutage says what happens while the store is unavailable. The default is KeepShare.
func WithOutage(a Outage) QuotaOption {
	return func(q *Quota) error {
		if a > Refuse {
			return fmt.Errorf("unknown way %d to do without the store", a)
		}
		q.away = a
		return nil
	}
}

// WithTimeout sets how long a call may wait for the store. The default is 100 ms.
func WithTimeout(d time.Duration) QuotaOption {
	return func(q *Quota) error { return fronts.Positive("timeout", d, &q.timeout) }
}

// WithProcesses says how many processes share the quota, for KeepShare, as
// long as that has not been seen. The default is 10.
func WithProcesses(n int) QuotaOption {
	return func(q *Quota) error {
		if n < 1 {
			return fmt.Errorf("%d processes, want 1 or more", n)
		}
		q.share = 1 / float64(n)
		return nil
	}
}

// Quota is a limits.Limiter whose limit is that of all processes that use the
// same name on the same store.
//
// Time is cut into windows in which burst calls get through. A process claims
// its part of a window in slices, by one atomic addition each, and spends them
// without asking again; a slice is as large as the process's own demand makes
// it, and at most a tenth of the window. What it doesn't spend in the window
// is lost. So there are never more than burst calls in a window, and as many
// as that if there is demand.
//
// Processes whose clocks differ are in different windows at the same time.
// They share the quota all the same, since each window is filled only once.
type Quota struct {
	store   kv.KV
	name    string
	limit   int64 // of a window
	window  time.Duration
	away    Outage
	timeout time.Duration
	life    *life.Life

	mu      sync.Mutex // of what follows
	slot    slot
	before  slot
	claim   chan struct{} // closed when the claim in progress is over; nil: none is
	share   float64       // of all that was spent, this process's
	sampled int64         // the window in which the share was last asked for
	seen    bool          // it was ever
	failed  int           // claims in a row
	retry   time.Time     // when to try the store again; zero: it is there
	credit  float64       // with KeepShare, what may be spent in this window
}

// slot is what a process knows of a window.
type slot struct {
	number  int64
	left    int64 // claimed and not spent
	claimed int64
	sum     int64 // claimed by all processes, when this one last asked
	asked   int64 // calls
	alone   int64 // that got through without the store
	spent   bool  // by all processes together
}

// NewQuota returns a Quota of perSecond calls on average, and burst at once.
func NewQuota(store kv.KV, name string, perSecond float64, burst int, opts ...QuotaOption) (*Quota, error) {
	q := &Quota{store: store, name: name, limit: int64(burst), timeout: 100 * time.Millisecond, share: 0.1, life: life.New()}
	window := float64(burst) / perSecond * float64(time.Second)
	switch {
	case fronts.Nil(store):
		return nil, fault.New(router.ErrInvalid, "router/kv", "new quota", name, "nil store")
	case name == "":
		return nil, fault.New(router.ErrInvalid, "router/kv", "new quota", name, "no name")
	case !(perSecond > 0) || burst < 1 || !(window >= 1e6 && window <= 3.6e12):
		return nil, fault.New(router.ErrInvalid, "router/kv", "new quota", name, "%v a second and burst %d, want a window from 1 ms to 1 h", perSecond, burst)
	}
	q.window = time.Duration(window)
	if err := fronts.Apply(q, opts); err != nil {
		return nil, fault.Wrap("router/kv", "new quota", name, fault.Mark(router.ErrInvalid, err))
	}
	return q, nil
}

// free is the permit: calls are counted when they start.
type free struct{}

func (free) Release(router.Outcome) {}

// Acquire lets one call through, or returns a *limits.Error. If this
// process's slice is spent it waits for the store, no longer than the timeout.
func (q *Quota) Acquire(ctx context.Context) (limits.Permit, error) {
	for first := true; ; first = false {
		if q.life.Closed() {
			return nil, fault.Wrap("router/kv", "acquire", q.name, router.ErrClosed)
		}
		now := time.Now()
		q.mu.Lock()
		q.turn(now)
		if first {
			q.slot.asked++
		}
		ok, decided := q.spend(now)
		var wait chan struct{}
		if !decided || ok && q.retry.IsZero() && q.slot.left <= q.batch()/2 && q.batch() > 1 {
			wait = q.start()
		}
		q.mu.Unlock()
		switch {
		case ok:
			return free{}, nil
		case decided:
			s := limits.State{Policy: q.name, Limit: q.limit, Window: q.window, Reset: q.end(now)}
			return nil, &limits.Error{Limiter: "quota " + q.name, After: s.Reset, State: s}
		case wait == nil: // closed
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// State returns what is left of the window, as far as this process knows it: what
// the others took since its last claim is missing.
func (q *Quota) State(context.Context) limits.State {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := limits.State{Policy: q.name, Limit: q.limit, Window: q.window, Reset: q.end(now)}
	q.turn(now)
	switch {
	case q.slot.spent:
		s.Remaining = q.slot.left
	case q.retry.IsZero():
		s.Remaining = q.slot.left + max(q.limit-q.slot.sum, 0)
	case q.away == LetThrough:
		s.Remaining = q.limit
	case q.away == KeepShare:
		s.Remaining = q.slot.left + max(int64(q.credit)-q.slot.alone, 0)
	}
	return s
}

// Close ends the Quota; calls in progress get an answer first.
func (q *Quota) Close() error { return q.life.Close(nil) }

// number is the window that a moment is in.
func (q *Quota) number(t time.Time) int64 { return t.UnixNano() / int64(q.window) }

// end is how long the window lasts.
func (q *Quota) end(now time.Time) time.Duration {
	return q.window - time.Duration(now.UnixNano()%int64(q.window))
}

// turn begins a new window if it is time. The lock is held.
func (q *Quota) turn(now time.Time) {
	n := q.number(now)
	if n == q.slot.number {
		return
	}
	q.before, q.slot = q.slot, slot{number: n}
	q.credit = q.credit - float64(int64(q.credit)) + q.share*float64(q.limit)
}

// batch is how much to claim at once. The lock is held.
func (q *Quota) batch() int64 {
	demand := max(q.before.asked, q.slot.asked)
	return max(min(demand/5, q.limit/10), 1)
}

// spend takes a token if there is one. It decides nothing if the store has to
// be asked. The lock is held.
func (q *Quota) spend(now time.Time) (ok, decided bool) {
	s := &q.slot
	switch {
	case s.left > 0:
		s.left--
		return true, true
	case s.spent:
		return false, true
	case q.retry.IsZero():
		return false, false
	}
	if !now.Before(q.retry) {
		q.start() // meanwhile it goes on alone
	}
	switch q.away {
	case LetThrough:
	case Refuse:
		return false, true
	default:
		if float64(s.alone+1) > q.credit {
			return false, true
		}
	}
	s.alone++
	return true, true
}

// start begins a claim if none is in progress, and returns what is closed when
// it is over; nil after Close. The lock is held.
func (q *Quota) start() chan struct{} {
	if q.claim != nil {
		return q.claim
	}
	if q.slot.spent || q.life.Closed() {
		return nil
	}
	q.claim = make(chan struct{})
	n, window := q.batch(), q.slot.number
	if !q.life.Go(func(ctx context.Context) { q.ask(ctx, window, n) }) {
		close(q.claim)
		q.claim = nil
	}
	return q.claim
}

// ask claims n tokens of a window, and what was let through without asking.
func (q *Quota) ask(ctx context.Context, window, n int64) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	q.mu.Lock()
	alone := int64(0)
	if q.slot.number == window {
		alone = q.slot.alone
	}
	before := q.before
	sample := before.number == window-1 && before.number-q.sampled >= max(int64(time.Second/q.window), 1)
	q.mu.Unlock()
	sum, err := q.add(ctx, window, n+alone)
	total := int64(0)
	if sample && err == nil {
		total, err = q.add(ctx, before.number, 0)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.claim)
	q.claim = nil
	if err != nil {
		// Never at once again: every process of the fleet would keep asking.
		q.failed++
		q.retry = time.Now().Add(min(time.Duration(q.failed)*200*time.Millisecond, 2*time.Second))
		return
	}
	q.failed, q.retry = 0, time.Time{}
	if total > 0 {
		q.learn(before, min(total, q.limit))
	}
	if s := &q.slot; s.number == window {
		got := min(n, max(q.limit-(sum-n), 0))
		s.left += got
		s.claimed, s.sum = s.claimed+got+min(alone, s.alone), sum
		s.alone -= min(alone, s.alone)
		s.spent = got < n
	}
}

// learn takes in how much of a window that is over was this process's. The
// lock is held.
func (q *Quota) learn(before slot, total int64) {
	share := min(float64(before.claimed)/float64(total), 1)
	if q.seen {
		share = q.share + 0.3*(share-q.share)
	}
	q.share, q.seen, q.sampled = max(share, 1/float64(q.limit)), true, before.number
}

// add adds to the counter of a window.
func (q *Quota) add(ctx context.Context, window, n int64) (int64, error) {
	key := "quota/" + q.name + "/" + strconv.FormatInt(window, 36)
	var sum int64
	err := fault.Guard(func() (err error) {
		sum, err = q.store.Add(ctx, key, n, kv.TTL(10*q.window+10*time.Second))
		return err
	})
	if err == nil && sum < n {
		err = errors.New("the counter is less than what was added")
	}
	return sum, err
}
