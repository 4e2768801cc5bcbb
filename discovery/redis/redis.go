package redis

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/redis"
	shared "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures Backend and On.
type Option func(*options) error

type options struct{ poll time.Duration }

// WithPoll sets how often a service is read while nothing happens, at least
// 1 s. The default is 15 s.
func WithPoll(d time.Duration) Option {
	return func(o *options) error { return fronts.AtLeast("poll period", d, time.Second, &o.poll) }
}

// Backend makes discovery.New use the Redis at addr, over an engine of its own:
// "redis://user:password@host:6379/2", several of a cluster as "a:6379,b:6379",
// and the other forms that engine/redis takes.
func Backend(addr string, opts ...Option) discovery.Option {
	return open(func() (*conn.Client, error) { return conn.Open(conn.Config{Address: addr}) }, opts)
}

// On makes discovery.New use the Redis that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine, opts ...Option) discovery.Option { return open(e.Conn, opts) }

func open(connect func() (*conn.Client, error), opts []Option) discovery.Option {
	return discovery.WithDriver("redis", func(context.Context) (discovery.Driver, error) {
		o, err := shared.Apply(options{poll: 15 * time.Second}, opts)
		if err != nil {
			return nil, err
		}
		client, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Client: client, poll: o.poll}, nil
	})
}
