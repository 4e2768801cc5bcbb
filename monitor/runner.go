package monitor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// runner runs one check and keeps what is known of it.
type runner struct {
	check   Check
	made    time.Time
	changed func() // called, without the lock, after each new result

	mu      sync.Mutex
	result  Result
	good    int       // successes in a row
	passed  bool      // has ever passed
	fresh   time.Time // until when the result counts; the zero time: no result yet
	deadman *time.Timer
}

func newRunner(c Check, changed func()) *runner {
	r := &runner{check: c, made: time.Now(), changed: changed}
	r.result = Result{Name: c.Name, Description: c.Description, Dependency: c.Dependency, Since: r.made}
	if c.TTL > 0 {
		r.deadman = time.AfterFunc(c.TTL, r.silence)
	}
	return r
}

// run runs the check until ctx ends. calls counts runs that have not returned.
func (r *runner) run(ctx context.Context, calls *sync.WaitGroup) {
	wait := time.NewTimer(r.check.Delay)
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if !r.once(ctx, calls) || ctx.Err() != nil {
			return
		}
		if r.check.Probe == Startup && r.snapshot().State == Pass {
			return
		}
		jitter := time.Duration((rand.Float64() - 0.5) * 0.2 * float64(r.check.Interval))
		wait.Reset(r.check.Interval + jitter)
	}
}

// once runs the check one time and waits until it has returned, so that a
// check that hangs costs one goroutine. It reports false if ctx ended first.
func (r *runner) once(ctx context.Context, calls *sync.WaitGroup) bool {
	limited, cancel := context.WithTimeout(ctx, r.check.Timeout)
	defer cancel()
	start, done := time.Now(), make(chan error, 1)
	calls.Add(1)
	go func() {
		err := errors.New("it ended its goroutine")
		defer func() { done <- err; calls.Done() }()
		err = fault.Guard(func() error {
			err := r.check.Func(limited)
			_, _ = saysOf(err) // may panic as well: of a nil pointer in an error, say
			return err
		})
	}()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			r.finish(err, time.Since(start))
		}
		return true
	case <-limited.Done():
	}
	// A check that honours its context is about to return: its own error says more.
	grace := time.NewTimer(r.check.Timeout / 10)
	defer grace.Stop()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			r.finish(orTimeout(err, r.check.Timeout), time.Since(start))
		}
		return true
	case <-grace.C:
	}
	if ctx.Err() != nil {
		return false
	}
	// Whatever it says now, it took too long. While it hangs it can't run again;
	// each time that it should have run is one more failure, so that a check
	// which passed once and then hangs fails after FailAfter intervals.
	missed := time.NewTicker(r.check.Interval)
	defer missed.Stop()
	for {
		r.finish(orTimeout(nil, time.Since(start)), time.Since(start))
		select {
		case <-done:
			return true
		case <-ctx.Done():
			return false
		case <-missed.C:
		}
	}
}

func orTimeout(err error, d time.Duration) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("no answer within %v", d.Round(time.Millisecond))
}

// saysOf calls the methods of a user's error.
func saysOf(err error) (text string, degraded bool) {
	if err == nil {
		return "", false
	}
	return err.Error(), IsDegraded(err)
}

// finish notes the result of a run or a beat.
func (r *runner) finish(err error, took time.Duration) {
	c := r.check
	now := time.Now()
	text, degraded := saysOf(err)
	r.mu.Lock()
	first := r.result.At.IsZero()
	r.result.At, r.result.Took = now, took
	r.fresh = now.Add(c.Interval + 2*c.Timeout + c.Interval/10)
	state := Pass
	switch {
	case err == nil:
		r.good++
		r.result.Fails = 0
	case degraded:
		state = Warn
		r.good, r.result.Fails = r.good+1, 0
	default:
		state = Fail
		r.good, r.result.Fails = 0, r.result.Fails+1
	}
	if err != nil {
		r.result.Error = text
	} else if r.result.State != Fail || r.good >= c.PassAfter {
		r.result.Error = ""
	}
	switch was := r.result.State; {
	case first:
	case state == Fail && was != Fail && r.result.Fails < c.FailAfter:
		state = was
	case state != Fail && was == Fail && r.good < c.PassAfter:
		state = was
	}
	if state != r.result.State {
		r.result.State, r.result.Since = state, now
	}
	r.passed = r.passed || state == Pass || state == Warn
	r.mu.Unlock()
	r.changed()
}

// beat is finish for a passive check.
func (r *runner) beat(err error) {
	r.mu.Lock()
	if r.deadman == nil { // not passive, or stopped
		r.mu.Unlock()
		return
	}
	r.deadman.Reset(r.check.TTL)
	r.mu.Unlock()
	r.finish(err, 0)
}

// silence is what happens when no beat came in time. It does not wait for
// FailAfter: the silence has lasted for all of the TTL.
func (r *runner) silence() {
	r.mu.Lock()
	if r.deadman == nil {
		r.mu.Unlock()
		return
	}
	now := time.Now()
	if r.result.State != Fail {
		r.result.State, r.result.Since = Fail, now
	}
	r.result.At, r.good = now, 0
	r.result.Fails++
	r.result.Error = fmt.Sprintf("no beat for %v", r.check.TTL)
	r.mu.Unlock()
	r.changed()
}

func (r *runner) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deadman != nil {
		r.deadman.Stop()
		r.deadman = nil
	}
}

// snapshot returns the result as it counts now.
func (r *runner) snapshot() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.result
	passedStartup := r.check.Probe == Startup && r.passed
	if r.check.Func != nil && !r.fresh.IsZero() && !passedStartup && time.Now().After(r.fresh) {
		res.Stale = true
		res.State = Unknown
	}
	return res
}

// everPassed reports whether the check has passed at least once.
func (r *runner) everPassed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed
}
