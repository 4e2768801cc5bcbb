package redis

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/redis"
	conn "github.com/micro/go-platform/internal/conn/redis"
)

// pollEvery is how often a service is read while nothing happens: messages of
// changes may be lost.
const pollEvery = 15 * time.Second

// Backend makes discovery.New use the Redis at addr, over an engine of its own:
// "redis://user:password@host:6379/2", several of a cluster as "a:6379,b:6379",
// and the other forms that engine/redis takes.
func Backend(addr string) discovery.Option { return open(at(addr), pollEvery) }

// On makes discovery.New use the Redis that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine) discovery.Option { return open(e.Conn, pollEvery) }

func at(addr string) func() (*conn.Client, error) {
	return func() (*conn.Client, error) { return conn.Open(conn.Config{Address: addr}) }
}

func open(connect func() (*conn.Client, error), poll time.Duration) discovery.Option {
	return discovery.WithDriver("redis", func(context.Context) (discovery.Driver, error) {
		client, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Client: client, poll: poll}, nil
	})
}
