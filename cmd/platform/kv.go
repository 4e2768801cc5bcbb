package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
)

func kvNoun() *command {
	return &command{name: "kv", short: "keys and values: get, put, list, watch, count", subs: []*command{
		kvGet(), kvPut(), kvAdd(), kvDelete(), kvList(), kvWatch(),
	}}
}

func kvTarget(f *flags) *target { return f.target("kv", "the store").namespaced(f, "") }

// openKV opens the store at a target.
func openKV(c *call, t *target) (kv.KV, error) {
	return opened(c, t, kv.New, kv.WithNamespace, kvredis.URL, kvetcd.URL, kvconsul.URL, kvnats.URL, kvsql.URL, memcached.URL)
}

func onKV(f *flags, do func(context.Context, *call, kv.KV) error) action {
	return opening(kvTarget(f), openKV, do)
}

// value is bytes in JSON: text as it is, else base64.
type value struct {
	Value  *string `json:"value,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func valueOf(b []byte) value {
	if !utf8.Valid(b) {
		return value{Base64: b}
	}
	s := string(b)
	return value{Value: &s}
}

type itemJSON struct {
	Key string `json:"key"`
	value
	Revision uint64    `json:"revision,string"` // which jq and JavaScript would round
	Expires  time.Time `json:"expires,omitzero"`
}

func itemOf(i kv.Item) itemJSON {
	return itemJSON{i.Key, valueOf(i.Value), uint64(i.Revision), i.Expires.UTC()}
}

func kvGet() *command {
	return &command{
		name: "get", args: "KEY", min: 1, max: 1, short: "print a value",
		long:     "The value is printed as it is; -o json has its revision and when it expires, too.",
		examples: []string{"platform kv get greeting", "platform kv get greeting -o json", "platform kv get nothing   # exit 1"},
		setup: func(f *flags) action {
			return onKV(f, func(ctx context.Context, c *call, store kv.KV) error {
				item, err := store.Get(ctx, c.args[0], kv.Expiry())
				switch {
				case err != nil:
					return err
				case c.isJSON():
					return c.json(itemOf(item))
				}
				return c.raw(item.Value)
			})
		},
	}
}

func kvPut() *command {
	return &command{
		name: "put", args: "KEY [VALUE]", min: 1, max: 2, reads: true, short: "write a value, from the argument or from standard input",
		long: "Without VALUE, or if it is \"-\", the value is what standard input has.",
		examples: []string{
			"platform kv put greeting hello",
			"platform kv put session/42 -ttl 30m < session.json",
			"platform kv put leader me -if-absent",
			"platform kv put leader you -if-absent   # exit 4",
		},
		setup: func(f *flags) action {
			ttl := f.duration("ttl", "let it expire after `DURATION`")
			absent := f.bool("if-absent", "only if the key is not there")
			revision := f.number("if-revision", "only if the key still has revision `N`; 0: is not there")
			return onKV(f, func(ctx context.Context, c *call, store kv.KV) error {
				var opts []kv.PutOption
				if *ttl != 0 {
					opts = append(opts, kv.TTL(*ttl))
				}
				if *absent {
					opts = append(opts, kv.IfAbsent())
				}
				if revision.given {
					opts = append(opts, kv.IfRevision(kv.Revision(revision.value)))
				}
				r, err := store.Put(ctx, c.args[0], c.data, opts...)
				if err != nil {
					return err
				}
				return c.done(keyJSON{c.args[0], uint64(r)}, "put %s, %s, revision %d", c.args[0], size(len(c.data)), r)
			})
		},
	}
}

type keyJSON struct {
	Key      string `json:"key"`
	Revision uint64 `json:"revision,omitempty,string"`
}

func kvAdd() *command {
	return &command{
		name: "add", args: "KEY N", min: 2, max: 2, short: "add to the number at a key, and print the sum",
		examples: []string{"platform kv add visits 1", "platform kv add visits -1"},
		setup: func(f *flags) action {
			ttl := f.duration("ttl", "let a counter that this makes expire after `DURATION`")
			t := kvTarget(f)
			return func(ctx context.Context, c *call) error {
				n, err := strconv.ParseInt(c.args[1], 10, 64)
				if err != nil {
					return badUse("%q is no whole number", c.args[1])
				}
				store, err := openKV(c, t)
				if err != nil {
					return err
				}
				var opts []kv.PutOption
				if *ttl != 0 {
					opts = append(opts, kv.TTL(*ttl))
				}
				sum, err := store.Add(ctx, c.args[0], n, opts...)
				if err != nil {
					return err
				}
				return c.done(struct {
					Key   string      `json:"key"`
					Value json.Number `json:"value"`
				}{c.args[0], json.Number(strconv.FormatInt(sum, 10))}, "%d", sum)
			}
		},
	}
}

func kvDelete() *command {
	return &command{
		name: "delete", args: "KEY…", min: 1, max: -1, short: "remove keys",
		long:     "A key that is not there is no error, but with -if-revision.",
		examples: []string{"platform kv delete greeting", "platform kv delete leader -if-revision 1   # exit 4"},
		setup: func(f *flags) action {
			revision := f.number("if-revision", "only if the key still has revision `N`")
			t := kvTarget(f)
			return func(ctx context.Context, c *call) error {
				if revision.given && len(c.args) > 1 {
					return badUse("-if-revision is of one key, not of %d", len(c.args))
				}
				store, err := openKV(c, t)
				if err != nil {
					return err
				}
				var opts []kv.DeleteOption
				if revision.given {
					opts = append(opts, kv.IfRevision(kv.Revision(revision.value)))
				}
				for _, key := range c.args {
					if err := store.Delete(ctx, key, opts...); err != nil {
						return err
					}
					if err := c.done(keyJSON{Key: key}, "deleted %s", key); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}
