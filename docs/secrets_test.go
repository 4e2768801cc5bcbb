package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/jwt"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/dns"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/discovery/relay"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/log/logstash"
	"github.com/micro/go-platform/log/syslog"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/metrics/statsd"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	dsync "github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/zipkin"
)

// opener opens a backend at an address and uses it once.
type opener func(ctx context.Context, addr string, l *slog.Logger) error

const soon = 300 * time.Millisecond

func openKV(f func(string) kv.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		_, err := kv.New(f(addr), kv.WithDialTimeout(soon), kv.WithTimeout(soon), kv.WithLogger(l))
		lazy, lazyErr := kv.New(f(addr), kv.WithTimeout(soon), kv.WithLogger(l), kv.WithLazy())
		if lazyErr != nil {
			return errors.Join(err, lazyErr)
		}
		_, getErr := lazy.Get(ctx, "k")
		return errors.Join(err, getErr, lazy.Close())
	}
}

func openSync(f func(string) dsync.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		_, err := dsync.New(f(addr), dsync.WithTimeout(soon), dsync.WithLogger(l))
		return err
	}
}

func openDiscovery(f func(string) discovery.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		_, err := discovery.New(f(addr), discovery.WithTimeout(soon), discovery.WithLogger(l))
		return err
	}
}

func openEvent(f func(string) event.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		_, err := event.New(f(addr), event.WithDialTimeout(soon), event.WithTimeout(soon), event.WithLogger(l))
		return err
	}
}

func openDB(f func(string) db.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		_, err := db.New(f(addr), db.WithTimeout(soon), db.WithLogger(l))
		return err
	}
}

func openConfig(f func(string) config.Source) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		c, err := config.New(config.WithSource(f(addr), config.Optional()), config.WithTimeout(soon), config.WithLogger(l))
		if err != nil {
			return err
		}
		health := fmt.Errorf("%+v %v", c.Health(), c.Health().Err())
		return errors.Join(health, c.Reload(ctx), c.Close())
	}
}

func openTrace(f func(string) trace.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		t, err := trace.New(f(addr), trace.WithLogger(l))
		if err != nil {
			return err
		}
		_, span := t.Start(ctx, "s")
		span.End()
		ctx, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		return errors.Join(t.Flush(ctx), t.Close(ctx))
	}
}

func openLog(f func(string) log.Option) opener {
	return func(ctx context.Context, addr string, _ *slog.Logger) error {
		l, err := log.New(f(addr))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		l.Logger("n").Info("m")
		return errors.Join(l.Flush(ctx), l.Close(ctx))
	}
}

func openMetrics(f func(string) metrics.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		m, err := metrics.New(f(addr), metrics.WithLogger(l))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		return errors.Join(m.Flush(ctx), m.Close(ctx))
	}
}

func openAuth(f func(string) auth.Option) opener {
	return func(ctx context.Context, addr string, l *slog.Logger) error {
		a, err := auth.New(f(addr), auth.WithService("s"), auth.WithLogger(l))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		_, verifyErr := a.Verify(ctx, "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJpIn0.AAAA")
		return errors.Join(verifyErr, a.Close())
	}
}

// openers are all backends that take an address, with the schemes that it has.
var openers = []struct {
	name    string
	schemes string
	open    opener
}{
	{"kv/redis", "redis rediss", openKV(func(a string) kv.Option { return kvredis.Backend(a) })},
	{"kv/nats", "nats tls", openKV(func(a string) kv.Option { return kvnats.Backend(a) })},
	{"kv/etcd", "etcd etcds http", openKV(func(a string) kv.Option { return kvetcd.Backend(a) })},
	{"kv/consul", "consul consuls http", openKV(func(a string) kv.Option { return kvconsul.Backend(a) })},
	{"kv/memcached", "memcached memcacheds", openKV(func(a string) kv.Option { return memcached.Backend(a) })},
	{"kv/sql mysql", "mysql", openKV(func(a string) kv.Option { return kvsql.MySQL(a) })},
	{"kv/sql postgres", "postgres postgresql", openKV(func(a string) kv.Option { return kvsql.Postgres(a) })},
	{"sync/redis", "redis rediss", openSync(func(a string) dsync.Option { return syncredis.Backend(a) })},
	{"sync/redis quorum", "redis", openSync(func(a string) dsync.Option { return syncredis.Quorum(a, a+"1", "127.0.0.1:1") })},
	{"sync/etcd", "etcd etcds", openSync(func(a string) dsync.Option { return syncetcd.Backend(a) })},
	{"sync/consul", "consul consuls", openSync(func(a string) dsync.Option { return syncconsul.Backend(a) })},
	{"sync/sql mysql", "mysql", openSync(func(a string) dsync.Option { return syncsql.MySQL(a) })},
	{"sync/sql postgres", "postgres postgresql", openSync(func(a string) dsync.Option { return syncsql.Postgres(a) })},
	{"discovery/redis", "redis rediss", openDiscovery(func(a string) discovery.Option { return discoveryredis.Backend(a) })},
	{"discovery/etcd", "etcd etcds", openDiscovery(func(a string) discovery.Option { return discoveryetcd.Backend(a) })},
	{"discovery/kubernetes", "kubernetes https http", openDiscovery(func(a string) discovery.Option { return discoverykubernetes.Backend(a) })},
	{"discovery/consul", "consul consuls", openDiscovery(func(a string) discovery.Option { return discoveryconsul.Backend(a) })},
	{"discovery/sql mysql", "mysql", openDiscovery(func(a string) discovery.Option { return discoverysql.MySQL(a) })},
	{"discovery/sql postgres", "postgres postgresql", openDiscovery(func(a string) discovery.Option { return discoverysql.Postgres(a) })},
	{"discovery/relay", "http https", openDiscovery(func(a string) discovery.Option { return relay.Backend(a) })},
	{"discovery/dns", "dns", openDiscovery(func(a string) discovery.Option { return dns.Backend("example.com", dns.WithServer(a)) })},
	{"event/redis", "redis rediss", openEvent(func(a string) event.Option { return eventredis.Backend(a) })},
	{"event/nats", "nats tls", openEvent(func(a string) event.Option { return eventnats.Backend(a) })},
	{"event/rabbitmq", "amqp amqps", openEvent(func(a string) event.Option { return eventrabbitmq.Backend(a) })},
	{"event/kafka", "kafka kafkas", openEvent(func(a string) event.Option { return eventkafka.Backend(a) })},
	{"event/sql mysql", "mysql", openEvent(func(a string) event.Option { return eventsql.MySQL(a) })},
	{"event/sql postgres", "postgres postgresql", openEvent(func(a string) event.Option { return eventsql.Postgres(a) })},
	{"db/sql mysql", "mysql", openDB(func(a string) db.Option { return dbsql.MySQL(a) })},
	{"db/sql postgres", "postgres postgresql", openDB(func(a string) db.Option { return dbsql.Postgres(a) })},
	{"db/elastic", "http https", openDB(func(a string) db.Option { return elastic.Backend(a) })},
	{"db/cassandra", "cassandra", openDB(func(a string) db.Option { return cassandra.Backend(a, cassandra.WithTimeout(soon)) })},
	{"config/etcd", "etcd etcds", openConfig(func(a string) config.Source { return configetcd.Source(a, "k") })},
	{"config/consul", "consul consuls", openConfig(func(a string) config.Source { return configconsul.Source(a, "k") })},
	{"config/url", "http https", openConfig(func(a string) config.Source { return url.Source(a) })},
	{"trace/zipkin", "http https", openTrace(func(a string) trace.Option { return zipkin.Backend(a) })},
	{"trace/otlp", "http https", openTrace(func(a string) trace.Option { return otlp.Backend(a) })},
	{"otlp/otlpgrpc", "http https", openTrace(func(a string) trace.Option { return otlp.Backend(a, otlpgrpc.Transport()) })},
	{"log/fluentd", "tcp tls", openLog(func(a string) log.Option { return fluentd.Backend(a, "t") })},
	{"log/logstash", "tcp tls udp", openLog(func(a string) log.Option { return logstash.Backend(a) })},
	{"log/syslog", "tcp tls udp", openLog(func(a string) log.Option { return syslog.Backend(a) })},
	{"metrics/prometheus", "http https", openMetrics(func(a string) metrics.Option { return prometheus.Backend(a, "j") })},
	{"metrics/statsd", "udp tcp", openMetrics(func(a string) metrics.Option { return statsd.Backend(a) })},
	{"auth/oauth2", "http https", openAuth(func(a string) auth.Option { return oauth2.Backend(a) })},
	{"auth/jwt", "http https", openAuth(func(a string) auth.Option {
		return jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL(a, nil)})
	})},
}

// addresses hold the secret in every place where people put one, in addresses
// that are well and in such that are not. Nobody answers at any.
func addresses(scheme string) []string {
	all := []string{
		"bob:hunter2@127.0.0.1:1", ":hunter2@127.0.0.1:1", "hunter2@127.0.0.1:1",
	}
	for _, a := range []string{
		"bob:hunter2@127.0.0.1:1/x", ":hunter2@127.0.0.1:1/0", "hunter2@127.0.0.1:1", "bob:hunter2@127.0.0.1:1,127.0.0.1:2", "bob:hunter2@@127.0.0.1:1/x", "bob:p@hunter2@127.0.0.1:1/x",
		"bob:p%40hunter2@127.0.0.1:1/x", "bob:hunter2%zz@127.0.0.1:1/x", "bob:hunter2@127.0.0.1:port/x", "bob:hunter2@[::1/x", "bob:hunter2 x@127.0.0.1:1", "bob:x/hunter2@127.0.0.1:1/x", "bob:x#hunter2@127.0.0.1:1", "bob:x?hunter2@127.0.0.1:1",
		"127.0.0.1:1/x?password=hunter2", "127.0.0.1:1/x?token=hunter2", "127.0.0.1:1/x?token=hunter2&y=%zz", "127.0.0.1:1/x?sslpassword=hunter2", "127.0.0.1:99999/?api_key=hunter2", "bob:hunter2@", "bob:hunter2@127.0.0.1:1\x7f",
	} {
		all = append(all, scheme+"://"+a)
	}
	all = append(all, scheme+":/bob:hunter2@127.0.0.1:1", "other://bob:hunter2@127.0.0.1:1")
	switch scheme {
	case "mysql":
		all = append(all, "bob:hunter2@tcp(127.0.0.1:1)/db", "bob:p@hunter2@tcp(127.0.0.1:1)/db", "bob:hunter2@tcp(127.0.0.1:1)", "bob:hunter2@tcp(127.0.0.1:1)/db?parseTime=maybe", "bob:hunter2@nope(127.0.0.1:1)/db", "bob:hunter2@tcp(127.0.0.1:1/db", "bob:x/hunter2@tcp(127.0.0.1:1)/db", "bob:hunter2@/db?charset=hunter2x&tls=no-such")
	case "postgres":
		all = append(all, "host=127.0.0.1 port=1 user=bob password=hunter2", "host=127.0.0.1 port=x user=bob password=hunter2", "host=127.0.0.1 port=1 password='hunter2", "host=127.0.0.1 port=1 password=hunter2 connect_timeout=soon", "password = hunter2 host=127.0.0.1 port=1 sslmode=wrong", `host=127.0.0.1 port=1 password='a \'hunter2' sslmode=disable`, "host=127.0.0.1 port=1 sslpassword=hunter2 sslmode=wrong", "host=127.0.0.1 password=hunter2 nonsense")
	}
	return all
}

// written is a logger's output.
type written struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// No backend repeats a secret of its address, in errors or logs, whether the
// address can be read or not.
func TestSecretsInAddressesAreNotRepeated(t *testing.T) {
	for _, o := range openers {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			refused := 0
			for _, scheme := range strings.Fields(o.schemes) {
				for _, addr := range addresses(scheme) {
					if strings.HasPrefix(addr, "postgres") && strings.Contains(addr, "//hunter2@") {
						continue // a user's name, which the server's driver says in errors
					}
					var out written
					err := o.open(t.Context(), addr, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
					if err != nil {
						refused++
					}
					if text := fmt.Sprintf("%v %+v %s", err, err, out.b.String()); strings.Contains(text, "hunter2") {
						t.Errorf("%q: %s", addr, text)
					}
				}
			}
			if refused == 0 {
				t.Error("no address was refused: are they tried?")
			}
		})
	}
}
