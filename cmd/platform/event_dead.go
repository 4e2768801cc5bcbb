package main

import (
	"context"
	"hash/maphash"
	"strconv"
	"time"

	"github.com/micro/go-platform/event"
)

func eventDead() *command {
	return &command{
		name: "dead", short: "dead letters: list, publish again",
		long: "A record that a group could not handle is in the stream as a dead letter.",
		subs: []*command{deadList(), deadPublish()},
	}
}

// letters yields the dead letters of a group, or of all, as they came.
func letters(ctx context.Context, s event.Stream, group string, since time.Time, opts ...event.QueryOption) records {
	return func(yield func(*event.Record, error) bool) {
		for r, err := range s.Query(ctx, append(opts, event.Types("dead.**"), event.Since(since))...) {
			if err == nil && (r.Metadata[event.DeadType] == "" || group != "" && r.Metadata[event.DeadGroup] != group) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

type letterJSON struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"` // of the record
	Group    string    `json:"group,omitempty"`
	Record   string    `json:"record"` // its id
	Type     string    `json:"type"`
	Subject  string    `json:"subject,omitempty"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error"`
}

func deadList() *command {
	return &command{
		name: "list", short: "list dead letters, the newest at the end",
		examples: []string{"platform event dead list", "platform event dead list -group mailer -since 24h -o json"},
		setup: func(f *flags) action {
			limit := f.limit(100, "list `N` at the most, the newest; 0: all")
			group := f.string("group", "", "`NAME`: those of that group")
			since := f.moment("since", "`TIME`: of records from then on")
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				out := c.table("TIME", "ID", "GROUP", "TYPE", "ATTEMPTS", "ERROR")
				query := func(more ...event.QueryOption) records { return letters(ctx, s, *group, *since, more...) }
				for r, err := range newest(c.limit(*limit), query) {
					if err != nil {
						return err
					}
					m := r.Metadata
					attempts, _ := strconv.Atoi(m[event.DeadAttempts])
					v := letterJSON{r.ID, r.Time.UTC(), m[event.DeadGroup], m[event.DeadID], m[event.DeadType], r.Subject, attempts, m[event.DeadError]}
					if err := out.row(v, c.when(r.Time), r.ID, v.Group, v.Type, attempts, painted{red, v.Error}); err != nil {
						return err
					}
				}
				return out.end("no dead letters")
			})
		},
	}
}

func deadPublish() *command {
	return &command{
		name: "publish", args: "[ID…]", max: -1, patient: true, short: "publish the records of dead letters again, with their own ids",
		long: "All groups are handed them again, and know them by their ids. The letter stays in the stream:\npublishing it twice is two deliveries. -all are those of the moment at which it began.",
		examples: []string{
			"platform event dead publish $(platform event dead list -limit 1 | cut -f2)",
			"platform event dead publish -all -group mailer",
			"platform event dead publish nothing   # exit 1",
		},
		setup: func(f *flags) action {
			all := f.bool("all", "all dead letters, or those that -group and -since select")
			group := f.string("group", "", "`NAME`: those of that group")
			since := f.moment("since", "`TIME`: of records from then on")
			t := eventTarget(f)
			return func(ctx context.Context, c *call) error {
				if *all == (len(c.args) > 0) {
					return badUse("give ids of dead letters, or -all")
				}
				s, err := openEvent(c, t)
				if err != nil {
					return err
				}
				if *all {
					return publishAll(ctx, c, s, *group, *since)
				}
				found, err := lettersByID(ctx, s, c.args)
				if err != nil {
					return err
				}
				for _, letter := range found {
					if err := publishAgain(ctx, c, s, letter); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}

// publishAll publishes those that are there now, as they came, one at a time. What
// fails again meanwhile makes new letters. Of a stream of several partitions these need
// not come behind the others, so that it is noted first which there are: a number of
// each, which hardly two have in common.
func publishAll(ctx context.Context, c *call, s event.Stream, group string, since time.Time) error {
	seed, now := maphash.MakeSeed(), map[uint64]bool{}
	for letter, err := range letters(ctx, s, group, since) {
		if err != nil {
			return err
		}
		now[maphash.String(seed, letter.ID)] = true
	}
	if len(now) == 0 {
		return no("no dead letters")
	}
	for letter, err := range letters(ctx, s, group, since) {
		if err != nil {
			return err
		}
		id := maphash.String(seed, letter.ID)
		if !now[id] {
			continue
		}
		delete(now, id)
		if err := publishAgain(ctx, c, s, letter); err != nil || len(now) == 0 {
			return err
		}
	}
	return nil
}

// lettersByID finds all, before anything is published.
func lettersByID(ctx context.Context, s event.Stream, ids []string) (found []*event.Record, err error) {
	for _, id := range ids {
		r, err := recordByID(ctx, s, id)
		if err != nil {
			return nil, err
		}
		if r.Metadata[event.DeadType] == "" {
			return nil, badUse("record %s is no dead letter", id)
		}
		found = append(found, r)
	}
	return found, nil
}

func recordByID(ctx context.Context, s event.Stream, id string) (*event.Record, error) {
	for r, err := range s.Query(ctx, event.ID(id)) {
		return r, err
	}
	return nil, no("no record with the id %q", id)
}

func publishAgain(ctx context.Context, c *call, s event.Stream, letter *event.Record) error {
	r, ok := event.Original(letter)
	if !ok { // the letter is without its data: the record itself is in the stream
		var err error
		r, err = recordByID(ctx, s, letter.Metadata[event.DeadID])
		if err != nil {
			return err
		}
	}
	if err := s.Publish(ctx, r); err != nil {
		return err
	}
	return c.done(struct {
		ID   string `json:"id"` // of the letter
		Kind string `json:"type"`
		Of   string `json:"record"`
	}{letter.ID, r.Type, r.ID}, "published %s %s", r.Type, r.ID)
}
