package main

import (
	"context"
	"strconv"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
)

func versionNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, badUse("%q is no version: want a number from 1", s)
	}
	return n, nil
}

func configHistory() *command {
	return &command{
		name: "history", args: "DOCUMENT", min: 1, max: 1, short: "list the versions: who changed what, when and why",
		examples: []string{"platform config history shop/prod", "platform config history shop/prod -path server -since 24h"},
		setup: func(f *flags) action {
			limit := f.limit(50, "list `N` at the most, the newest; 0: all")
			path := f.string("path", "", "`PATH`: changes there alone")
			by := f.string("by", "", "`NAME`: changes by that author alone")
			since := f.moment("since", "`TIME`: changes from then on, such as 24h or 2026-01-31")
			until := f.moment("until", "`TIME`: changes before then")
			return onStore(f, func(ctx context.Context, c *call, st store.Store) error {
				l := c.limit(*limit)
				out := c.table("VERSION", "TIME", "AUTHOR", "ACTION", "PATH", "COMMENT")
				q := store.Query{Namespace: c.args[0], Author: *by, Path: *path, Since: *since, Until: *until, Limit: l.ask}
				for v, err := range st.History(ctx, q) {
					if err != nil {
						return err
					}
					if !l.next() {
						break
					}
					if err := out.row(v, v.Number, c.when(v.Time), v.Author, actionOf(v), v.Path, v.Comment); err != nil {
						return err
					}
				}
				if l.seen == 0 {
					return no("%s has no such version", c.args[0])
				}
				return l.end(out, "")
			})
		},
	}
}

func configDiff() *command {
	return &command{
		name: "diff", args: "DOCUMENT [FROM [TO]]", min: 1, max: 3, short: "list what differs between two versions",
		long:     "Without FROM, what the newest version has changed; without TO, what has changed since FROM.",
		examples: []string{"platform config diff shop/prod", "platform config diff shop/prod 1 2", "platform config diff shop/prod 1 -o json"},
		setup: func(f *flags) action {
			return onStore(f, func(ctx context.Context, c *call, st store.Store) error {
				from, to, err := versionsOf(ctx, c, st)
				if err != nil {
					return err
				}
				changes, err := st.Diff(ctx, c.args[0], from, to)
				if err != nil {
					versions := []uint64{from, to}
					if to == 0 {
						versions = versions[:1]
					}
					return missing(err, c.args[0], versions...)
				}
				out := c.table("PATH", "OLD", "NEW")
				for _, ch := range changes {
					if err := out.row(struct {
						Path string `json:"path"`
						Old  any    `json:"old,omitempty"`
						New  any    `json:"new,omitempty"`
					}{ch.Path, orNil(ch.Old), orNil(ch.New)}, ch.Path, painted{red, shownValue(ch.Old)}, painted{green, shownValue(ch.New)}); err != nil {
						return err
					}
				}
				return out.end("no difference")
			})
		},
	}
}

// actionOf is what a version has done, as "rollback to 3".
func actionOf(v store.Version) string {
	if v.Of == 0 {
		return string(v.Action)
	}
	return string(v.Action) + " to " + strconv.FormatUint(v.Of, 10)
}

// versionsOf are the two versions that the arguments name.
func versionsOf(ctx context.Context, c *call, st store.Store) (from, to uint64, err error) {
	if len(c.args) > 2 {
		to, err = versionNumber(c.args[2])
		if err != nil {
			return 0, 0, err
		}
	}
	if len(c.args) > 1 {
		from, err = versionNumber(c.args[1])
		return from, to, err
	}
	newest, err := st.Get(ctx, c.args[0])
	if err != nil {
		return 0, 0, missing(err, c.args[0])
	}
	if newest.Number == 1 {
		return 0, 0, no("%s has one version only", c.args[0])
	}
	return newest.Number - 1, newest.Number, nil
}

// orNil leaves out of JSON what is not there.
func orNil(v config.Value) any {
	if !v.Exists() {
		return nil
	}
	return v
}

func shownValue(v config.Value) string {
	if !v.Exists() {
		return ""
	}
	return v.Show()
}
