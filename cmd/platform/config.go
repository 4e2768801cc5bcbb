package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	storekv "github.com/micro/go-platform/config/store/kv"
	storesql "github.com/micro/go-platform/config/store/sql"
	"github.com/micro/go-platform/engine"
	sqlengine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
)

func configNoun() *command {
	return &command{
		name: "config", short: "configuration documents: get, set, history, diff, roll back",
		long: "Documents are those of config/store: JSON, each below a name with slashes (shop/prod), with\nall their versions. Values that look like secrets are hidden; \"get -reveal\" shows them.",
		subs: []*command{
			configGet(), configSet(), configUnset(), configPut(), configDelete(), configList(), configHistory(), configDiff(), configRollback(), configWatch(),
		},
	}
}

func configTarget(f *flags) *target {
	return f.target("config", "the store of documents").namespaced(f, "config")
}

// openStore opens the documents at a target: in a table of a database, or on a kv
// store in a namespace of their own.
func openStore(c *call, t *target) (store.Store, error) {
	known := []func(*engine.Choice) store.Option{inSQL}
	var failed error
	for _, url := range []func(*engine.Choice) kv.Option{kvredis.URL, kvetcd.URL, kvconsul.URL, kvnats.URL} {
		known = append(known, func(ch *engine.Choice) store.Option {
			option := url(ch)
			if option == nil {
				return nil
			}
			shared, err := kv.New(option, kv.WithNamespace(t.space(c)))
			if err != nil {
				failed = err
				return nil
			}
			c.closes(shared.Close)
			return storekv.Backend(shared)
		})
	}
	st, err := opened(c, t, store.New, nil, known...)
	return st, cmp.Or(failed, err)
}

func onStore(f *flags, do func(context.Context, *call, store.Store) error) action {
	return opening(configTarget(f), openStore, do)
}

func inSQL(ch *engine.Choice) store.Option {
	e, ok := sqlengine.URL(ch)
	if !ok {
		return nil
	}
	return storesql.On(e)
}

// missing says which document or version is not there.
func missing(err error, document string, versions ...uint64) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if len(versions) == 0 {
		return no("no document %s", document)
	}
	var numbers []string
	for _, v := range versions {
		numbers = append(numbers, strconv.FormatUint(v, 10))
	}
	return no("no document %s, or no version %s of it", document, strings.Join(numbers, " or "))
}

func configGet() *command {
	return &command{
		name: "get", args: "DOCUMENT [PATH]", min: 1, max: 2, short: "print a document, or the value at a path of it",
		examples: []string{"platform config get shop/prod server.port", "platform config get shop/prod", "platform config get shop/prod -version 1 -o json", "platform config get shop/prod nothing   # exit 1"},
		setup: func(f *flags) action {
			number := f.number("version", "`N`: that version, instead of the newest")
			reveal := f.bool("reveal", "show what looks like a secret, too")
			return onStore(f, func(ctx context.Context, c *call, st store.Store) error {
				var d store.Document
				var err error
				if number.given {
					d, err = st.At(ctx, c.args[0], number.value)
					err = missing(err, c.args[0], number.value)
				} else {
					d, err = st.Get(ctx, c.args[0])
					err = missing(err, c.args[0])
				}
				if err != nil {
					return err
				}
				v := d.Get(c.arg(1))
				if !v.Exists() {
					return no("%s version %d has nothing at %q", d.Namespace, d.Number, c.arg(1))
				}
				return printValue(c, v, *reveal)
			})
		},
	}
}

// printValue prints a text as it is and everything else as JSON.
func printValue(c *call, v config.Value, reveal bool) error {
	b := []byte(v.Show())
	if reveal {
		b = v.Bytes()
	}
	if c.isJSON() {
		return c.json(json.RawMessage(b))
	}
	var s string
	if json.Unmarshal(b, &s) == nil {
		if c.outTerminal {
			s = text([]byte(s))
		}
		_, err := fmt.Fprintln(c.out, strings.TrimSuffix(s, "\n"))
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, out.String())
	return err
}

func configList() *command {
	return &command{
		name: "list", short: "list the names of the documents",
		examples: []string{"platform config list"},
		setup: func(f *flags) action {
			return onStore(f, func(ctx context.Context, c *call, st store.Store) error {
				names, err := st.Namespaces(ctx)
				if err != nil {
					return err
				}
				out := c.table("DOCUMENT")
				for _, name := range names {
					if err := out.row(struct {
						Namespace string `json:"namespace"`
					}{name}, name); err != nil {
						return err
					}
				}
				return out.end("no documents")
			})
		},
	}
}
