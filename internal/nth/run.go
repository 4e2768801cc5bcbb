package nth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Step is one thing that a user does.
type Step struct {
	Name string
	Do   func(ctx context.Context) error

	Quiet     bool          // it tries again by itself: that a call failed is no error
	Partly    bool          // it is several writes, some of which may be done when one fails
	Again     []error       // what it may say when it is done once more
	Once      bool          // it can't be done once more: a Close, say
	Pause     time.Duration // before it is done once more
	Unbounded bool          // nothing but the user's context ends it
}

// World is what the steps are done to.
type World struct {
	Steps []Step
	State func() string // what is stored, read past the double; nil: nothing to compare
	End   func()        // releases what the test made itself; may be nil

	// Background are methods that are called behind the user's back, and again if
	// they fail: whatever step runs then need not say so, and how many calls there
	// are may differ from run to run.
	Background []string

	// Slow says that the double takes long under the race detector, as a database
	// compiled into the test does: then only some of the faults are tried, the same
	// each time, of each kind and over all steps.
	Slow bool
}

// some is how many faults one is tried of, of a double that is slow under the race
// detector. It shares no factor with the number of faults.
const some = 11

func (w World) background(p Plan) bool { return slices.Contains(w.Background, p.failed()) }

// last reports whether it was the last step, a Close, whose call failed.
func (w World) last(p Plan) bool { return p.at == len(w.Steps)-1 && w.Steps[p.at].Once }

// counted is what one run is compared with: it may have fewer calls if some come
// from the background.
func (w World) counted(p Plan) bool {
	return p.failed() != "" || p.isVoid() || len(w.Background) > 0
}

// Promises are the sentinels by which the package's users tell what happened.
type Promises struct {
	Unavailable error // nothing was done
	Unknown     error // it may have been done; nil if the package's calls write nothing
}

// Run does the steps of the world that open makes: first without a fault, then
// again for every call of the driver and every Fault. Each time
//
//   - the step whose call failed says so, in the package's own words and with the
//     cause, and the others say nothing;
//   - what is stored is as it was before the step, or, if the answer was lost, as
//     it is after it;
//   - the step can be done once more, and then everything is as it is without a fault;
//   - no double is left open and no goroutine is left, and so no lock.
func Run(t *testing.T, promises Promises, open func(t *testing.T, p Plan) World) {
	t.Helper()
	var good record
	synctest.Test(t, func(t *testing.T) { good = once(t, promises, open, Plan{plan: &plan{}}, nil) })
	if t.Failed() {
		return
	}
	if len(good.calls) == 0 {
		t.Fatal("no step called the driver")
	}
	tried := 0
	for n, method := range good.calls {
		for _, f := range []Fault{Refused, Lost, Plain, Silent, Cancelled, Panics} {
			if f == Panics && (method == "Ping" || method == "Close") {
				continue // New and Close end the program's part in it
			}
			tried++
			if good.slow && raceEnabled && tried%some != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d %s", f, n+1, method), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := Plan{plan: &plan{nth: n + 1, fault: f}}
					if r := once(t, promises, open, p, good.states); !r.hit {
						t.Errorf("the %d calls %v are fewer than without a fault, %v", len(p.Calls()), p.Calls(), good.calls)
					}
				})
			})
		}
	}
}

// record is what one run did: the driver's calls, and what was stored before the
// first step and after each.
type record struct {
	calls  []string
	states []string
	hit    bool // the call that was to fail did, or need not have come
	slow   bool
}

func once(t *testing.T, promises Promises, open func(*testing.T, Plan) World, p Plan, want []string) record {
	w := open(t, p)
	if w.State == nil {
		w.State = func() string { return "" }
	}
	r := record{states: []string{w.State()}, slow: w.Slow}
	defer func() {
		if last := w.Steps[len(w.Steps)-1]; t.Failed() && len(r.states) > 1 && last.Once { // leave no goroutine, so that the other runs are made
			_ = last.Do(context.WithoutCancel(t.Context()))
		}
	}()
	for i, s := range w.Steps {
		err := step(t, p, s)
		hit := p.take()
		if hit {
			p.at = i
		}
		if hit && err == nil && w.background(p) {
			hit = false
		}
		switch {
		case !hit && err != nil:
			t.Fatalf("%s: %v, and no call of it failed", s.Name, err)
		case hit:
			says(t, promises, p, s, err)
			if got := w.State(); !s.Partly && !s.Once && got != want[i] && !((p.fault == Lost || s.Quiet) && got == want[i+1]) {
				t.Fatalf("%s: after the failed %s %s is stored, want %s", s.Name, p.failed(), got, want[i])
			}
			if err != nil && !s.Once {
				again(t, p, s)
			}
		}
		r.states = append(r.states, w.State())
		if want != nil && r.states[i+1] != want[i+1] && !(s.Once && hit) {
			t.Fatalf("%s: at the end of it %s is stored, want %s", s.Name, r.states[i+1], want[i+1])
		}
	}
	if w.End != nil {
		w.End()
	}
	r.calls, r.hit = p.Calls(), w.counted(p)
	if p.open != 0 && !(p.fault == Panics && w.last(p)) {
		t.Errorf("%d drivers were opened and not closed", p.open)
	}
	return r
}

// step does one, with a context that Cancelled cancels.
func step(t *testing.T, p Plan, s Step) (err error) {
	defer func() {
		v := recover() // as net/http does it for a handler
		switch {
		case v == Err, v != nil && strings.Contains(fmt.Sprint(v), Err.Error()): // brought from another goroutine
			err = Err
		case v != nil:
			panic(v)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if s.Unbounded {
		ctx, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
	}
	p.mu.Lock()
	p.cancel = cancel
	p.mu.Unlock()
	return s.Do(ctx)
}

// take reports, once, whether a call has failed.
func (p *plan) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	hit := p.hit != "" && p.nth > 0
	if hit {
		p.nth = -1
	}
	return hit
}

// says checks the error of the step whose call failed.
func says(t *testing.T, promises Promises, p Plan, s Step, err error) {
	if err == nil {
		if !s.Quiet {
			t.Fatalf("%s: %s failed, and it returned nil", s.Name, p.failed())
		}
		return
	}
	is := func(kinds ...error) bool {
		return slices.ContainsFunc(kinds, func(k error) bool { return k != nil && errors.Is(err, k) })
	}
	ok := true
	switch f := p.fault; {
	case p.failed() == "Close", f == Plain:
		ok = is(Err)
	case f == Panics: // log's Flush tells of a batch that was dropped in words
		ok = is(Err) || strings.Contains(err.Error(), Err.Error())
	case f == Lost && p.writes():
		ok = is(Err) && is(promises.Unknown) && !is(promises.Unavailable)
	case f == Silent:
		ok = is(promises.Unavailable, promises.Unknown) || s.Unbounded && is(context.DeadlineExceeded)
	case f == Cancelled:
		ok = is(context.Canceled) || is(promises.Unavailable, promises.Unknown) && is(context.DeadlineExceeded)
	default:
		ok = is(Err) && (is(promises.Unavailable) && !is(promises.Unknown) || s.Partly && is(promises.Unknown) && !is(promises.Unavailable))
	}
	if !ok {
		t.Fatalf("%s: %s failed (%s), and it said %v", s.Name, p.failed(), p.fault, err)
	}
	if text := err.Error(); strings.Contains(text, "\n") && !s.Partly {
		t.Errorf("%s: an error of several lines: %s", s.Name, text)
	}
}

// again does a step whose call failed once more.
func again(t *testing.T, p Plan, s Step) {
	time.Sleep(s.Pause)
	err := step(t, p, s)
	if err == nil || (p.fault == Lost || s.Partly) && slices.ContainsFunc(s.Again, func(k error) bool { return errors.Is(err, k) }) {
		return
	}
	t.Fatalf("%s: once more, after %s had failed: %v", s.Name, p.failed(), err)
}
