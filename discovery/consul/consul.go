package consul

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/consul"
	vendors "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/consul"
)

// Option configures Backend and On.
type Option func(*options) error

// queryWait is how long one blocking query lasts when nothing changes. A longer one
// costs fewer requests; a dead connection is noticed after it.
const queryWait = 30 * time.Second

type options struct {
	wait    time.Duration
	queries int
}

// WithQueries sets how many services have a blocking query of their own, each of
// which occupies a connection to the agent. All further services share one
// query, which is answered for every change of a check in the datacenter. The
// default is 16. An agent takes 200 connections from all processes of a host,
// unless its http_max_conns_per_client says otherwise; other calls use at most
// 32.
func WithQueries(n int) Option {
	return func(o *options) error {
		if n < 0 {
			return fmt.Errorf("%d queries is negative", n)
		}
		o.queries = n
		return nil
	}
}

// Backend makes discovery.New use the Consul agent at addr, over an engine of its
// own: "consuls://:token@host" and the other forms that engine/consul takes.
func Backend(addr string, opts ...Option) discovery.Option {
	return open(func() (*conn.Conn, error) { return conn.Open(conn.Config{Address: addr}) }, opts)
}

// On makes discovery.New use the Consul agent that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine, opts ...Option) discovery.Option { return open(e.Conn, opts) }

func open(connect func() (*conn.Conn, error), opts []Option) discovery.Option {
	return discovery.WithDriver("consul", func(context.Context) (discovery.Driver, error) {
		o, err := vendors.Apply(options{wait: queryWait, queries: 16}, opts)
		if err != nil {
			return nil, err
		}
		c, err := connect()
		if err != nil {
			return nil, err
		}
		c.HoldAtLeast(o.queries + 1) // all of these, and what they share
		d := &driver{Conn: c, wait: o.wait, queries: make(chan struct{}, o.queries), past: map[string]past{}, written: map[string]bool{}}
		d.shared = &shared{d: d, members: map[*member]bool{}}
		return d, nil
	})
}
