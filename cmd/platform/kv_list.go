package main

import (
	"context"

	"github.com/micro/go-platform/kv"
)

func kvList() *command {
	return &command{
		name: "list", args: "[PREFIX]", max: 1, short: "list keys and values, by key",
		examples: []string{"platform kv list", "platform kv list session/ -keys", "platform kv list -o json | head -1"},
		setup: func(f *flags) action {
			limit := f.limit(1000, "list `N` at the most; 0: all")
			after := f.string("after", "", "begin behind `KEY`")
			keys := f.bool("keys", "leave out the values")
			return onKV(f, func(ctx context.Context, c *call, store kv.KV) error {
				var opts []kv.ListOption
				if *after != "" {
					opts = append(opts, kv.After(*after))
				}
				l := c.limit(*limit)
				if l.ask > 0 {
					opts = append(opts, kv.Limit(l.ask))
				}
				head := []string{"KEY", "EXPIRES", "VALUE"}
				if *keys {
					head = head[:1]
				}
				out := c.table(head...)
				for item, err := range store.List(ctx, c.arg(0), opts...) {
					if err != nil {
						return err
					}
					if !l.next() {
						break
					}
					if err := kvRow(out, item, *keys); err != nil {
						return err
					}
				}
				return l.end(out, "no keys")
			})
		},
	}
}

func kvRow(out *table, item kv.Item, keys bool) error {
	if keys {
		return out.row(keyJSON{item.Key, uint64(item.Revision)}, item.Key)
	}
	return out.row(itemOf(item), item.Key, out.c.when(item.Expires), item.Value)
}

func kvWatch() *command {
	return &command{
		name: "watch", args: "[PREFIX]", max: 1, follows: true, short: "print what is there and every change, until Ctrl-C",
		long:     "A slow reader misses values in between, never the last one of a key.",
		examples: []string{"platform kv watch", "platform kv watch session/ -changes -o json"},
		setup: func(f *flags) action {
			changes := f.bool("changes", "leave out what is there at first")
			return onKV(f, func(ctx context.Context, c *call, store kv.KV) error {
				synced := false
				for e, err := range store.Watch(ctx, c.arg(0)) {
					switch {
					case ctx.Err() != nil:
						return nil
					case err != nil && codeOf(err) != exitUnavailable:
						return err
					case err != nil:
						c.waiting(err)
					case e.Kind == kv.EventSynced:
						synced = true
						if *changes {
							c.note("watching")
						}
					case synced || !*changes:
						if err := kvChange(c, e); err != nil {
							return err
						}
					}
				}
				return ended(ctx)
			})
		},
	}
}

func kvChange(c *call, e kv.Event) error {
	if e.Kind == kv.EventDelete {
		return c.line(struct {
			Kind string `json:"kind"`
			Key  string `json:"key"`
		}{"delete", e.Item.Key}, painted{red, "delete"}, painted{bold, e.Item.Key})
	}
	return c.line(struct {
		Kind string `json:"kind"`
		itemJSON
	}{"put", itemOf(e.Item)}, painted{green, "put"}, painted{bold, e.Item.Key}, e.Item.Value)
}
