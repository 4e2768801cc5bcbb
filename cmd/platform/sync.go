package main

import (
	"context"
	"time"

	"github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	synckubernetes "github.com/micro/go-platform/sync/kubernetes"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
)

func syncNoun() *command {
	return &command{name: "sync", short: "locks and leaders: run with a lock, who leads, what a process holds", subs: []*command{syncLock(), syncLeader(), syncWatch(), syncHolds()}}
}

func syncTarget(f *flags) *target {
	return f.target("sync", "what keeps the locks").namespaced(f, "")
}

func openSync(c *call, t *target) (sync.Sync, error) {
	return opened(c, t, sync.New, sync.WithNamespace, syncredis.URL, syncetcd.URL, syncconsul.URL, synckubernetes.URL, syncsql.URL)
}

type leaderJSON struct {
	ID    string `json:"id"`
	Owner string `json:"owner"` // "": nobody leads
	Token uint64 `json:"token,omitempty"`
}

func syncLeader() *command {
	return &command{
		name: "leader", args: "ID", min: 1, max: 1, short: "print who leads an election",
		examples: []string{"platform sync leader scheduler", "platform sync leader nothing   # exit 1"},
		setup: func(f *flags) action {
			t := syncTarget(f)
			return func(ctx context.Context, c *call) error {
				l, err := election(c, t)
				if err != nil {
					return err
				}
				who, err := l.Leader(ctx)
				if err != nil {
					return err
				}
				return c.done(leaderJSON{c.args[0], who.Owner, who.Token}, "%s", who.Owner)
			}
		},
	}
}

// election is the one that the first argument names.
func election(c *call, t *target) (sync.Leader, error) {
	s, err := openSync(c, t)
	if err != nil {
		return nil, err
	}
	l, err := s.Leader(c.args[0])
	if err != nil {
		return nil, err
	}
	c.closes(l.Close)
	return l, nil
}

func syncWatch() *command {
	return &command{
		name: "watch", args: "ID", min: 1, max: 1, follows: true, short: "print who leads an election and every change, until Ctrl-C",
		examples: []string{"platform sync watch scheduler"},
		setup: func(f *flags) action {
			t := syncTarget(f)
			return func(ctx context.Context, c *call) error {
				l, err := election(c, t)
				if err != nil {
					return err
				}
				for who, err := range l.Watch(ctx) {
					switch {
					case ctx.Err() != nil:
						return nil
					case err != nil && codeOf(err) != exitUnavailable:
						return err
					case err != nil:
						c.complain("%s; waiting", oneLine(err.Error()))
						continue
					}
					name := painted{green, who.Owner}
					if who.Token == 0 {
						name = painted{yellow, "(nobody)"}
					}
					if err := c.line(leaderJSON{c.args[0], who.Owner, who.Token}, c.when(time.Now()), name); err != nil {
						return err
					}
				}
				return ended(ctx)
			}
		},
	}
}

func syncHolds() *command {
	return &command{
		name: "holds", args: "PAGE", min: 1, max: 1, short: "list what a process holds and waits for",
		long:     "PAGE is the URL of the process's page (monitor/page). " + pageLogin,
		examples: []string{"platform sync holds http://127.0.0.1:8081", "platform sync holds http://127.0.0.1:8081 -o json"},
		setup: func(*flags) action {
			return func(ctx context.Context, c *call) error {
				var all []struct {
					sync.Hold
					Leader string `json:"leader,omitempty"`
				}
				if err := c.ask(ctx, c.args[0], "api/locks", &all); err != nil {
					return err
				}
				out := c.table("KIND", "ID", "STATE", "OWNER", "SINCE", "TOKEN", "UNTIL")
				for _, h := range all {
					state := painted{green, "held"}
					if h.Waiting {
						state = painted{yellow, "waiting"}
					}
					var token any = ""
					if h.Token != 0 {
						token = h.Token
					}
					if err := out.row(h, h.Kind, h.ID, state, h.Owner, c.when(h.Since), token, c.when(h.Until)); err != nil {
						return err
					}
				}
				return out.end("it holds nothing and waits for nothing")
			}
		},
	}
}
