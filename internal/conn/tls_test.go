package conn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/relay"
	"github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/engine/nats"
	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/log/logstash"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/log/syslog"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/zipkin"
)

const secret = "hunter2hunter2"

// natsHello is what a server of NATS says first.
const natsHello = "INFO {\"server_id\":\"a\",\"version\":\"2.11.0\",\"auth_required\":true,\"max_payload\":1048576}\r\n"

// asked is how a program asks for TLS: not at all, or with a configuration,
// which may be nil.
type asked struct {
	want bool
	conf *tls.Config
}

func with[O any](t asked, withTLS func(*tls.Config) O, rest ...O) []O {
	if t.want {
		rest = append(rest, withTLS(t.conf))
	}
	return rest
}

// closed closes what was opened; its errors are not of interest.
func closed[C interface{ Close() error }](c C, err error) error {
	if err == nil {
		_ = c.Close()
	}
	return err
}

func flushed[C interface{ Close(context.Context) error }](c C, err error) error {
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.Close(ctx)
}

const limit = 3 * time.Second

// backends are all that have a WithTLS. plain is the scheme of an address
// without TLS; refuses, that the contradiction of the two is an error. hello is
// what a server says first.
type backend struct {
	name, plain, path string
	refuses           bool
	hello             string
	open              func(addr string, t asked) error
}

var backends = slices.Concat(
	encrypted(backend{plain: "redis://"}, onRedis, func(a string, t asked) (*redis.Engine, error) {
		return redis.Open(a, with(t, redis.WithTLS, redis.WithAuth("bob", secret))...)
	}),
	encrypted(backend{plain: "etcd://"}, onEtcd, func(a string, t asked) (*etcd.Engine, error) {
		return etcd.Open(a, with(t, etcd.WithTLS, etcd.WithAuth("bob", secret))...)
	}),
	encrypted(backend{plain: "postgres://bob:" + secret + "@", path: "/d", hello: "N"}, onSQL, openSQL),
	encrypted(backend{plain: "mysql://bob:" + secret + "@", path: "/d", hello: mysqlHello}, onSQL, openSQL),
	encrypted(backend{plain: "nats://", hello: natsHello}, onNATS, func(a string, t asked) (*nats.Engine, error) {
		return nats.Open(a, with(t, nats.WithTLS, nats.WithAuth("bob", secret))...)
	}),
	encrypted(backend{plain: "consul://"}, onConsul, func(a string, t asked) (*consul.Engine, error) {
		return consul.Open(a, with(t, consul.WithTLS, consul.WithToken(secret))...)
	}),
	remaining,
)

func openSQL(addr string, t asked) (*sql.Engine, error) {
	return sql.Open(addr, with(t, sql.WithTLS)...)
}

var remaining = []backend{
	{name: "kv/memcached", plain: "memcached://", open: func(a string, t asked) error {
		return closed(kv.New(memcached.Backend(a, with(t, memcached.WithTLS)...), kv.WithTimeout(limit)))
	}},
	{name: "discovery/relay", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return closed(discovery.New(relay.Backend(a, with(t, relay.WithTLS, relay.WithHeader("Authorization", "Bearer "+secret))...), discovery.WithTimeout(limit)))
	}},
	{name: "db/elastic", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return closed(db.New(elastic.Backend(a, with(t, elastic.WithTLS, elastic.WithAuth("bob", secret))...), db.WithTimeout(limit)))
	}},
	{name: "db/cassandra", plain: "cassandra://", path: "/k", open: func(a string, t asked) error {
		return closed(db.New(cassandra.Backend(a, with(t, cassandra.WithTLS, cassandra.WithAuth("bob", secret))...), db.WithTimeout(limit)))
	}},
	{name: "log/otlp", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return logged(logotlp.Backend(a, with(t, engineotlp.WithTLS, engineotlp.WithHeader("Authorization", "Bearer "+secret))...))
	}},
	{name: "log/fluentd", plain: "tcp://", refuses: true, open: func(a string, t asked) error {
		return logged(fluentd.Backend(a, "tag", with(t, fluentd.WithTLS)...))
	}},
	{name: "log/logstash", plain: "tcp://", refuses: true, open: func(a string, t asked) error {
		return logged(logstash.Backend(a, with(t, logstash.WithTLS)...))
	}},
	{name: "log/syslog", plain: "tcp://", refuses: true, open: func(a string, t asked) error {
		return logged(syslog.Backend(a, with(t, syslog.WithTLS)...))
	}},
	{name: "trace/otlp", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return traced(otlp.Backend(a, with(t, engineotlp.WithTLS, engineotlp.WithHeader("Authorization", "Bearer "+secret))...))
	}},
	{name: "trace/otlp over gRPC", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return traced(otlp.Backend(a, append(with(t, engineotlp.WithTLS, engineotlp.WithHeader("Authorization", "Bearer "+secret)), otlpgrpc.Transport())...))
	}},
	{name: "trace/zipkin", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return traced(zipkin.Backend(a, with(t, zipkin.WithTLS, zipkin.WithHeader("Authorization", "Bearer "+secret))...))
	}},
	{name: "metrics/otlp", plain: "http://", refuses: true, open: func(a string, t asked) error {
		m, err := metrics.New(metricsotlp.Backend(a, with(t, engineotlp.WithTLS, engineotlp.WithHeader("Authorization", "Bearer "+secret))...))
		return flushed(m, err)
	}},
	{name: "metrics/prometheus", plain: "http://", refuses: true, open: func(a string, t asked) error {
		return flushed(metrics.New(prometheus.Backend(a, "job", with(t, prometheus.WithTLS, prometheus.WithAuth("bob", secret))...)))
	}},
}

func logged(backend log.Option) error {
	l, err := log.New(backend)
	if err != nil {
		return err
	}
	l.Logger("a").Info("the payload is " + secret)
	return flushed(l, nil)
}

func traced(backend trace.Option) error {
	tr, err := trace.New(backend)
	if err != nil {
		return err
	}
	_, span := tr.Start(context.Background(), "op")
	span.End()
	return flushed(tr, nil)
}

// tap is a listener that records what arrives, greets and hangs up.
type tap struct {
	net.Listener
	wg       stdsync.WaitGroup
	mu       stdsync.Mutex
	received strings.Builder
	accepted int
}

func newTap(t *testing.T, hello string) *tap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // not on the test's goroutine
	}
	p := &tap{Listener: l}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c, hello) })
		}
	})
	t.Cleanup(func() { l.Close(); p.wg.Wait() })
	return p
}

func (p *tap) serve(c net.Conn, hello string) {
	defer c.Close()
	p.mu.Lock()
	p.accepted++
	p.mu.Unlock()
	_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if hello != "N" {
		_, _ = io.WriteString(c, hello)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		p.mu.Lock()
		p.received.Write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
		if hello == "N" { // PostgreSQL without TLS, which it says when asked
			_, _ = io.WriteString(c, hello)
			hello = ""
		}
	}
}

func (p *tap) heard() (accepted int, bytes string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted, p.received.String()
}

func TestNilTLSConfigurationIsRefusedByEveryBackend(t *testing.T) {
	t.Parallel()
	var wg stdsync.WaitGroup
	defer wg.Wait() // the cases wait for timeouts, so all run at once
	for _, b := range backends {
		wg.Go(func() {
			p := newTap(t, b.hello)
			err := b.open(b.plain+p.Addr().String()+b.path, asked{true, nil})
			if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "nil TLS configuration") {
				t.Errorf("%s: got %v, want invalid: nil TLS configuration", b.name, err)
			}
			if n, got := p.heard(); n > 0 {
				t.Errorf("%s: it connected and sent %q", b.name, got)
			}
		})
	}
}

// What a backend sends when TLS was asked for begins with a handshake, which
// the listener does not answer, whatever scheme the address has.
func TestNothingIsSentInClearWhenTLSWasAskedFor(t *testing.T) {
	t.Parallel()
	var wg stdsync.WaitGroup
	defer wg.Wait() // the cases wait for timeouts, so all run at once
	for _, b := range backends {
		schemes := map[string]string{"plain scheme": b.plain}
		if b.path == "" && b.name != "discovery/relay" {
			schemes["no scheme"] = ""
		}
		for name, scheme := range schemes {
			wg.Go(func() {
				p := newTap(t, b.hello)
				var err error
				var n int
				var got string
				for end := time.Now().Add(time.Minute); n == 0 && time.Now().Before(end); { // once, but on a busy machine
					err = b.open(scheme+p.Addr().String()+b.path, asked{true, &tls.Config{InsecureSkipVerify: true}})
					if err == nil {
						t.Errorf("%s, %s: opened on a server that speaks no TLS", b.name, name)
					}
					n, got = p.heard()
					if b.refuses && scheme != "" {
						break
					}
				}
				if b.refuses && scheme != "" {
					if !errors.Is(err, fault.Invalid) || n > 0 {
						t.Errorf("%s: got %v after %d connections, want invalid: TLS contradicts %s", b.name, err, n, scheme)
					}
					return
				}
				if n == 0 {
					t.Errorf("%s, %s: it did not connect: %v", b.name, name, err)
				}
				if strings.Contains(got, secret) || strings.Contains(got, "bob") || clear(got, b.hello) {
					t.Errorf("%s, %s: in clear: %q", b.name, name, got)
				}
			})
		}
	}
}

// The twin: without TLS the same program sends in clear, so that what is not
// seen above could have been seen.
func TestListenerSeesWhatIsSentInClear(t *testing.T) {
	t.Parallel()
	var wg stdsync.WaitGroup
	defer wg.Wait() // the cases wait for timeouts, so all run at once
	for _, b := range backends {
		wg.Go(func() {
			p := newTap(t, b.hello)
			for end := time.Now().Add(time.Minute); ; { // once, but on a busy machine
				_ = b.open(b.plain+p.Addr().String()+b.path, asked{})
				_, got := p.heard()
				if clear(got, b.hello) {
					return
				}
				if time.Now().After(end) {
					t.Errorf("%s: the listener saw %q", b.name, got)
					return
				}
			}
		})
	}
}

// clear reports whether bytes that a client sent are not the beginning of a
// TLS handshake.
func clear(sent, hello string) bool {
	if hello == "N" {
		sent = strings.ReplaceAll(sent, "\x00\x00\x00\x08\x04\xd2\x16\x2f", "") // PostgreSQL: may I speak TLS?
	}
	return sent != "" && sent[0] != 0x16
}

func TestRedirectsStayOnOneSchemeAndHost(t *testing.T) {
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	var to string
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			return
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	defer secure.Close()
	client := secure.Client()
	client.CheckRedirect = conn.SameOrigin
	for target, followed := range map[string]bool{"/here": true, other.URL: false, "http" + strings.TrimPrefix(secure.URL, "https"): false, "/there": false} {
		to = target
		req, _ := http.NewRequest(http.MethodGet, secure.URL, nil)
		req.Header.Set("Authorization", secret)
		resp, err := client.Do(req)
		if (err == nil) != followed {
			t.Errorf("redirect to %s: %v, want followed = %v", target, err, followed)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	if len(seen) > 0 {
		t.Errorf("the other server got %q", seen)
	}
}

// mysqlHello is the greeting of a MySQL server without TLS.
var mysqlHello = func() string {
	greeting := "\x0a8.0.0\x00" + "\x01\x00\x00\x00" + "12345678\x00" + "\x01\xf2" + "\x2d\x02\x00" + "\x08\x00" + "\x15" + strings.Repeat("\x00", 10) + "123456789012\x00mysql_native_password\x00"
	return string([]byte{byte(len(greeting)), 0, 0, 0}) + greeting
}()

// The parameters of a mysql:// URL decide as those of a DSN do: a server
// without TLS gets no login from a client that was told to use it.
func TestMySQLURLsAskForTLSByParameter(t *testing.T) {
	for query, inClear := range map[string]bool{"": true, "?tls=true": false, "?tls=skip-verify": false} {
		p := newTap(t, mysqlHello)
		for end := time.Now().Add(time.Minute); ; { // once, but on a busy machine
			err := closed(db.New(dbsql.MySQL("mysql://bob:"+secret+"@"+p.Addr().String()+"/d"+query), db.WithTimeout(limit)))
			if err == nil {
				t.Errorf("%q: opened", query)
			}
			_, got := p.heard()
			if strings.Contains(got, "bob") == inClear {
				break
			}
			if !inClear || time.Now().After(end) {
				t.Errorf("%q: %v, the listener saw %q, want a login in clear: %v", query, err, got, inClear)
				break
			}
		}
	}
}
