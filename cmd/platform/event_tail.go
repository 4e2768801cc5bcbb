package main

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
)

func eventTail() *command {
	return &command{
		name: "tail", args: "[TYPE…]", max: -1, follows: true, short: "print records as they are published, until Ctrl-C",
		long:     "It belongs to no group: nobody misses a record because of it.",
		examples: []string{"platform event tail", "platform event tail 'order.*' -from 1h", "platform event tail -from beginning -limit 1 -o json"},
		setup: func(f *flags) action {
			from := event.Now()
			f.fun("from", "`TIME` to begin at, such as 10m; or beginning", func(s string) error {
				if s == "beginning" {
					from = event.Beginning()
					return nil
				}
				at, err := parseMoment(s, time.Now())
				from = event.At(at)
				return err
			})
			limit := f.limit(0, "end after `N` records; 0: Ctrl-C ends it")
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				opts := []event.SubscribeOption{event.From(from)}
				if len(c.args) > 0 {
					opts = append(opts, event.Types(c.args...))
				}
				return tail(ctx, c, s, *limit, opts)
			})
		},
	}
}

func tail(ctx context.Context, c *call, s event.Stream, most int, opts []event.SubscribeOption) error {
	enough := make(chan error, 1) // why it ends before Ctrl-C
	n, over := 0, false
	sub, err := s.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		if over {
			return nil
		}
		err := recordRow(c, c.line, r)
		n++
		if n == most || err != nil {
			over = true
			enough <- err
		}
		return nil
	}, opts...)
	if err != nil {
		return err
	}
	c.note("waiting for records")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for outage := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-enough:
			return err
		case <-tick.C:
			err := sub.Stats().Err
			if err != nil && !outage {
				c.waiting(err)
			}
			outage = err != nil
		}
	}
}
