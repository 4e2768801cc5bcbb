package main

import (
	"cmp"
	"context"
	"encoding/json"
	"os/user"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/config/store"
)

// edit are the flags of what writes a version.
type edit struct {
	author, comment *string
	version         *number
}

func (f *flags) edit() *edit {
	e := &edit{
		author:  f.string("author", "", "`NAME`: who does it; your user's name if none is given"),
		comment: f.string("m", "", "`TEXT`: why"),
		version: f.number("if-version", "only if version `N` is still the newest"),
	}
	f.env["author"] = "PLATFORM_AUTHOR"
	return e
}

func (e *edit) options(c *call) (opts []store.WriteOption) {
	author := cmp.Or(*e.author, c.env("PLATFORM_AUTHOR"), c.env("USER"))
	if author == "" {
		if u, err := user.Current(); err == nil {
			author = u.Username
		}
	}
	if author != "" {
		opts = append(opts, store.Author(author))
	}
	if *e.comment != "" {
		opts = append(opts, store.Comment(*e.comment))
	}
	if e.version.given {
		opts = append(opts, store.IfVersion(e.version.value))
	}
	return opts
}

// writes is what a verb does that makes a version; the zero Version says that there
// was nothing to do.
func writes(f *flags, write func(ctx context.Context, c *call, st store.Store, opts []store.WriteOption) (store.Version, error)) action {
	e := f.edit()
	return onStore(f, func(ctx context.Context, c *call, st store.Store) error {
		v, err := write(ctx, c, st, e.options(c))
		if err != nil || v.Number == 0 {
			return err
		}
		return c.done(v, "%v", v)
	})
}

func configSet() *command {
	return &command{
		name: "set", args: "DOCUMENT PATH VALUE", min: 2, max: 3, reads: true, short: "set the value at a path",
		long: "VALUE is JSON if it can be (8443, true, [1,2], {\"a\":1}), else text. Without VALUE, or if it\nis \"-\", it is what standard input has: there, secrets are seen by nobody.",
		examples: []string{
			`platform config set shop/prod server.port 8443 -m "TLS"`,
			"platform config set shop/prod server.name shop -if-version 1   # exit 4",
			"platform config set shop/prod db.password < password.txt",
		},
		setup: func(f *flags) action {
			isText := f.bool("text", "VALUE is text, also if it could be JSON")
			return writes(f, func(ctx context.Context, c *call, st store.Store, opts []store.WriteOption) (store.Version, error) {
				if !utf8.Valid(c.data) {
					return store.Version{}, badUse("the value is not UTF-8")
				}
				var v any = strings.TrimSuffix(string(c.data), "\n")
				if !*isText && json.Valid(c.data) {
					v = json.RawMessage(c.data)
				}
				return st.Set(ctx, c.args[0], c.args[1], v, opts...)
			})
		},
	}
}

func configUnset() *command {
	return &command{
		name: "unset", args: "DOCUMENT PATH", min: 2, max: 2, short: "remove the value at a path",
		examples: []string{"platform config unset shop/prod server.name"},
		setup: func(f *flags) action {
			return writes(f, func(ctx context.Context, c *call, st store.Store, opts []store.WriteOption) (store.Version, error) {
				d, err := st.Get(ctx, c.args[0])
				if err != nil {
					return store.Version{}, missing(err, c.args[0])
				}
				v, err := st.Unset(ctx, c.args[0], c.args[1], opts...)
				if err == nil && v.Number == d.Number { // it has made none
					c.note("%s has nothing at %q", c.args[0], c.args[1])
					return store.Version{}, nil
				}
				return v, err
			})
		},
	}
}

func configPut() *command {
	return &command{
		name: "put", args: "DOCUMENT [JSON]", min: 1, max: 2, reads: true, short: "replace a whole document, by the argument or standard input",
		examples: []string{"platform config put shop/test < test.json", `platform config put shop/test '{"server":{"port":80}}' -m "as in production"`},
		setup: func(f *flags) action {
			return writes(f, func(ctx context.Context, c *call, st store.Store, opts []store.WriteOption) (store.Version, error) {
				return st.Put(ctx, c.args[0], c.data, opts...)
			})
		},
	}
}

func configDelete() *command {
	return &command{
		name: "delete", args: "DOCUMENT", min: 1, max: 1, short: "make a document absent; its versions stay",
		examples: []string{"platform config delete shop/test"},
		setup: func(f *flags) action {
			return writes(f, func(ctx context.Context, c *call, st store.Store, opts []store.WriteOption) (store.Version, error) {
				v, err := st.Delete(ctx, c.args[0], opts...)
				return v, missing(err, c.args[0])
			})
		},
	}
}

func configRollback() *command {
	return &command{
		name: "rollback", args: "DOCUMENT VERSION", min: 2, max: 2, short: "make a new version that is equal to an old one",
		examples: []string{`platform config rollback shop/prod 1 -m "the port was wrong"`},
		setup: func(f *flags) action {
			return writes(f, func(ctx context.Context, c *call, st store.Store, opts []store.WriteOption) (store.Version, error) {
				n, err := versionNumber(c.args[1])
				if err != nil {
					return store.Version{}, err
				}
				v, err := st.Rollback(ctx, c.args[0], n, opts...)
				return v, missing(err, c.args[0], n)
			})
		},
	}
}
