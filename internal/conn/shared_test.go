package conn_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// sharing is an engine, and the packages that share it.
type sharing struct {
	name   string
	server func(t testing.TB) string
	share  func(addr string) (engine, []func() error, error)
	most   int // connections to the server
}

func shared[E engine](name string, most int, server func(t testing.TB) string, on []standing[E], open func(addr string) (E, error)) sharing {
	return sharing{name, server, func(addr string) (engine, []func() error, error) {
		e, err := open(addr)
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
	}, most}
}

var sharings = []sharing{
	shared("redis", 1, func(t testing.TB) string { return servertest.SharedRedis(t).Addr() }, onRedis,
		func(a string) (*redis.Engine, error) { return redis.Open(a) }),
	shared("etcd", 1, func(t testing.TB) string { return servertest.Etcd(t).Addr() }, onEtcd,
		func(a string) (*etcd.Engine, error) { return etcd.Open(a) }),
}

// What stands on one engine shares its connections; each is closed and leaves
// the engine to the next. What is opened on a closed engine says at once that it
// is unavailable.
func TestPackagesOnOneEngine(t *testing.T) {
	for _, s := range sharings {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			leak.Check(t)
			p := netfault.New(t, s.server(t))
			e, uses, err := s.share(p.Addr())
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
