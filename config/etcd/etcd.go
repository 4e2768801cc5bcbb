// Package etcd has the source of config that reads etcd.
//
//	config.WithSource(etcd.Source("127.0.0.1:2379", "/config/orders"))
//
// A key holds one document. A key that ends with a slash stands for all keys
// below it: each holds a document, they merge in the order of their names.
// Package engine/etcd has the forms of an address, TLS, credentials and timeouts.
// Changes come by a watch: at once, and no request while nothing changes.
package etcd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/config"
	engine "github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/conn"
	connetcd "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// Option is an option of Source and On.
type Option func(*source) error

// WithFormat says how the documents are written; the default is JSON.
func WithFormat(f config.Format) Option {
	return func(s *source) error {
		s.format = f
		return fronts.Given(f, "WithFormat")
	}
}

// Source returns the source of key in the cluster at addr, over an engine of its
// own: "etcds://user:password@a,b,c" and the other forms that engine/etcd takes.
func Source(addr, key string, opts ...Option) config.Source {
	return &source{where: conn.Redact(addr), key: key, opts: opts, connect: func() (*connetcd.Conn, error) {
		return connetcd.Open(connetcd.Config{Address: addr})
	}}
}

// On returns the source of key in the cluster that the engine is connected to,
// which it leaves open.
func On(e *engine.Engine, key string, opts ...Option) config.Source {
	s := &source{where: "the engine", key: key, opts: opts, connect: e.Conn}
	if c, err := e.Conn(); err == nil {
		s.where = c.Address()
	}
	return s
}

type source struct {
	where   string // for people
	key     string
	opts    []Option
	format  config.Format
	connect func() (*connetcd.Conn, error)
	conn    *connetcd.Conn
}

func (s *source) Name() string { return "etcd " + s.where + " " + s.key }

func (s *source) Open(context.Context) error {
	if s.key == "" {
		return fault.Markf(config.ErrInvalid, "empty key")
	}
	if err := fronts.Apply(s, s.opts); err != nil {
		return fault.Mark(config.ErrInvalid, err)
	}
	var err error
	s.conn, err = s.connect()
	return err
}

func (s *source) Close() error { return s.conn.Close() }

func (s *source) Read(ctx context.Context) (config.Content, error) {
	c, _, err := s.get(ctx)
	return c, err
}

// get returns the content and the store's revision that it is of.
func (s *source) get(ctx context.Context) (config.Content, int64, error) {
	resp, err := s.conn.Get(ctx, s.key, s.scope()...)
	if err != nil {
		return config.Content{}, 0, s.fault(err)
	}
	var c config.Content
	var newest int64
	for _, kv := range resp.Kvs { // sorted by key
		part := config.Part{Data: kv.Value, Format: s.format}
		if string(kv.Key) != s.key {
			part.Name = strings.TrimPrefix(string(kv.Key), s.key)
		}
		newest = max(newest, kv.ModRevision)
		c.Parts = append(c.Parts, part)
	}
	if len(c.Parts) == 0 {
		return config.Content{}, resp.Header.Revision, fault.Markf(config.ErrNotFound, "no such key")
	}
	c.Revision = strconv.FormatInt(newest, 10)
	return c, resp.Header.Revision, nil
}

func (s *source) scope() []clientv3.OpOption {
	if strings.HasSuffix(s.key, "/") {
		return []clientv3.OpOption{clientv3.WithPrefix()}
	}
	return nil
}

func (s *source) fault(err error) error {
	return fmt.Errorf("%s: %w", s.conn.Address(), connetcd.Fault(err, false))
}

// readTimeout bounds the reads of a watch.
const readTimeout = 5 * time.Second

// Watch reads, then watches from the next revision on, so that no change falls
// between. Each notice makes it read again: one request a change.
func (s *source) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	read := func() (int64, error) {
		limited, done := context.WithTimeout(ctx, readTimeout)
		defer done()
		c, at, err := s.get(limited)
		if err != nil && at == 0 {
			return 0, err
		}
		deliver(c, err)
		return at, nil
	}
	at, err := read()
	if err != nil {
		return err
	}
	lost := make(chan struct{})
	go func() {
		defer close(lost)
		s.untilLost(ctx, cancel)
	}()
	defer func() { cancel(nil); <-lost }()
	opts := append(s.scope(), clientv3.WithRev(at+1))
	for resp := range s.conn.Watch(clientv3.WithRequireLeader(ctx), s.key, opts...) {
		if err := resp.Err(); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return s.fault(err)
		}
		if len(resp.Events) == 0 || resp.Header.Revision <= at {
			continue
		}
		at, err = read()
		if err != nil {
			return err
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fault.Markf(config.ErrUnavailable, "%s: watch ended", s.conn.Address())
}

// untilLost ends the watch when no member can be reached any more: the client
// itself would go on trying without a word.
func (s *source) untilLost(ctx context.Context, cancel context.CancelCauseFunc) {
	link := s.conn.ActiveConnection()
	for {
		state := link.GetState()
		if state == connectivity.TransientFailure {
			cancel(fault.Markf(config.ErrUnavailable, "%s: connection lost", s.conn.Address()))
			return
		}
		if !link.WaitForStateChange(ctx, state) {
			return
		}
	}
}
