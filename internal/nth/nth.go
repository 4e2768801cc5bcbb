// Package nth shows what a front does when the n-th call of its driver fails,
// for every n and every way to fail.
//
// A test wraps a driver in a double whose methods go through Read and Write, and
// lists what a user does with it as steps. Run takes the steps once as they are,
// then again for every call and every Fault, each time in a bubble of
// testing/synctest: time-outs take no time, and a goroutine that is left is an error.
package nth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Fault is what becomes of the call that fails.
type Fault int

// The faults.
const (
	None      Fault = iota
	Refused         // unavailable: nothing was done
	Lost            // it was done, and its answer got lost; of a read as Refused
	Plain           // an error without a kind, and nothing was done
	Silent          // no answer until the call's context ends, and nothing was done
	Cancelled       // as Silent, and the user gives up meanwhile
	Panics          // on the goroutine of the step; of a call on another as Plain
)

var faults = [...]string{"none", "refused", "lost", "plain", "silent", "cancelled", "panics"}

func (f Fault) String() string { return faults[f] }

// effect is what a method does.
type effect int

const (
	reads effect = iota
	writes
	sends
)

// Err is the cause of the failure.
var Err = errors.New("the n-th call failed")

// odd is an error that cannot be compared.
type odd []error

func (o odd) Error() string   { return o[0].Error() }
func (o odd) Unwrap() []error { return o }

// Plan says which call of a double fails, and how. It may be used concurrently.
// Values cannot be compared, and so no double that has one: a front that compares
// drivers panics.
type Plan struct {
	*plan
	_ [0]func()
}

type plan struct {
	mu     sync.Mutex
	calls  []string
	nth    int // from 1; 0: none
	fault  Fault
	cancel context.CancelFunc // of the step that runs
	within map[string]time.Duration
	hit    string // the method that failed
	write  bool   // it is one that writes
	at     int    // the step during which it did
	void   bool   // it would have failed anyway
	open   int
}

// Open counts a double that was opened. Close takes it off again; Run fails if one
// is left at the end.
func (p *plan) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
}

// Close is a double's Close, which is over also if it fails.
func (p Plan) Close(close func() error) error {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
	return Write(context.Background(), p, "Close", close)
}

// Within says that a method ends a call without an answer after d by itself, as its
// contract asks for.
func (p *plan) Within(method string, d time.Duration) {
	if p.within == nil {
		p.within = map[string]time.Duration{}
	}
	p.within[method] = d
}

// Calls returns the methods that were called until now.
func (p *plan) Calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// failedItself takes the fault back: the call has failed without it.
func (p *plan) failedItself() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hit, p.void = "", true
}

// failed is the method that failed, or "".
func (p *plan) failed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}

// writes reports whether the method that failed is one that writes.
func (p *plan) writes() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.write
}

// isVoid reports whether the call would have failed anyway.
func (p *plan) isVoid() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.void
}

func (p *plan) next(method string, write bool) (Fault, context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, method)
	if len(p.calls) != p.nth {
		return None, nil
	}
	p.hit, p.write = method, write
	return p.fault, p.cancel
}

// Read is a double's method that changes nothing.
func Read[T any](ctx context.Context, p Plan, method string, call func() (T, error)) (T, error) {
	return do(ctx, p, method, reads, call)
}

// Check is Read without a result: a Ping.
func Check(ctx context.Context, p Plan, method string, call func(context.Context) error) error {
	_, err := do(ctx, p, method, reads, func() (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// Write is a double's method that changes something.
func Write(ctx context.Context, p Plan, method string, call func() error) error {
	_, err := do(ctx, p, method, writes, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Change is Write with a result.
func Change[T any](ctx context.Context, p Plan, method string, call func() (T, error)) (T, error) {
	return do(ctx, p, method, writes, call)
}

// Send is a double's method that brings something to a receiver who may get it
// twice: that it is unavailable does not say that nothing has arrived.
func Send[T any](ctx context.Context, p Plan, method string, call func() (T, error)) (T, error) {
	return do(ctx, p, method, sends, call)
}

func do[T any](ctx context.Context, p Plan, method string, does effect, call func() (T, error)) (none T, err error) {
	f, cancel := p.next(method, does == writes)
	sent := func(err error) error { return err }
	if does == writes && method != "Close" {
		sent = func(err error) error { return fault.Mark(fault.UnknownOutcome, err) }
	}
	switch f {
	case None:
		return call()
	case Panics:
		panic(Err)
	case Plain:
		return none, odd{fmt.Errorf("%s: %w", method, Err)}
	case Lost:
		if does != reads {
			if _, err := call(); err != nil {
				p.failedItself()
				return none, err
			}
		}
		if does == writes {
			return none, sent(fmt.Errorf("%s: %w", method, Err))
		}
	case Silent, Cancelled:
		if d, ok := p.within[method]; ok {
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, d)
			defer end()
		}
		if ctx.Done() == nil {
			break // nothing ends it: refuse
		}
		if f == Cancelled && cancel != nil {
			cancel()
		}
		<-ctx.Done()
		return none, sent(fmt.Errorf("%s: %w: %w", method, Err, context.Cause(ctx)))
	}
	return none, fault.Mark(fault.Unavailable, fmt.Errorf("%s: %w", method, Err))
}
