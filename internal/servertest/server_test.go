package servertest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// timed logs how long a step took.
func timed(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
}

func TestServersComeBack(t *testing.T) {
	for name, boot := range map[string]func(testing.TB, ...Option) *Server{
		"redis": Redis, "memcached": Memcached, "nats": NATS, "mariadb": MariaDB, "postgres": Postgres,
		"statsd_exporter": StatsdExporter, "telegraf": Telegraf, "collector": Collector, "fluentd": Fluentd, "oidc": OIDC, "statsd": Statsd, "rsyslog": Rsyslog,
		"prometheus": Prometheus, // TestEtcdAndConsulKeepTheirData has those two; Zipkin keeps nothing; db/cassandra, db/elastic and event/kafka restart the others of Java
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *Server
			timed(t, "ready", func() { s = boot(t) })
			comeBack(t, s)
			timed(t, "stopped", s.Stop)
			if s.Running() {
				t.Error("it runs after Stop")
			}
		})
	}
}

func comeBack(t *testing.T, s *Server) {
	t.Helper()
	addr, pid := s.Addr(), s.PID()
	s.Kill()
	if s.Running() {
		t.Error("it runs after Kill")
	}
	timed(t, "killed and ready again", s.Restart)
	if err := s.spec.ready(s); err != nil {
		t.Errorf("it doesn't serve after Restart: %v", err)
	}
	if s.Addr() != addr || s.PID() == pid {
		t.Errorf("after Restart: got process %d at %s, want another than %d at %s", s.PID(), s.Addr(), pid, addr)
	}
}

func TestPausedServerIsSilent(t *testing.T) {
	for name, boot := range map[string]func(testing.TB, ...Option) *Server{"redis": Redis, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := boot(t)
			s.Pause()
			if err := s.spec.ready(s); err == nil {
				t.Error("it answers while paused")
			}
			s.Resume()
			if err := s.await(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSharedServersAreOne(t *testing.T) {
	for name, share := range map[string]func(testing.TB) *Server{"redis": SharedRedis, "memcached": SharedMemcached, "nats": SharedNATS} {
		t.Run(name, func(t *testing.T) {
			var a *Server
			timed(t, "ready", func() { a = share(t) })
			if b := share(t); a != b {
				t.Errorf("the second call got another server: %s, want %s", b.Addr(), a.Addr())
			}
		})
	}
}

func TestClustersFailOver(t *testing.T) {
	for name, boot := range map[string]func(t *testing.T) (leader func() *Server, servers []*Server){
		"etcd": func(t *testing.T) (func() *Server, []*Server) {
			c := EtcdCluster(t)
			followers(t, c)
			return c.Leader, c.Members
		},
		"consul": func(t *testing.T) (func() *Server, []*Server) { c := ConsulCluster(t); return c.Leader, c.Members },
		"redis cluster": func(t *testing.T) (func() *Server, []*Server) {
			c := RedisCluster(t, WithReplicas(1))
			return func() *Server { return c.Owner("key") }, c.Members
		},
		"redis sentinel": func(t *testing.T) (func() *Server, []*Server) { r := RedisSentinel(t); return r.Leader, r.Members },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var leader func() *Server
			var members []*Server
			timed(t, "ready", func() { leader, members = boot(t) })
			first := leader()
			if first == nil {
				t.Fatal("no leader")
			}
			first.Kill()
			timed(t, "another leader", func() {
				eventually(t, "another member leads", func() bool { next := leader(); return next != nil && next != first })
			})
			timed(t, "back", first.Restart)
			for _, m := range members {
				if !m.Running() {
					t.Errorf("%s has ended:\n%s", m.Addr(), m.Log())
				}
			}
		})
	}
}

// followers looks at those of a whole cluster, and of one that has lost a follower, which
// comes back.
func followers(t *testing.T, c *Cluster) {
	all := c.Followers()
	if len(all) != 2 || all[0] == c.Leader() || all[1] == c.Leader() {
		t.Fatalf("got %v as followers of %v", addrs(all), c.Leader().Addr())
	}
	all[0].Kill()
	if got := len(c.Followers()); got != 1 {
		t.Errorf("with one killed: got %d followers, want 1", got)
	}
	all[0].Restart()
}

func TestRedisKeepsWhatItWasAskedTo(t *testing.T) {
	for name, test := range map[string]struct {
		opts []Option
		want any
	}{
		"nothing":       {nil, nil},
		"with its file": {[]Option{WithAOF()}, "value"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Redis(t, test.opts...)
			if _, err := s.resp("SET", "key", "value"); err != nil {
				t.Fatal(err)
			}
			s.Kill()
			s.Restart()
			if got, err := s.resp("GET", "key"); err != nil || got != test.want {
				t.Errorf("after a restart: got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestEtcdAndConsulKeepTheirData(t *testing.T) {
	t.Run("etcd", func(t *testing.T) {
		t.Parallel()
		s := Etcd(t)
		const key = `{"key":"a2V5","value":"dmFsdWU="}` // key, value
		if _, err := s.request(http.MethodPost, "client", "/v3/kv/put", key); err != nil {
			t.Fatal(err)
		}
		comeBack(t, s)
		if got, err := s.request(http.MethodPost, "client", "/v3/kv/range", key[:len(`{"key":"a2V5"`)]+"}"); err != nil || !strings.Contains(got, "dmFsdWU=") {
			t.Errorf("after a restart: got %s, %v", got, err)
		}
	})
	t.Run("consul", func(t *testing.T) {
		t.Parallel()
		s := Consul(t)
		if body, err := s.request(http.MethodPut, "http", "/v1/kv/key", "value"); err != nil {
			t.Fatal(body, err)
		}
		comeBack(t, s)
		if got, err := s.get("http", "/v1/kv/key?raw"); err != nil || got != "value" {
			t.Errorf("after a restart: got %q, %v; want value", got, err)
		}
	})
}

func TestWithArgs(t *testing.T) {
	s := Redis(t, WithArgs("--requirepass", "secret"))
	if _, err := s.resp("PING"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("without the password: got %v, want NOAUTH", err)
	}
}

func TestUnknownPortPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an unknown port's name didn't panic")
		}
	}()
	SharedRedis(t).AddrOf("nonsense")
}
