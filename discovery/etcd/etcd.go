package etcd

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/etcd"
	shared "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures Backend and On.
type Option func(*options) error

type options struct{ poll time.Duration }

// WithPoll sets how often an idle watch asks for a sign of life, at least 1 s.
// The default is 15 s.
func WithPoll(d time.Duration) Option {
	return func(o *options) error { return fronts.AtLeast("poll period", d, time.Second, &o.poll) }
}

// Backend makes discovery.New use the etcd cluster at addr, over an engine of its
// own: "etcds://user:password@a,b,c" and the other forms that engine/etcd takes.
func Backend(addr string, opts ...Option) discovery.Option {
	return open(func() (*conn.Conn, error) { return conn.Open(conn.Config{Address: addr}) }, opts)
}

// On makes discovery.New use the etcd cluster that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine, opts ...Option) discovery.Option { return open(e.Conn, opts) }

func open(connect func() (*conn.Conn, error), opts []Option) discovery.Option {
	return discovery.WithDriver("etcd", func(context.Context) (discovery.Driver, error) {
		o, err := shared.Apply(options{poll: 15 * time.Second}, opts)
		if err != nil {
			return nil, err
		}
		c, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Conn: c, poll: o.poll, leases: newLeases(c)}, nil
	})
}
