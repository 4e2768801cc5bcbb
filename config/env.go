package config

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Env is a source of the process' environment: with prefix "APP", the variable
// APP_SERVER__MAX_CONNS is server.max_conns. Two underscores separate keys;
// names are lowered. The prefix is needed, so that nothing is picked up by
// accident. names adds single variables by their full name: {"PORT":
// "server.port"}.
//
// Values have no type: they become what is asked for. Arrays are cut at commas,
// or written as JSON. The environment is read by New and by Reload.
func Env(prefix string, names ...map[string]string) Source {
	return &env{prefix: prefix, names: names, environ: os.Environ}
}

type env struct {
	prefix  string
	names   []map[string]string
	environ func() []string
}

func (e *env) Name() string { return "env " + e.prefix }

func (e *env) Open(context.Context) error {
	if e.prefix == "" || strings.ContainsAny(e.prefix, "=\x00") {
		return fmt.Errorf("prefix %q: %w", e.prefix, ErrInvalid)
	}
	return nil
}

func (e *env) Read(context.Context) (Content, error) {
	root := &Node{Kind: Object}
	vars := e.environ()
	slices.Sort(vars)
	prefix := strings.TrimSuffix(e.prefix, "_") + "_"
	for _, kv := range vars {
		name, value, _ := strings.Cut(kv, "=")
		var keys []string
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			keys = strings.Split(strings.ToLower(rest), "__")
		}
		for _, m := range e.names {
			if path, ok := m[name]; ok {
				keys = SplitPath(path)
			}
		}
		if len(keys) == 0 || slices.Contains(keys, "") {
			continue
		}
		if err := put(root, keys, &Node{Kind: Text, Text: value}); err != nil {
			return Content{}, fmt.Errorf("variable %s: %w", name, err)
		}
	}
	return Content{Parts: []Part{{Root: root}}}, nil
}

// Watch delivers the environment once: a process' own doesn't change.
func (e *env) Watch(ctx context.Context, deliver func(Content, error)) error {
	return once(ctx, e, deliver)
}

// Flags is a source of the flags that were given on the command line; those
// that were not are left to other layers. Dots in a flag's name separate keys,
// dashes become underscores: -server.max-conns is server.max_conns. Values have
// no type, as with Env. fs must have been parsed.
func Flags(fs *flag.FlagSet) Source { return &flags{fs} }

type flags struct{ set *flag.FlagSet }

func (f *flags) Name() string { return "flags" }

func (f *flags) Open(context.Context) error {
	if f.set == nil || !f.set.Parsed() {
		return fmt.Errorf("the flag set has not been parsed: %w", ErrInvalid)
	}
	return nil
}

func (f *flags) Read(context.Context) (Content, error) {
	root := &Node{Kind: Object}
	var errs []error
	f.set.Visit(func(fl *flag.Flag) {
		keys := SplitPath(strings.ReplaceAll(fl.Name, "-", "_"))
		if err := put(root, keys, &Node{Kind: Text, Text: fl.Value.String()}); err != nil {
			errs = append(errs, fmt.Errorf("flag -%s: %w", fl.Name, err))
		}
	})
	return Content{Parts: []Part{{Root: root}}}, errors.Join(errs...)
}

func (f *flags) Watch(ctx context.Context, deliver func(Content, error)) error {
	return once(ctx, f, deliver)
}

// once is the Watch of a source that doesn't change.
func once(ctx context.Context, s Source, deliver func(Content, error)) error {
	deliver(s.Read(ctx))
	<-ctx.Done()
	return ctx.Err()
}

// put sets the value at keys below n.
func put(n *Node, keys []string, v *Node) error {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Key != keys[0] {
			continue
		}
		if len(keys) == 1 || m.Value.Kind != Object {
			return fmt.Errorf("%q is a value and holds others, or is set twice: %w", keys[0], ErrInvalid)
		}
		return put(m.Value, keys[1:], v)
	}
	if len(keys) == 1 {
		n.Members = append(n.Members, Member{keys[0], v})
		return nil
	}
	sub := &Node{Kind: Object}
	n.Members = append(n.Members, Member{keys[0], sub})
	return put(sub, keys[1:], v)
}
