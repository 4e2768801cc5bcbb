package etcd

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/etcd"
	conn "github.com/micro/go-platform/internal/conn/etcd"
)

// pollEvery is how often an idle watch asks for a sign of life: a link that was cut
// in silence is noticed so.
const pollEvery = 15 * time.Second

// Backend makes discovery.New use the etcd cluster at addr, over an engine of its
// own: "etcds://user:password@a,b,c" and the other forms that engine/etcd takes.
func Backend(addr string) discovery.Option { return open(at(addr), pollEvery) }

// On makes discovery.New use the etcd cluster that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine) discovery.Option { return open(e.Conn, pollEvery) }

func at(addr string) func() (*conn.Conn, error) {
	return func() (*conn.Conn, error) { return conn.Open(conn.Config{Address: addr}) }
}

func open(connect func() (*conn.Conn, error), poll time.Duration) discovery.Option {
	return discovery.WithDriver("etcd", func(context.Context) (discovery.Driver, error) {
		c, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Conn: c, poll: poll, leases: newLeases(c)}, nil
	})
}
