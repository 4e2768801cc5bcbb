package main

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
)

func eventSchedule() *command {
	return &command{
		name: "schedule", short: "records of the future: list, again and again, cancel",
		long: "Whichever process has the stream open publishes what is due. One record of the future is\n\"event publish -at\". A backend that keeps no schedule says so.",
		subs: []*command{scheduleList(), scheduleSet(), scheduleCancel()},
	}
}

type scheduledJSON struct {
	ID         string    `json:"id"` // of the record, or the name of what comes again and again
	Due        time.Time `json:"due"`
	Recurrence string    `json:"recurrence,omitempty"`
	Type       string    `json:"type,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Error      string    `json:"error,omitempty"` // what is kept is no record that this version understands
}

func scheduleList() *command {
	return &command{
		name: "list", short: "list what is scheduled, the earliest first",
		examples: []string{"platform event schedule list", "platform event schedule list -limit 0 -o json"},
		setup: func(f *flags) action {
			limit := f.limit(100, "list `N` at the most; 0: all")
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				l := c.limit(*limit)
				out := c.table("DUE", "ID", "AGAIN", "TYPE", "SUBJECT")
				for e, err := range s.Scheduled(ctx) {
					if err != nil {
						return err
					}
					if !l.next() {
						break
					}
					if err := scheduledRow(out, e); err != nil {
						return err
					}
				}
				l.note()
				return out.end("nothing is scheduled")
			})
		},
	}
}

func scheduledRow(out *table, e event.Scheduled) error {
	v := scheduledJSON{ID: e.ID, Due: e.Due.UTC(), Recurrence: e.Recurrence}
	what := painted{cyan, ""}
	switch {
	case e.Err != nil:
		v.Error = e.Err.Error()
		what = painted{red, v.Error}
	default:
		v.Type, v.Subject = e.Record.Type, e.Record.Subject
		what.text = v.Type
	}
	return out.row(v, out.c.when(e.Due), e.ID, e.Recurrence, what, v.Subject)
}

func scheduleSet() *command {
	return &command{
		name: "set", args: "NAME TYPE [DATA]", min: 2, max: 3, reads: true, short: "publish a record again and again, from now on",
		long: "Each time it has a new id. A schedule of the name that is there is replaced, and keeps its pace if\nthat is the same. Without DATA, or if it is \"-\", it is what standard input has.",
		examples: []string{
			`platform event schedule set nightly report.due '{}' -cron "30 2 * * *" -zone Europe/Berlin`,
			`platform event schedule set heartbeat shop.alive '{}' -every 1h`,
		},
		setup: func(f *flags) action {
			every := f.duration("every", "how long from one to the next")
			cron := f.string("cron", "", "`FIELDS`: minute, hour, day, month and day of the week, as in crontab(5)")
			zone := f.string("zone", "UTC", "`NAME`: time zone of -cron, such as Europe/Berlin")
			record := f.record()
			t := eventTarget(f)
			return func(ctx context.Context, c *call) error {
				if (*every != 0) == (*cron != "") {
					return badUse("give -every or -cron")
				}
				when := event.Every(*every)
				if *cron != "" {
					place, err := time.LoadLocation(*zone)
					if err != nil {
						return badUse("-zone %q: %s", *zone, err)
					}
					when = event.Cron(*cron, place)
				}
				s, err := openEvent(c, t)
				if err != nil {
					return err
				}
				if err := s.Schedule(ctx, c.args[0], when, record(c, c.args[1])); err != nil {
					return err
				}
				return c.done(scheduledJSON{ID: c.args[0], Due: when.Next(time.Now()).UTC(), Recurrence: when.String(), Type: c.args[1]}, "scheduled %s", c.args[0])
			}
		},
	}
}

func scheduleCancel() *command {
	return &command{
		name: "cancel", args: "ID", min: 1, max: 1, short: "take back a record that is scheduled, or what comes again and again",
		examples: []string{"platform event schedule cancel reminder-42", "platform event schedule cancel nothing   # exit 1"},
		setup: func(f *flags) action {
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				if err := s.Cancel(ctx, c.args[0]); errors.Is(err, event.ErrNotFound) {
					return no("nothing is scheduled as %q; it may have been published", c.args[0])
				} else if err != nil {
					return err
				}
				return c.done(idJSON{c.args[0]}, "cancelled %s", c.args[0])
			})
		},
	}
}
