package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/micro/go-platform/event"
)

func eventGroups() *command {
	return &command{
		name: "groups", short: "list the groups, and how far each is behind",
		long:     "PENDING are records that were handed out and are not acknowledged, BEHIND those that were not\nhanded out yet.",
		examples: []string{"platform event groups", "platform event groups -o json"},
		setup: func(f *flags) action {
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				groups, err := s.Groups(ctx)
				if err != nil {
					return err
				}
				out := c.table("GROUP", "PENDING", "BEHIND", "PARTITIONS", "TYPES")
				for _, g := range groups {
					v := groupJSON{Group: g.Name, Types: g.Types, Pending: g.Lag.Pending, Partitions: g.Partitions}
					behind, partitions := "?", ""
					if g.Lag.Behind >= 0 {
						v.Behind, behind = &g.Lag.Behind, strconv.FormatInt(g.Lag.Behind, 10)
					}
					if g.Partitions > 0 {
						partitions = strconv.Itoa(g.Partitions)
					}
					if err := out.row(v, g.Name, g.Lag.Pending, behind, partitions, strings.Join(g.Types, ",")); err != nil {
						return err
					}
				}
				return out.end("no groups")
			})
		},
	}
}

type groupJSON struct {
	Group      string   `json:"group"`
	Types      []string `json:"types,omitempty"`
	Pending    int64    `json:"pending"`
	Behind     *int64   `json:"behind,omitempty"` // not there if the backend can't tell
	Partitions int      `json:"partitions,omitempty"`
}

func eventForget() *command {
	return &command{
		name: "forget", args: "GROUP", min: 1, max: 1, short: "forget a group and its position",
		long:     "What a group has not read is kept for it, so a group that nobody needs should go.",
		examples: []string{"platform event forget nothing   # exit 1"},
		setup: func(f *flags) action {
			return onEvent(f, func(ctx context.Context, c *call, s event.Stream) error {
				if err := s.DeleteGroup(ctx, c.args[0]); err != nil {
					return err
				}
				return c.done(struct {
					Group string `json:"group"`
				}{c.args[0]}, "forgot %s", c.args[0])
			})
		},
	}
}
