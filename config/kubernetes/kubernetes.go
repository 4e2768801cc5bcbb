// Package kubernetes has the source of config that reads ConfigMaps and Secrets
// of Kubernetes, and a resolver of references to Secrets.
//
//	config.WithSource(kubernetes.Source("in-cluster", "configmap/orders", kubernetes.WithFormat(yaml.Format{})))
//	config.WithSource(kubernetes.Source("in-cluster", "secret/orders-db", kubernetes.WithPath("db")))
//
// A key whose name ends as documents of a format do (app.json; app.yaml with
// [WithFormat]) holds a document. Any other key holds a single value, and its
// name is the path: "server.addr" of a ConfigMap is what Get("server.addr")
// returns. Single values have no type, as from the environment, and lose one
// newline at their end; what is no text is base64. Documents merge in the order
// of their names, then single values.
//
// Everything that comes from a Secret is secret, whatever its key: no output
// shows it. The verbs get, list and watch on the one object are enough; changes
// come by a watch, which all who read the object over one engine share.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/micro/go-platform/config"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/watch"
)

// Option is an option of Source.
type Option func(*source) error

// WithFormat reads keys that end with one of the format's extensions as
// documents. JSON is known. It may be given several times.
func WithFormat(f config.Format) Option {
	return func(s *source) error {
		s.formats = append(s.formats, f)
		return fronts.Given(f, "WithFormat")
	}
}

// WithNamespace reads from another namespace than the engine's.
func WithNamespace(name string) Option {
	return func(s *source) error {
		s.namespace = name
		return kubernetes.ValidNamespace(name)
	}
}

// WithKeys reads only these keys. Those that are not there are left out.
func WithKeys(keys ...string) Option {
	return func(s *source) error {
		if len(keys) == 0 || slices.Contains(keys, "") {
			return errors.New("WithKeys: no key, or an empty one")
		}
		s.keys = append(s.keys, keys...)
		return nil
	}
}

// WithPath puts everything below a path: password of a Secret with WithPath("db")
// is "db.password".
func WithPath(path string) Option {
	return func(s *source) error {
		if path == "" || slices.Contains(config.SplitPath(path), "") {
			return fmt.Errorf("WithPath: %q is no path", path)
		}
		s.path = path
		return nil
	}
}

// Source returns the source of an object, "configmap/NAME" or "secret/NAME", in
// the cluster at address, over an engine of its own: "in-cluster",
// "kubeconfig:/path", "https://host:6443" and the other forms that
// engine/kubernetes takes.
func Source(address, object string, opts ...Option) config.Source {
	return &source{object: object, opts: opts, where: conn.Redact(address), connect: func() (*kubernetes.Conn, bool, error) {
		c, err := kubernetes.Open(kubernetes.Config{Address: address})
		return c, true, err
	}}
}

// On returns the source of an object in the engine's cluster. Close leaves the
// engine open.
func On(e *engine.Engine, object string, opts ...Option) config.Source {
	s := &source{object: object, opts: opts, where: "without an engine", connect: func() (*kubernetes.Conn, bool, error) {
		c, err := e.Conn()
		return c, false, err
	}}
	if e != nil {
		s.where = e.String()
	}
	return s
}

type source struct {
	object    string
	opts      []Option
	where     string
	connect   func() (c *kubernetes.Conn, own bool, err error)
	namespace string
	formats   []config.Format
	keys      []string
	path      string

	kind     kind
	name     string
	resource kubernetes.Resource // of the kind, in the namespace
	conn     *kubernetes.Conn
	own      bool
}

func (s *source) Name() string { return "kubernetes " + s.where + " " + s.object }

func (s *source) Open(context.Context) error {
	kindName, name, _ := strings.Cut(s.object, "/")
	k, ok := kinds[strings.ToLower(kindName)]
	if !ok {
		return fault.Markf(config.ErrInvalid, "object %q, want configmap/NAME or secret/NAME", s.object)
	}
	if err := kubernetes.ValidName(name); err != nil {
		return fault.Mark(config.ErrInvalid, err)
	}
	s.kind, s.name, s.formats = k, name, []config.Format{config.JSON{}}
	if err := fronts.Apply(s, s.opts); err != nil {
		return fault.Mark(config.ErrInvalid, err)
	}
	var err error
	s.conn, s.own, err = s.connect()
	if err != nil {
		return err
	}
	if s.namespace == "" {
		s.namespace = s.conn.Namespace()
	}
	s.resource = k.resource.In(s.namespace)
	return nil
}

func (s *source) Close() error {
	if s.own {
		return s.conn.Close()
	}
	return nil
}

func (s *source) Read(ctx context.Context) (config.Content, error) {
	o, err := kubernetes.Get[object](ctx, s.conn, s.resource, s.name)
	if errors.Is(err, fault.NotFound) {
		return s.content(nil)
	}
	if err != nil {
		return config.Content{}, fmt.Errorf("%s: %w", s.conn.Address(), err)
	}
	return s.content(o)
}

func (s *source) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	states := watch.NewCoalesce[*object]()
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- follow(ctx, s.conn, s.resource, s.name, states.Push) })
	defer wg.Wait()
	defer cancel()
	for {
		select {
		case o := <-states.C():
			deliver(s.content(o))
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%s: %w", s.conn.Address(), err)
		}
	}
}

// follow tells an object as it is, nil if it is not there, and every change of
// it. All who follow it share a watch.
func follow(ctx context.Context, c *kubernetes.Conn, r kubernetes.Resource, name string, seen func(*object)) error {
	return kubernetes.Follow[object](ctx, c, r, kubernetes.Named(name), func(ch kubernetes.Change[*object]) {
		switch {
		case ch.Reset && len(ch.All) == 0, ch.Deleted:
			seen(nil)
		case ch.Reset:
			seen(ch.All[0])
		case ch.Object != nil:
			seen(ch.Object)
		}
	})
}
