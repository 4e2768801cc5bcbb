package conn_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// sharing is an engine, and the packages that share it.
type sharing struct {
	name   string
	most   int // connections to the server
	server func(t testing.TB) *servertest.Server
	// share opens the engine of a server that is reached at addr.
	share func(s *servertest.Server, addr string) (engine, []func() error, error)
}

func shared[E engine](name string, most int, server func(t testing.TB) *servertest.Server, on []standing[E], open func(s *servertest.Server, addr string) (E, error)) sharing {
	return sharing{name, most, server, func(s *servertest.Server, addr string) (engine, []func() error, error) {
		e, err := open(s, addr)
		if err != nil {
			return nil, nil, err
		}
		var uses []func() error
		for _, s := range on {
			uses = append(uses, func() error {
				err := s.open(e, false)
				if errors.Is(err, fault.NotFound) { // as config is, of a key that nobody wrote
					return nil
				}
				return err
			})
		}
		return e, uses, nil
	}}
}

var sharings = []sharing{
	shared("redis", 1, func(t testing.TB) *servertest.Server { return servertest.SharedRedis(t) }, onRedis,
		func(_ *servertest.Server, a string) (*redis.Engine, error) { return redis.Open(a) }),
	shared("etcd", 1, func(t testing.TB) *servertest.Server { return servertest.Etcd(t) }, onEtcd,
		func(_ *servertest.Server, a string) (*etcd.Engine, error) { return etcd.Open(a) }),
	// Requests that are on their way at the same time have a connection each.
	shared("consul", 8, func(t testing.TB) *servertest.Server { return servertest.SharedConsul(t) }, onConsul,
		func(_ *servertest.Server, a string) (*consul.Engine, error) { return consul.Open(a) }),
	shared("nats", 1, func(t testing.TB) *servertest.Server { return servertest.SharedNATS(t) }, onNATS,
		func(_ *servertest.Server, a string) (*nats.Engine, error) { return nats.Open(a) }),
	// A package that listens does so on a connection of its own, and closes it.
	shared("postgres", 3, func(t testing.TB) *servertest.Server { return servertest.SharedPostgres(t) }, onSQL,
		func(s *servertest.Server, a string) (*sql.Engine, error) {
			return sql.Open(strings.Replace(s.DSN(), s.Addr(), a, 1))
		}),
	shared("mysql", 2, func(t testing.TB) *servertest.Server { return servertest.SharedMariaDB(t) }, onSQL,
		func(s *servertest.Server, a string) (*sql.Engine, error) {
			return sql.Open(strings.Replace(s.DSN(), s.Addr(), a, 1)+"mysql", sql.WithDialect(sql.MySQL))
		}),
}

// What stands on one engine shares its connections; each is closed and leaves
// the engine to the next. What is opened on a closed engine says at once that it
// is unavailable.
func TestPackagesOnOneEngine(t *testing.T) {
	for _, s := range sharings {
		t.Run(s.name, func(t *testing.T) {
			leak.Check(t) // so not in parallel
			server := s.server(t)
			p := netfault.New(t, server.Addr())
			e, uses, err := s.share(server, p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			for i, use := range uses {
				if err := use(); err != nil {
					t.Errorf("package %d: %v", i, err)
				}
			}
			if n := p.Counts().Accepted; n < 1 || n > s.most {
				t.Errorf("%d packages made %d connections, want 1 to %d", len(uses), n, s.most)
			}
			if err := errors.Join(e.Close(), e.Close()); err != nil {
				t.Errorf("Close, twice: %v", err)
			}
			for i, use := range uses {
				began := time.Now()
				if err := use(); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "was closed") || time.Since(began) > 2*limit {
					t.Errorf("package %d on a closed engine: %v after %v, want unavailable: it was closed", i, err, time.Since(began))
				}
			}
		})
	}
}
