package redis

import (
	"context"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	goredis "github.com/redis/go-redis/v9"
)

// Engine is a connection to Redis that backends share. It is safe for concurrent
// use.
type Engine struct{ conn *redis.Client }

// Open describes the Redis at addr; the package comment has the forms of an
// address. It connects to nothing: Ping does, and New of the packages. The error
// is engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	c, err := conn.Open("engine/redis", redis.Open, redis.Config{Address: addr}, opts)
	if err != nil {
		return nil, err
	}
	return &Engine{c}, nil
}

// FromClient is the engine of a client of your own, which Close leaves open: a
// *redis.Client or a *redis.ClusterClient. A nil client is an error of what is
// opened on the engine. The client should have ContextTimeoutEnabled; else a
// call's deadline ends the call, but not what it does on the connection. A call
// whose context can be cancelled takes a goroutine of its own, as the client does
// not look at a context's end; with Open it takes none. Each subscription of
// package event needs a connection of the client's pool.
func FromClient(client goredis.UniversalClient) *Engine {
	if fronts.Nil(client) {
		return &Engine{}
	}
	c, _ := redis.Open(redis.Config{Client: client})
	return &Engine{c}
}

// Client returns the go-redis client, for commands of your own. It is closed with
// the engine.
func (e *Engine) Client() goredis.UniversalClient {
	if e.conn == nil {
		return nil
	}
	return e.conn.UniversalClient
}

// Ping asks the server for a sign of life. The error is engine.ErrUnavailable, or
// engine.ErrDenied if the server refuses the credentials, and names the address.
func (e *Engine) Ping(ctx context.Context) error {
	c, err := e.Conn()
	if err == nil {
		err = c.Ping(ctx)
	}
	return fault.Wrap("engine/redis", "ping", "", err)
}

// Close closes the connections, but not a client that was given. It may be
// called again.
func (e *Engine) Close() error {
	if e.conn == nil {
		return nil
	}
	return fault.Wrap("engine/redis", "close", "", e.conn.Close())
}

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*redis.Client, error) {
	switch {
	case e == nil:
		return nil, fault.Markf(fault.Invalid, "nil engine")
	case e.conn == nil:
		return nil, fault.Markf(fault.Invalid, "nil client")
	}
	return e.conn.Shared(), nil
}
