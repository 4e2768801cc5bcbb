package consul_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/consul"
	"github.com/micro/go-platform/config/yaml"
	engine "github.com/micro/go-platform/engine/consul"
	connconsul "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// store writes keys as an operator would.
type store struct {
	t    *testing.T
	conn *connconsul.Conn
}

func newStore(t *testing.T, addr string) *store {
	c, err := connconsul.Open(connconsul.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &store{t, c}
}

func (s *store) put(key, value string) {
	s.t.Helper()
	if _, err := s.conn.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) delete(key string) {
	s.t.Helper()
	if _, err := s.conn.KV().Delete(key, nil); err != nil {
		s.t.Fatal(err)
	}
}

func TestConsulSourceConforms(t *testing.T) {
	server := servertest.SharedConsul(t)
	for name, suffix := range map[string]string{"a key": "app", "the keys below": "app/"} {
		t.Run(name, func(t *testing.T) {
			configtest.Run(t, func(t *testing.T) configtest.Harness {
				proxy := netfault.New(t, server.Addr())
				s := newStore(t, server.Addr())
				key := servertest.Namespace(t) + "/" + suffix
				doc := key
				if strings.HasSuffix(key, "/") {
					doc += "one"
				}
				return configtest.Harness{
					Source:       func() config.Source { return consul.Source(proxy.Addr(), key) },
					Set:          func(v string) { s.put(doc, v) },
					Delete:       func() { s.delete(doc) },
					Down:         func() { proxy.Refuse(); proxy.Reset() },
					Up:           proxy.Heal,
					Requests:     func() int { return proxy.Counts().Requests },
					Idle:         2 * time.Second,
					IdleRequests: 1,
				}
			})
		})
	}
}

func TestAChangeIsSeenThoughPollingIsSetToAnHour(t *testing.T) {
	leak.Check(t)
	server := servertest.SharedConsul(t)
	s := newStore(t, server.Addr())
	key := servertest.Namespace(t) + "/app"
	s.put(key, `{"n":1}`)
	c, err := config.New(config.WithSource(consul.Source(server.Addr(), key), config.Poll(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.put(key, `{"n":2}`)
	configtest.Eventually(t, 30*time.Second, "the change", func() bool { return c.Get("n").Int(0) == 2 })
	s.delete(key)
	configtest.Eventually(t, 30*time.Second, "the deletion", func() bool { return errors.Is(c.Health().Err(), config.ErrNotFound) })
}

func TestConsulThatRestartsKeepsTheValuesAndRecovers(t *testing.T) {
	server := servertest.Consul(t)
	s := newStore(t, server.Addr())
	s.put("app", `{"n":1}`)
	c, err := config.New(config.WithSource(consul.Source(server.Addr(), "app")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server.Kill()
	configtest.Eventually(t, 30*time.Second, "Health says that it is unavailable", func() bool { return errors.Is(c.Health().Err(), config.ErrUnavailable) })
	if c.Get("n").Int(0) != 1 {
		t.Errorf("n = %v while consul is unavailable", c.Get("n"))
	}
	server.Restart() // an agent in development mode comes back empty, its index starts over
	configtest.Eventually(t, 30*time.Second, "a write works", func() bool {
		_, err := s.conn.KV().Put(&api.KVPair{Key: "app", Value: []byte(`{"n":2}`)}, nil)
		return err == nil
	})
	configtest.Eventually(t, 30*time.Second, "the new value", func() bool { return c.Get("n").Int(0) == 2 && c.Health().OK })
}

func TestKeysBelowMergeInTheOrderOfTheirNames(t *testing.T) {
	server := servertest.SharedConsul(t)
	s := newStore(t, server.Addr())
	ns := servertest.Namespace(t)
	s.put(ns+"/10", "a: 1\nb: 1\n")
	s.put(ns+"/20/deep", "b: 2")
	s.put(ns+"/30/", "") // a folder
	s.put(ns+"x", "a: 99")
	e, err := engine.Open(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c, err := config.New(config.WithSource(consul.On(e, ns+"/", consul.WithFormat(yaml.Format{}))))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := string(c.Snapshot().Bytes()); got != `{"a":1,"b":2}` {
		t.Errorf("got %s", got)
	}
	if o, _ := c.Snapshot().Origin("b"); o.Part != "20/deep" || o.Line != 1 || o.Revision == "" || o.Source != "consul "+server.Addr()+" "+ns+"/" {
		t.Errorf("Origin of b: %+v", o)
	}
}

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	for name, s := range map[string]config.Source{
		"no key": consul.Source("127.0.0.1:1", ""), "slash": consul.Source("127.0.0.1:1", "/a"), "address": consul.Source("ftp://me:hunter2@x", "a"),
		"option": consul.Source("127.0.0.1:1", "a", nil), "format": consul.Source("127.0.0.1:1", "a", consul.WithFormat(nil)),
		"engine": consul.On(nil, "a"), "client": consul.On(engine.FromClient(nil), "a"),
	} {
		_, err := config.New(config.WithSource(s))
		if !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	_, err := config.New(config.WithSource(consul.Source("consul://:hunter2@127.0.0.1:1", "a")), config.WithTimeout(time.Second))
	if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody listens: got %v, want ErrUnavailable with the address", err)
	}
}
