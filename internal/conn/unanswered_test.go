package conn_test

import (
	stdtls "crypto/tls"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/db"
	dbcassandra "github.com/micro/go-platform/db/cassandra"
	dbelastic "github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/discovery/relay"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvmemcached "github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/log/logstash"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/metrics/prometheus"
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

// made is what a constructor returned, as far as this test goes.
func made[T any](_ T, err error) error { return err }

const soon = time.Second

// constructors by what their errors begin with; addr is host:port. router,
// monitor and wrapper have no server of their own.
var constructors = map[string]struct {
	unavailable error
	open        func(addr string) error
}{
	"auth/oauth2": {auth.ErrUnavailable, func(a string) error {
		return made(auth.New(oauth2.Backend("http://"+a, oauth2.WithCredentials("id", "secret"), oauth2.WithInsecure()), auth.WithAnyAudience(), auth.WithDialTimeout(soon)))
	}},
	"config": {config.ErrUnavailable, func(a string) error {
		return made(config.New(config.WithSource(configetcd.Source(a, "k")), config.WithTimeout(soon)))
	}},
	"config ": {config.ErrUnavailable, func(a string) error {
		return made(config.New(config.WithSource(configconsul.Source(a, "k")), config.WithTimeout(soon)))
	}},
	"db/postgres": {db.ErrUnavailable, func(a string) error {
		return made(db.New(dbsql.Postgres("postgres://u:p@"+a+"/d"), db.WithDialTimeout(soon)))
	}},
	"db/mysql": {db.ErrUnavailable, func(a string) error {
		return made(db.New(dbsql.MySQL("mysql://u:p@"+a+"/d"), db.WithDialTimeout(soon)))
	}},
	"db/cassandra": {db.ErrUnavailable, func(a string) error { return made(db.New(dbcassandra.Backend(a), db.WithDialTimeout(soon))) }},
	"db/elastic":   {db.ErrUnavailable, func(a string) error { return made(db.New(dbelastic.Backend(a), db.WithDialTimeout(soon))) }},
	"discovery/consul": {discovery.ErrUnavailable, func(a string) error {
		return made(discovery.New(discoveryconsul.Backend(a), discovery.WithDialTimeout(soon)))
	}},
	"discovery/kubernetes": {discovery.ErrUnavailable, func(a string) error {
		return made(discovery.New(discoverykubernetes.Backend(a), discovery.WithDialTimeout(soon)))
	}},
	"discovery/etcd": {discovery.ErrUnavailable, func(a string) error {
		return made(discovery.New(discoveryetcd.Backend(a), discovery.WithDialTimeout(soon)))
	}},
	"discovery/redis": {discovery.ErrUnavailable, func(a string) error {
		return made(discovery.New(discoveryredis.Backend(a), discovery.WithDialTimeout(soon)))
	}},
	"discovery/postgres": {discovery.ErrUnavailable, func(a string) error {
		return made(discovery.New(discoverysql.Postgres("postgres://u:p@"+a+"/d"), discovery.WithDialTimeout(soon)))
	}},
	"discovery/relay": {discovery.ErrUnavailable, func(a string) error {
		return made(discovery.New(relay.Backend("http://"+a), discovery.WithDialTimeout(soon)))
	}},
	"event/nats":  {event.ErrUnavailable, func(a string) error { return made(event.New(eventnats.Backend(a), event.WithDialTimeout(soon))) }},
	"event/redis": {event.ErrUnavailable, func(a string) error { return made(event.New(eventredis.Backend(a), event.WithDialTimeout(soon))) }},
	"event/postgres": {event.ErrUnavailable, func(a string) error {
		return made(event.New(eventsql.Postgres("postgres://u:p@"+a+"/d"), event.WithDialTimeout(soon)))
	}},
	"kv/consul":    {kv.ErrUnavailable, func(a string) error { return made(kv.New(kvconsul.Backend(a), kv.WithDialTimeout(soon))) }},
	"kv/nats":      {kv.ErrUnavailable, func(a string) error { return made(kv.New(kvnats.Backend(a), kv.WithDialTimeout(soon))) }},
	"kv/etcd":      {kv.ErrUnavailable, func(a string) error { return made(kv.New(kvetcd.Backend(a), kv.WithDialTimeout(soon))) }},
	"kv/memcached": {kv.ErrUnavailable, func(a string) error { return made(kv.New(kvmemcached.Backend(a), kv.WithDialTimeout(soon))) }},
	"kv/redis":     {kv.ErrUnavailable, func(a string) error { return made(kv.New(kvredis.Backend(a), kv.WithDialTimeout(soon))) }},
	"kv/postgres": {kv.ErrUnavailable, func(a string) error {
		return made(kv.New(kvsql.Postgres("postgres://u:p@"+a+"/d"), kv.WithDialTimeout(soon)))
	}},
	"log/otlp":     {log.ErrUnavailable, func(a string) error { return made(log.New(logotlp.Backend("http://"+a), log.WithDialTimeout(soon))) }},
	"log/fluentd":  {log.ErrUnavailable, func(a string) error { return made(log.New(fluentd.Backend(a, "tag"), log.WithDialTimeout(soon))) }},
	"log/logstash": {log.ErrUnavailable, func(a string) error { return made(log.New(logstash.Backend(a), log.WithDialTimeout(soon))) }},
	"metrics/otlp": {metrics.ErrUnavailable, func(a string) error {
		return made(metrics.New(metricsotlp.Backend("http://"+a), metrics.WithDialTimeout(soon)))
	}},
	"metrics/prometheus": {metrics.ErrUnavailable, func(a string) error {
		return made(metrics.New(prometheus.Backend(a, "job"), metrics.WithDialTimeout(soon)))
	}},
	"sync/consul": {dsync.ErrUnavailable, func(a string) error { return made(dsync.New(syncconsul.Backend(a), dsync.WithDialTimeout(soon))) }},
	"sync/etcd":   {dsync.ErrUnavailable, func(a string) error { return made(dsync.New(syncetcd.Backend(a), dsync.WithDialTimeout(soon))) }},
	"sync/redis":  {dsync.ErrUnavailable, func(a string) error { return made(dsync.New(syncredis.Backend(a), dsync.WithDialTimeout(soon))) }},
	"sync/postgres": {dsync.ErrUnavailable, func(a string) error {
		return made(dsync.New(syncsql.Postgres("postgres://u:p@"+a+"/d"), dsync.WithDialTimeout(soon)))
	}},
	"trace/otlp": {trace.ErrUnavailable, func(a string) error { return made(trace.New(otlp.Backend("http://"+a), trace.WithDialTimeout(soon))) }},
	"trace/otlp ": {trace.ErrUnavailable, func(a string) error {
		return made(trace.New(otlp.Backend(a, otlpgrpc.Transport()), trace.WithDialTimeout(soon)))
	}},
	"trace/zipkin": {trace.ErrUnavailable, func(a string) error { return made(trace.New(zipkin.Backend("http://"+a), trace.WithDialTimeout(soon))) }},
}

// A server that isn't there, and one that accepts and never answers, are the
// same to a user of any package: its ErrUnavailable, said once, in one form.
func TestAServerThatDoesNotAnswer(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, c := range constructors {
		for what, addr := range map[string]string{"gone": gone.Addr().String(), "silent": silent.Addr().String()} {
			if what == "silent" && strings.HasPrefix(name, "log/") {
				continue // nothing answers in these protocols before there are records
			}
			t.Run(strings.TrimSpace(name)+"/"+what, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				err := c.open(addr)
				if !errors.Is(err, c.unavailable) {
					t.Fatalf("got %v, want ErrUnavailable", err)
				}
				text := err.Error()
				form := regexp.MustCompile(`^` + strings.TrimSpace(name) + `: new: backend unavailable: .`)
				if !form.MatchString(text) || strings.Count(text, "backend unavailable") != 1 || strings.Contains(text, "\n") {
					t.Errorf("got  %s\nwant %s", text, form)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}

// TLS where the server has none, and none where it has, say so. Servers that
// begin to talk before TLS does, of MySQL and NATS, say it themselves; and
// logstash answers nothing.
func TestTLSThatDoesNotMatch(t *testing.T) {
	quiet := stdlog.New(io.Discard, "", 0)
	tlsPort := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsPort.Config.ErrorLog = quiet
	tlsPort.StartTLS()
	t.Cleanup(tlsPort.Close)
	plainPort := httptest.NewUnstartedServer(http.NotFoundHandler())
	plainPort.Config.ErrorLog = quiet
	plainPort.Start()
	t.Cleanup(plainPort.Close)
	for name, open := range map[string]func(within time.Duration, tls bool, addr string) error{
		"auth/oauth2": func(soon time.Duration, s bool, a string) error {
			return made(auth.New(oauth2.Backend(url("http", s, a), oauth2.WithCredentials("id", "secret"), oauth2.WithInsecure()), auth.WithAnyAudience(), auth.WithDialTimeout(soon)))
		},
		"config/etcd": func(soon time.Duration, s bool, a string) error {
			return made(config.New(config.WithSource(configetcd.Source(url("etcd", s, a), "k")), config.WithTimeout(soon)))
		},
		"config/consul": func(soon time.Duration, s bool, a string) error {
			return made(config.New(config.WithSource(configconsul.Source(url("consul", s, a), "k")), config.WithTimeout(soon)))
		},
		"db/postgres": func(soon time.Duration, s bool, a string) error {
			return made(db.New(dbsql.Postgres("postgres://u:p@"+a+"/d?sslmode="+map[bool]string{true: "require", false: "disable"}[s]), db.WithDialTimeout(soon)))
		},
		"db/cassandra": func(soon time.Duration, s bool, a string) error {
			return made(db.New(dbcassandra.Backend(a, secured(s, dbcassandra.WithTLS)...), db.WithDialTimeout(soon)))
		},
		"db/elastic": func(soon time.Duration, s bool, a string) error {
			return made(db.New(dbelastic.Backend(url("http", s, a)), db.WithDialTimeout(soon)))
		},
		"discovery/consul": func(soon time.Duration, s bool, a string) error {
			return made(discovery.New(discoveryconsul.Backend(url("consul", s, a)), discovery.WithDialTimeout(soon)))
		},
		"discovery/kubernetes": func(soon time.Duration, s bool, a string) error {
			return made(discovery.New(discoverykubernetes.Backend(url("http", s, a)), discovery.WithDialTimeout(soon)))
		},
		"discovery/etcd": func(soon time.Duration, s bool, a string) error {
			return made(discovery.New(discoveryetcd.Backend(url("etcd", s, a)), discovery.WithDialTimeout(soon)))
		},
		"discovery/redis": func(soon time.Duration, s bool, a string) error {
			return made(discovery.New(discoveryredis.Backend(url("redis", s, a)), discovery.WithDialTimeout(soon)))
		},
		"discovery/relay": func(soon time.Duration, s bool, a string) error {
			return made(discovery.New(relay.Backend(url("http", s, a)), discovery.WithDialTimeout(soon)))
		},
		"event/redis": func(soon time.Duration, s bool, a string) error {
			return made(event.New(eventredis.Backend(url("redis", s, a)), event.WithDialTimeout(soon)))
		},
		"event/postgres": func(soon time.Duration, s bool, a string) error {
			return made(event.New(eventsql.Postgres("postgres://u:p@"+a+"/d?sslmode="+map[bool]string{true: "require", false: "disable"}[s]), event.WithDialTimeout(soon)))
		},
		"kv/consul": func(soon time.Duration, s bool, a string) error {
			return made(kv.New(kvconsul.Backend(url("consul", s, a)), kv.WithDialTimeout(soon)))
		},
		"kv/etcd": func(soon time.Duration, s bool, a string) error {
			return made(kv.New(kvetcd.Backend(url("etcd", s, a)), kv.WithDialTimeout(soon)))
		},
		"kv/memcached": func(soon time.Duration, s bool, a string) error {
			return made(kv.New(kvmemcached.Backend(url("memcached", s, a)), kv.WithDialTimeout(soon)))
		},
		"kv/redis": func(soon time.Duration, s bool, a string) error {
			return made(kv.New(kvredis.Backend(url("redis", s, a)), kv.WithDialTimeout(soon)))
		},
		"log/otlp": func(soon time.Duration, s bool, a string) error {
			return made(log.New(logotlp.Backend(url("http", s, a)), log.WithDialTimeout(soon)))
		},
		"metrics/otlp": func(soon time.Duration, s bool, a string) error {
			return made(metrics.New(metricsotlp.Backend(url("http", s, a)), metrics.WithDialTimeout(soon)))
		},
		"metrics/prometheus": func(soon time.Duration, s bool, a string) error {
			return made(metrics.New(prometheus.Backend(url("http", s, a), "job"), metrics.WithDialTimeout(soon)))
		},
		"sync/consul": func(soon time.Duration, s bool, a string) error {
			return made(dsync.New(syncconsul.Backend(url("consul", s, a)), dsync.WithDialTimeout(soon)))
		},
		"sync/etcd": func(soon time.Duration, s bool, a string) error {
			return made(dsync.New(syncetcd.Backend(url("etcd", s, a)), dsync.WithDialTimeout(soon)))
		},
		"sync/redis": func(soon time.Duration, s bool, a string) error {
			return made(dsync.New(syncredis.Backend(url("redis", s, a)), dsync.WithDialTimeout(soon)))
		},
		"trace/otlp": func(soon time.Duration, s bool, a string) error {
			return made(trace.New(otlp.Backend(url("http", s, a)), trace.WithDialTimeout(soon)))
		},
		"trace/otlp over gRPC": func(soon time.Duration, s bool, a string) error {
			return made(trace.New(otlp.Backend(url("http", s, a), otlpgrpc.Transport()), trace.WithDialTimeout(soon)))
		},
		"trace/zipkin": func(soon time.Duration, s bool, a string) error {
			return made(trace.New(zipkin.Backend(url("http", s, a)), trace.WithDialTimeout(soon)))
		},
	} {
		for what, secure := range map[string]bool{"TLS to a plain port": true, "plain to a TLS port": false} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				addr := tlsPort.Listener.Addr().String()
				if secure {
					addr = plainPort.Listener.Addr().String()
				}
				said := regexp.MustCompile(`(?i)tls|https`)
				for within := soon; ; within *= 4 { // a busy machine may need longer for an answer
					err := open(within, secure, addr)
					if err != nil && said.MatchString(strings.TrimPrefix(err.Error(), name)) {
						return
					}
					if err == nil || within > time.Minute {
						t.Fatalf("got %v, want a word of TLS", err)
					}
				}
			})
		}
	}
}

// url is an address with the scheme for TLS or that without.
func url(scheme string, tls bool, addr string) string {
	if tls {
		scheme += "s"
	}
	return scheme + "://" + addr
}

// secured is the option that asks for TLS, or none.
func secured[O any](tls bool, with func(*stdtls.Config) O) []O {
	if !tls {
		return nil
	}
	return []O{with(&stdtls.Config{MinVersion: stdtls.VersionTLS12})}
}
