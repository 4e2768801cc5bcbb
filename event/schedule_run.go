package event

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// How the processes of a stream share what is due: each asks the backend when the
// next entry is due, waits until then, and fires it. A process begins with it when
// it first publishes, subscribes or schedules. The driver lets the first one win.
// Who has lost a race waits a little longer the next time, so that one process does
// the work until it ends.

const (
	fireAtOnce = 100                    // entries that are fired together
	askOften   = time.Second            // how long to wait at the most while something is scheduled, by others perhaps
	askRarely  = 5 * time.Second        // while nothing is
	standAside = 100 * time.Millisecond // of who has lost a race, on the average
	postpone   = time.Minute            // an entry that the backend refuses to publish
)

// keepTime starts what publishes scheduled records, once. It first looks after a
// while, unless something is scheduled here before. Close ends it.
func (f *front) keepTime(after time.Duration) {
	d, ok := f.driver.(scheduler)
	if !ok {
		return
	}
	f.timekeeping.Do(func() { f.life.Go(func(ctx context.Context) { (&timekeeper{f: f, d: d}).run(ctx, after) }) })
}

// timekeeper publishes what is due.
type timekeeper struct {
	f      *front
	d      scheduler
	failed int  // how often in a row
	lost   bool // others were faster the last time
}

func (k *timekeeper) run(ctx context.Context, after time.Duration) {
	shared := k.f.Features().Shared
	k.wait(ctx, after)
	for idle := askOften; ctx.Err() == nil; {
		pause, some := k.turn(ctx)
		if some {
			idle = askOften
		} else {
			idle = min(2*idle, askRarely)
		}
		if shared || k.failed > 0 {
			pause = min(pause, idle)
		}
		k.wait(ctx, pause)
	}
}

func (k *timekeeper) wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k.f.nudge:
		k.lost = false // this process has scheduled something: it is the one to fire it
	case <-timer.C:
	}
}

// turn fires what is due, and returns how long to wait for the next entry, and
// whether there is one.
func (k *timekeeper) turn(ctx context.Context) (pause time.Duration, some bool) {
	bounded, _, cancel := k.f.limited(ctx)
	defer cancel()
	var now dueNow
	err := fault.Guard(func() (err error) {
		now, err = k.d.Due(bounded, max(fireAtOnce>>min(k.failed, 16), 1)) // fewer after a failure: it may have been their size
		if err == nil && len(now.Entries) > 0 {
			err = k.fire(bounded, now)
		}
		return err
	})
	if err != nil {
		if k.failed == 0 && ctx.Err() == nil {
			k.f.o.settings.Logger.Warn("event: publishing what is scheduled failed", "backend", k.f.o.backend.Name, "error", err)
		}
		k.failed++
		return backoff.Policy{Min: 100 * time.Millisecond, Max: askRarely}.Wait(k.failed - 1), true
	}
	k.failed = 0
	switch {
	case len(now.Entries) > 0:
		return 0, true // there may be more
	case now.Next.IsZero():
		return 1 << 62, false
	}
	pause = max(now.Next.Sub(now.Now), 0)
	if k.lost {
		pause += rand.N(2 * standAside)
	}
	return pause, true
}

// fire publishes entries. One that the backend refuses holds up no others.
func (k *timekeeper) fire(ctx context.Context, now dueNow) error {
	list := make([]firing, 0, len(now.Entries))
	for _, e := range now.Entries {
		list = append(list, k.firing(e, now.Now))
	}
	n, err := k.d.Fire(ctx, list)
	k.lost = n == 0
	if err == nil || !errors.Is(err, fault.TooLarge) && !errors.Is(err, fault.Invalid) {
		return err
	}
	for _, one := range list {
		_, err := k.d.Fire(ctx, []firing{one})
		if errors.Is(err, fault.TooLarge) || errors.Is(err, fault.Invalid) {
			k.f.o.settings.Logger.Error("event: the backend refuses a scheduled record", "backend", k.f.o.backend.Name, "id", one.ID, "error", err)
			one.Record, one.Next = nil, now.Now.Add(postpone).Truncate(time.Millisecond)
			_, err = k.d.Fire(ctx, []firing{one})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// firing says what becomes of an entry that is due.
func (k *timekeeper) firing(e Scheduled, now time.Time) firing {
	f := firing{ID: e.ID, Due: e.Due, Version: e.Version, Record: e.Record}
	if e.Err != nil { // a newer version of this package may publish it
		k.f.o.settings.Logger.Error("event: scheduled record is not understood", "backend", k.f.o.backend.Name, "id", e.ID, "error", e.Err)
		f.Next = now.Add(postpone).Truncate(time.Millisecond)
		return f
	}
	if e.Recurrence == "" {
		return f
	}
	when, err := parseRecurrence(e.Recurrence)
	if err == nil {
		f.Next, err = dueTime(when.rule.after(e.Due, now)) // runs that were missed are not made up for
	}
	if err != nil { // made by a newer version, or of a time zone that is not known here
		k.f.o.settings.Logger.Error("event: recurring schedule is not understood", "name", e.ID, "recurrence", e.Recurrence, "error", err)
		f.Record, f.Next = nil, now.Add(postpone).Truncate(time.Millisecond)
		return f
	}
	r := e.Record.Clone()
	r.ID = e.ID + "@" + e.Due.UTC().Format("2006-01-02T15:04:05.000Z")
	r.Time = e.Due.UTC()
	if r.RootID == "" {
		r.RootID = r.ID
	}
	f.Record = r
	return f
}
