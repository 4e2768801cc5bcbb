package event

import (
	"context"
	"iter"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// scheduler returns the driver's scheduler, and starts what publishes.
func (f *front) scheduler() (scheduler, error) {
	d, ok := f.driver.(scheduler)
	if !ok {
		return nil, fault.Markf(ErrUnsupported, "scheduling")
	}
	f.keepTime(0)
	return d, nil
}

func (f *front) PublishAt(ctx context.Context, at time.Time, records ...*Record) error {
	if !f.life.Enter() {
		return f.wrap("schedule", "", fault.Closed)
	}
	defer f.life.Leave()
	if len(records) == 0 {
		return nil
	}
	d, err := f.scheduler()
	if err != nil {
		return f.wrap("schedule", "", err)
	}
	due, err := dueTime(at)
	if err != nil {
		return f.wrap("schedule", "", err)
	}
	entries := make([]Scheduled, len(records))
	for i, r := range records {
		c, err := f.planned(ctx, r, i, due)
		if err != nil {
			return err
		}
		entries[i] = Scheduled{ID: c.ID, Due: due, Record: c}
	}
	last := map[string]int{} // of several with one ID the last counts
	for i, e := range entries {
		last[e.ID] = i
	}
	different := entries[:0]
	for i, e := range entries {
		if last[e.ID] == i {
			different = append(different, e)
		}
	}
	return f.schedule(ctx, d, different)
}

func (f *front) Schedule(ctx context.Context, name string, when Recurrence, r *Record) error {
	if !f.life.Enter() {
		return f.wrap("schedule", name, fault.Closed)
	}
	defer f.life.Leave()
	d, err := f.scheduler()
	if err == nil {
		err = when.check()
	}
	if err == nil {
		err = checkName("schedule", name)
	}
	if err == nil && r != nil && (r.ID != "" || !r.Time.IsZero()) {
		err = invalidf("the record has an ID or a Time; each run gets its own")
	}
	if err != nil {
		return f.wrap("schedule", name, err)
	}
	due, err := dueTime(when.Next(time.Now()))
	if err != nil {
		return f.wrap("schedule", name, err)
	}
	c, err := f.planned(ctx, r, 0, due)
	if err != nil {
		return err
	}
	if c.RootID == c.ID {
		c.RootID = "" // each run begins its own story
	}
	c.ID = ""
	return f.schedule(ctx, d, []Scheduled{{ID: name, Due: due, Recurrence: when.String(), Record: c}})
}

func (f *front) schedule(ctx context.Context, d scheduler, entries []Scheduled) error {
	if err := ctx.Err(); err != nil {
		return f.wrap("schedule", entries[0].ID, err)
	}
	bounded, limit, cancel := f.limited(ctx)
	defer cancel()
	err := limit.Late(bounded, d.Schedule(bounded, entries))
	poke(f.nudge)
	return f.wrap("schedule", entries[0].ID, err)
}

// planned is what is published for r when it is due.
func (f *front) planned(ctx context.Context, r *Record, i int, due time.Time) (*Record, error) {
	if r != nil {
		r = r.Clone()
		if r.ID == "" {
			r.ID = NewID() // and not one of the due time
		}
	}
	c := &Record{}
	return c, f.fill(ctx, c, r, i, due, true)
}

// dueTime is in whole milliseconds, not before t.
func dueTime(t time.Time) (time.Time, error) {
	if s := t.Unix(); t.IsZero() || s < firstSecond || s > lastSecond {
		return t, invalidf("due at %v, want a year from 1678 to 2261", t)
	}
	due := t.UTC().Truncate(time.Millisecond)
	if due.Before(t) {
		due = due.Add(time.Millisecond)
	}
	return due, nil
}

func (f *front) Cancel(ctx context.Context, id string) error {
	if !f.life.Enter() {
		return f.wrap("cancel", id, fault.Closed)
	}
	defer f.life.Leave()
	d, err := f.scheduler()
	if err == nil && id == "" {
		err = invalidf("empty ID")
	}
	if err == nil {
		err = checkText("ID", id)
	}
	if err != nil {
		return f.wrap("cancel", id, err)
	}
	ctx, limit, cancel := f.limited(ctx)
	defer cancel()
	return f.wrap("cancel", id, limit.Late(ctx, d.Unschedule(ctx, id)))
}

func (f *front) Scheduled(ctx context.Context) iter.Seq2[Scheduled, error] {
	return func(yield func(Scheduled, error) bool) {
		if !f.life.Enter() {
			yield(Scheduled{}, f.wrap("scheduled", "", fault.Closed))
			return
		}
		defer f.life.Leave()
		ctx, release := f.life.Join(ctx)
		defer release()
		d, err := f.scheduler()
		if err != nil {
			yield(Scheduled{}, f.wrap("scheduled", "", err))
			return
		}
		for from := ""; ; {
			bounded, limit, cancel := f.limited(ctx)
			list, next, err := d.Scheduled(bounded, from, scheduledPage)
			cancel()
			if err != nil {
				yield(Scheduled{}, f.wrap("scheduled", "", limit.Late(bounded, err)))
				return
			}
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			from = next
		}
	}
}

const scheduledPage = 500
