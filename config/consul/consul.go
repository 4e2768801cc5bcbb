// Package consul has the source of config that reads Consul's key/value store.
//
//	config.WithSource(consul.Source("127.0.0.1:8500", "config/orders"))
//
// A key holds one document. A key that ends with a slash stands for all keys
// below it: each holds a document, they merge in the order of their names.
// Changes come by blocking queries: at once, and two requests a minute while
// nothing changes.
package consul

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/config"
	engine "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/internal/conn"
	connconsul "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
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

// Source returns the source of key at the agents at addr, over an engine of its
// own: "consuls://:token@host" and the other forms that engine/consul takes.
func Source(addr, key string, opts ...Option) config.Source {
	return &source{where: conn.Redact(addr), key: key, opts: opts, connect: func() (*connconsul.Conn, error) {
		return connconsul.Open(connconsul.Config{Address: addr})
	}}
}

// On returns the source of key at the agents that the engine is connected to, which
// it leaves open.
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
	connect func() (*connconsul.Conn, error)
	conn    *connconsul.Conn
}

func (s *source) Name() string { return "consul " + s.where + " " + s.key }

func (s *source) Open(context.Context) error {
	if s.key == "" || strings.HasPrefix(s.key, "/") {
		return fault.Markf(config.ErrInvalid, "key %q, want one that is not empty and doesn't begin with a slash", s.key)
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
	pairs, _, err := s.get((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return config.Content{}, s.fault(err)
	}
	return s.content(pairs)
}

func (s *source) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	err := connconsul.Follow(ctx, s.conn, connconsul.Wait, s.get, func(a connconsul.Answer[api.KVPairs]) error {
		if !a.Same {
			deliver(s.content(a.Value))
		}
		return nil
	})
	return s.fault(err)
}

func (s *source) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.conn.Address(), connconsul.Read(err))
}

func (s *source) get(q *api.QueryOptions) (api.KVPairs, *api.QueryMeta, error) {
	if strings.HasSuffix(s.key, "/") {
		return s.conn.KV().List(s.key, q)
	}
	pair, meta, err := s.conn.KV().Get(s.key, q)
	if pair == nil {
		return nil, meta, err
	}
	return api.KVPairs{pair}, meta, err
}

func (s *source) content(pairs api.KVPairs) (config.Content, error) {
	var c config.Content
	var newest uint64
	for _, p := range pairs { // sorted by key
		if strings.HasSuffix(p.Key, "/") {
			continue // what Consul's page makes for a folder
		}
		part := config.Part{Data: p.Value, Format: s.format}
		if p.Key != s.key {
			part.Name = strings.TrimPrefix(p.Key, s.key)
		}
		newest = max(newest, p.ModifyIndex)
		c.Parts = append(c.Parts, part)
	}
	if len(c.Parts) == 0 {
		return config.Content{}, fault.Markf(config.ErrNotFound, "no such key")
	}
	c.Revision = strconv.FormatUint(newest, 10)
	return c, nil
}
