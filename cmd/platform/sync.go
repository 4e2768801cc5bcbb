package main

import (
	"cmp"
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
	return &command{name: "sync", short: "locks and leaders: run with a lock, who leads, who holds what", subs: []*command{syncLock(), syncLeader(), syncWatch(), syncHolds()}}
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
			return opening(syncTarget(f), election, func(ctx context.Context, c *call, l sync.Leader) error {
				who, err := l.Leader(ctx)
				if err != nil {
					return err
				}
				return c.done(leaderJSON{c.args[0], who.Owner, who.Token}, "%s", who.Owner)
			})
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
			return opening(syncTarget(f), election, func(ctx context.Context, c *call, l sync.Leader) error {
				for who, err := range l.Watch(ctx) {
					switch {
					case ctx.Err() != nil:
						return nil
					case err != nil && codeOf(err) != exitUnavailable:
						return err
					case err != nil:
						c.waiting(err)
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
			})
		},
	}
}

func syncHolds() *command {
	return &command{
		name: "holds", args: "[PAGE]", max: 1, short: "list who holds and waits for what, on the engine or in one process",
		long:     "Of an engine: what all processes hold in the namespace, and who waits where the engine has a queue\n(etcd, Consul, SQL). PAGE is the URL of a process's page (monitor/page): what that process holds and\nwaits for. " + pageLogin,
		examples: []string{"platform sync holds", "platform sync holds -o json", "platform sync holds http://127.0.0.1:8081"},
		setup: func(f *flags) action {
			t := syncTarget(f)
			return func(ctx context.Context, c *call) error {
				if len(c.args) == 0 {
					return holdsOfEngine(ctx, c, t)
				}
				var all []holdJSON
				if err := c.ask(ctx, c.args[0], "api/locks", &all); err != nil {
					return err
				}
				out := holdsTable(c)
				for _, h := range all {
					if err := holdRow(out, h); err != nil {
						return err
					}
				}
				return out.end("it holds nothing and waits for nothing")
			}
		},
	}
}

func holdsOfEngine(ctx context.Context, c *call, t *target) error {
	s, err := openSync(c, t)
	if err != nil {
		return err
	}
	out := holdsTable(c)
	for h, err := range s.List(ctx) {
		if err != nil {
			return err
		}
		if err := holdRow(out, holdJSON{Hold: h}); err != nil {
			return err
		}
	}
	return out.end("nobody holds anything in namespace %s", cmp.Or(t.space(c), "default"))
}

// holdJSON is a hold, and of a page who leads an election that it waits for.
type holdJSON struct {
	sync.Hold
	Leader string `json:"leader,omitempty"`
}

func holdsTable(c *call) *table {
	return c.table("KIND", "ID", "STATE", "OWNER", "SINCE", "TOKEN", "UNTIL")
}

func holdRow(out *table, h holdJSON) error {
	state := painted{green, "held"}
	if h.Waiting {
		state = painted{yellow, "waiting"}
	}
	var token any = ""
	if h.Token != 0 {
		token = h.Token
	}
	return out.row(h, h.Kind, h.ID, state, h.Owner, out.c.when(h.Since), token, out.c.when(h.Until))
}
