package main

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
)

func eventNoun() *command {
	return &command{
		name: "event", short: "streams: publish, schedule, tail, query, groups, dead letters",
		long: "TYPE is a pattern: order.created, order.* (one more word), order.** (one or more), ** (all,\nwith dead letters); in a shell, quote it. Records are CloudEvents in JSON.",
		subs: []*command{eventPublish(), eventSchedule(), eventTail(), eventQuery(), eventGroups(), eventForget(), eventDead()},
	}
}

func eventTarget(f *flags) *target { return f.target("event", "the stream").namespaced(f, "") }

func openEvent(c *call, t *target) (event.Stream, error) {
	return opened(c, t, event.New, event.WithNamespace, eventredis.URL, eventnats.URL, eventkafka.URL, eventrabbitmq.URL, eventsql.URL)
}

func onEvent(f *flags, do func(context.Context, *call, event.Stream) error) action {
	return opening(eventTarget(f), openEvent, do)
}

// recordRow prints a record: in JSON as a CloudEvent.
func recordRow(c *call, print func(v any, cells ...any) error, r *event.Record) error {
	var v any
	if c.isJSON() {
		b, err := cloudevents.Marshal(r)
		if err != nil {
			return err
		}
		v = json.RawMessage(b)
	}
	col := cyan
	if r.Metadata[event.DeadType] != "" {
		col = red
	}
	return print(v, c.when(r.Time), r.ID, painted{col, r.Type}, r.Subject, r.Data)
}

func eventPublish() *command {
	return &command{
		name: "publish", args: "TYPE [DATA]", min: 1, max: 2, reads: true, short: "publish a record, and print its id",
		long: "Without DATA, or if it is \"-\", it is what standard input has.",
		examples: []string{
			`platform event publish order.created '{"order":42}' -subject order/42`,
			"platform event publish order.created -meta tenant=blue < order.json",
			"platform event publish order.reminder -at 15m -id reminder-42 < order.json",
		},
		setup: func(f *flags) action {
			var id, root string
			f.text(&id, "id", "`ID`: a new one if none is given")
			f.text(&root, "root", "`ID`: of the record that its story began with")
			at := f.future("at", "`TIME` to publish it at, such as 15m from now or 2026-01-31T09:00:00Z; else at once")
			record := f.record()
			t := eventTarget(f)
			return func(ctx context.Context, c *call) error {
				r := record(c, c.args[0])
				r.ID, r.RootID = id, root
				r, err := event.Prepare(ctx, r)
				if err != nil {
					return err
				}
				s, err := openEvent(c, t)
				if err != nil {
					return err
				}
				if at.IsZero() {
					err = s.Publish(ctx, r)
				} else {
					r.Time = *at
					err = s.PublishAt(ctx, *at, r)
				}
				if err != nil {
					return err
				}
				return c.done(idJSON{r.ID}, "%s", r.ID)
			}
		},
	}
}

// record defines the flags of what a record is. The function that it returns makes
// one, with the data that the call has read.
func (f *flags) record() func(c *call, typ string) *event.Record {
	r := &event.Record{}
	f.text(&r.Subject, "subject", "`TEXT`: what it is about")
	f.text(&r.Source, "source", "`TEXT`: who says it; platform if none is given")
	f.text(&r.ContentType, "content-type", "`TYPE` of the data; application/json if it is JSON")
	meta := f.pairs("meta", "`NAME=VALUE`: metadata; may be given several times")
	return func(c *call, typ string) *event.Record {
		r.Type, r.Data, r.Metadata = typ, c.data, meta
		if r.Source == "" {
			r.Source = "platform"
		}
		if r.ContentType == "" && json.Valid(c.data) {
			r.ContentType = "application/json"
		}
		return r
	}
}

type idJSON struct {
	ID string `json:"id"`
}

func eventQuery() *command {
	return &command{
		name: "query", args: "[TYPE…]", max: -1, short: "list records of the past, the newest at the end",
		examples: []string{"platform event query", "platform event query 'order.*' -since 1h -limit 20", "platform event query -subject order/42 -o json"},
		setup: func(f *flags) action {
			var id, subject, source, root string
			limit := f.limit(100, "list `N` at the most, the newest; 0: all")
			f.text(&subject, "subject", "`TEXT`: records about that subject")
			f.text(&source, "source", "`TEXT`: records of that source")
			f.text(&root, "root", "`ID`: records of that story")
			f.text(&id, "id", "`ID`: that record")
			since := f.moment("since", "`TIME`: records from then on, such as 10m or 2026-01-31")
			until := f.moment("until", "`TIME`: records before then")
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				var opts []event.QueryOption
				for _, x := range []struct {
					value  string
					option func(string) event.QueryOption
				}{{id, event.ID}, {subject, event.Subject}, {source, event.Source}, {root, event.Root}} {
					if x.value != "" {
						opts = append(opts, x.option(x.value))
					}
				}
				if len(c.args) > 0 {
					opts = append(opts, event.Types(c.args...))
				}
				opts = append(opts, event.Since(*since), event.Until(*until))
				return listRecords(ctx, c, s, *limit, opts)
			})
		},
	}
}

func listRecords(ctx context.Context, c *call, s event.Stream, most int, opts []event.QueryOption) error {
	l := c.limit(most)
	out := c.table("TIME", "ID", "TYPE", "SUBJECT", "DATA")
	if l.ask > 0 {
		opts = append(opts, event.Limit(l.ask))
	}
	query := func(more ...event.QueryOption) records { return s.Query(ctx, append(opts, more...)...) }
	for r, err := range newest(l, query) {
		if err != nil {
			return err
		}
		if err := recordRow(c, out.row, r); err != nil {
			return err
		}
	}
	return out.end("no records")
}

type records = iter.Seq2[*event.Record, error]

// newest yields what a limit lets through of a query, the newest at the end.
func newest(l *limit, query func(...event.QueryOption) records) records {
	if l.most == 0 {
		return query()
	}
	return func(yield func(*event.Record, error) bool) {
		var found []*event.Record
		for r, err := range query(event.Reverse()) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !l.next() {
				break
			}
			found = append(found, r)
		}
		l.note()
		for _, r := range slices.Backward(found) {
			if !yield(r, nil) {
				return
			}
		}
	}
}
