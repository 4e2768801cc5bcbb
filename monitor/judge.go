package monitor

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/watch"
)

// Status puts together what is known. The rules stand in the package comment.
func (f *front) Status() Status {
	s, _ := f.judge(func(string) bool { return true }, false)
	return s
}

// judge is Status by those checks and loops only that asked selects. With
// settled, checks that have no result yet are left out. well says whether the
// checks alone make the process ready, whatever its phase.
func (f *front) judge(asked func(name string) bool, settled bool) (s Status, well bool) {
	f.mu.Lock()
	s = Status{Instance: f.self, State: Pass, Phase: f.phase, Live: true, Started: true, Since: f.start}
	s.Checks = make([]Result, 0, len(f.checks)+len(f.loops))
	ready := true
	for _, r := range f.checks {
		if !asked(r.check.Name) {
			continue
		}
		res := r.snapshot()
		if settled && res.At.IsZero() {
			continue
		}
		if res.State == Fail && r.check.Dependency != "" && f.cluster.shared(r.check.Dependency) {
			res.State, res.Shared = Warn, true
		}
		counts := res.State
		if counts == Unknown {
			counts = Warn
			if r.check.Severity == Critical && !r.everPassed() {
				counts = Fail
			}
		}
		if r.check.Severity == Soft && counts == Fail {
			counts = Warn
		}
		switch r.check.Probe {
		case Readiness:
			ready = ready && counts != Fail
		case Startup:
			s.Started = s.Started && (r.everPassed() || counts != Fail)
			if r.everPassed() {
				counts = Pass
			}
		case Info:
			counts = min(counts, Warn)
		}
		s.State = max(s.State, counts)
		s.Checks = append(s.Checks, res)
	}
	for _, l := range f.loops {
		if !asked(l.name) {
			continue
		}
		if d, bad := l.stalled(); bad {
			s.Live, s.State = false, Fail
			s.Checks = append(s.Checks, Result{Name: l.name, State: Fail, Error: fmt.Sprintf("has not turned for %v", d.Round(time.Millisecond))})
		} else {
			s.Checks = append(s.Checks, Result{Name: l.name, State: Pass})
		}
	}
	f.mu.Unlock()
	well = ready && s.Started
	s.Ready = well && s.Phase == Running
	slices.SortFunc(s.Checks, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	return s, well
}

// changes calls the function of WithOnChange for what differs from the status at the start. A check
// that has no result yet is no change: a process that begins well has none to tell.
func (f *front) changes(ctx context.Context, old Status) {
	first := true
	for s := range f.Watch(ctx) {
		settled, _ := f.judge(func(string) bool { return true }, true)
		begins := first && settled.alike(old)
		first = false
		if begins {
			old = settled
		}
		if begins || !s.alike(old) && settled.alike(old) {
			continue
		}
		err := fault.Guard(func() error { f.o.onChange(old, s); return nil })
		if err != nil {
			f.o.logger.Error("monitor: the function of WithOnChange failed", "error", err)
		}
		old = s
	}
}

// wake tells the watchers that the status may have changed.
func (f *front) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watches {
		w.Push(struct{}{})
	}
}

func (f *front) Watch(ctx context.Context) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		var last *Status
		for s := range f.statuses(ctx, time.Second) {
			if last != nil && s.same(*last) {
				continue
			}
			if !yield(s) {
				return
			}
			last = &s
		}
	}
}

// statuses yields the status now, when it may have changed, and every period:
// staleness and stalled loops come by time alone.
func (f *front) statuses(ctx context.Context, period time.Duration) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		w := watch.NewCoalesce[struct{}]()
		f.mu.Lock()
		f.watches[w] = struct{}{}
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			delete(f.watches, w)
			f.mu.Unlock()
		}()
		tick := time.NewTicker(period)
		defer tick.Stop()
		for yield(f.Status()) {
			select {
			case <-ctx.Done():
				return
			case <-f.life.Done():
				return
			case <-w.C():
			case <-tick.C:
			}
			if f.life.Closed() { // Close was there first: its own report tells of the end
				return
			}
		}
	}
}
