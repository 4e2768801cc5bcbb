package servertest

import (
	"testing"
	"time"
)

func TestServers(t *testing.T) {
	tests := map[string]func(testing.TB, ...Option) *Server{
		"redis": Redis, "memcached": Memcached, "etcd": Etcd, "consul": Consul, "nats": NATS, "mariadb": MariaDB, "postgres": Postgres,
		"statsd_exporter": StatsdExporter, "telegraf": Telegraf, "collector": Collector, "fluentd": Fluentd, "oidc": OIDC, "statsd": Statsd, "rsyslog": Rsyslog,
		"zipkin": Zipkin, "opensearch": OpenSearch, "cassandra": Cassandra,
	}
	for name, boot := range tests {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			s := boot(t)
			t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
			s.Pause()
			s.Resume()
			s.Kill()
			began = time.Now()
			s.Restart()
			t.Logf("killed and ready again after %v", time.Since(began).Round(time.Millisecond))
			if err := s.spec.ready(s); err != nil {
				t.Errorf("after a restart: %v", err)
			}
			began = time.Now()
			s.Stop()
			t.Logf("stopped after %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

func TestSharedServers(t *testing.T) {
	tests := map[string]func(testing.TB) *Server{
		"redis": SharedRedis, "memcached": SharedMemcached, "etcd": SharedEtcd, "consul": SharedConsul, "nats": SharedNATS, "mariadb": SharedMariaDB, "postgres": SharedPostgres,
	}
	for name, share := range tests {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			a := share(t)
			t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
			if b := share(t); a != b {
				t.Errorf("the second call got another server: %s, want %s", b.Addr(), a.Addr())
			}
		})
	}
}

func TestClusters(t *testing.T) {
	t.Run("etcd", func(t *testing.T) { testCluster(t, EtcdCluster) })
	t.Run("consul", func(t *testing.T) { testCluster(t, ConsulCluster) })
	t.Run("redis cluster", func(t *testing.T) {
		began := time.Now()
		c := RedisCluster(t, WithReplicas(1))
		t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
		testFailover(t, func() *Server { return c.Owner("key") })
	})
	t.Run("redis sentinel", func(t *testing.T) {
		began := time.Now()
		r := RedisSentinel(t)
		t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
		testFailover(t, r.Leader)
	})
}

func testCluster(t *testing.T, boot func(testing.TB, ...Option) *Cluster) {
	began := time.Now()
	c := boot(t)
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	testFailover(t, c.Leader)
}

func testFailover(t *testing.T, leader func() *Server) {
	first := leader()
	if first == nil {
		t.Fatal("no leader")
	}
	first.Kill()
	began := time.Now()
	if !poll(20*time.Second, func() bool { next := leader(); return next != nil && next != first }) {
		t.Fatal("no other leader within 20 s")
	}
	t.Logf("another leader after %v", time.Since(began).Round(time.Millisecond))
	first.Restart()
}
