package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	configkv "github.com/micro/go-platform/config/kv"
	"github.com/micro/go-platform/db"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/discovery/static"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	eventredis "github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
	syncredis "github.com/micro/go-platform/sync/redis"
	"github.com/micro/go-platform/trace"
	traceotlp "github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/wrapper"
)

func redis(t *testing.T) string { return servertest.SharedRedis(t).Addr() }

// receiver is an OTLP server that takes everything.
func receiver(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	return u.Host
}

func closing(t *testing.T, close func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		close(ctx)
	})
}

func store(t *testing.T, addr, namespace string) kv.KV {
	s := must[kv.KV](t)(kv.New(kv.WithNamespace(namespace), kvredis.Backend(addr)))
	t.Cleanup(func() { s.Close() })
	return s
}

// What a load makes a package hold must be complete within seconds, on a slow machine
// too, and be small beside what flat allows: more calls a second must not look like a leak.
var loads = []load{
	{"kv", redis, func(t *testing.T, addr string) func(context.Context, int64) error {
		s := store(t, addr, "soak")
		go func() { // a watch that outlives the faults
			for range s.Watch(t.Context(), "") {
			}
		}()
		return func(ctx context.Context, n int64) error {
			key := fmt.Sprint(n % 100)
			if _, err := s.Put(ctx, key, make([]byte, 100), kv.TTL(time.Minute)); err != nil {
				return err
			}
			_, err := s.Get(ctx, key)
			return err
		}
	}},
	{"event", redis, func(t *testing.T, addr string) func(context.Context, int64) error {
		s := must[event.Stream](t)(event.New(event.WithNamespace("soak"), eventredis.Backend(addr), event.WithRetention(event.Retention{Count: 1000})))
		closing(t, s.Close)
		for _, opts := range [][]event.SubscribeOption{{event.Group("soak")}, {}} {
			must[event.Subscription](t)(s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, opts...))
		}
		return func(ctx context.Context, n int64) error {
			return s.Publish(ctx, &event.Record{Type: "soak", Data: make([]byte, 100)})
		}
	}},
	{"sync", redis, func(t *testing.T, addr string) func(context.Context, int64) error {
		s := must[dsync.Sync](t)(dsync.New(dsync.WithNamespace("soak"), syncredis.Backend(addr)))
		t.Cleanup(func() { s.Close() })
		return func(ctx context.Context, n int64) error {
			l, err := s.Lock(ctx, fmt.Sprint(n%10), dsync.TTL(3*time.Second))
			if err != nil {
				return err
			}
			return l.Unlock(ctx)
		}
	}},
	{"discovery", redis, func(t *testing.T, addr string) func(context.Context, int64) error {
		d := must[discovery.Discovery](t)(discovery.New(discovery.WithNamespace("soak"), discoveryredis.Backend(addr)))
		t.Cleanup(func() { d.Close() })
		return func(ctx context.Context, n int64) error {
			r, err := d.Register(ctx, discovery.Instance{Service: "s", Address: fmt.Sprintf("h:%d", 1+n%60000)})
			if err != nil {
				return err
			}
			_, err = d.Get(ctx, "s")
			return errors.Join(err, r.Deregister(ctx))
		}
	}},
	{"config", redis, func(t *testing.T, addr string) func(context.Context, int64) error {
		s := store(t, addr, "soak-config")
		if _, err := s.Put(t.Context(), "c", []byte(`{"n":0}`)); err != nil {
			t.Fatal(err)
		}
		c := must[config.Config](t)(config.New(config.WithSource(configkv.Source(s, "c"))))
		t.Cleanup(func() { c.Close() })
		must[func()](t)(c.Subscribe("n", func(context.Context, config.Change) (func(), error) { return func() {}, nil }))
		return func(ctx context.Context, n int64) error {
			if n%50 == 0 {
				if _, err := s.Put(ctx, "c", fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
					return err
				}
			}
			c.Get("n").Int(0)
			return nil
		}
	}},
	{"monitor", redis, func(t *testing.T, addr string) func(context.Context, int64) error {
		s := store(t, addr, "soak-monitor")
		m := must[monitor.Monitor](t)(monitor.New(monitor.WithService("s"), monitor.WithInterval(time.Second), monitorkv.Backend(s)))
		closing(t, m.Close)
		return func(_ context.Context, n int64) error {
			m.Observe(monitor.Endpoint{Method: fmt.Sprint(n % 1000)}, time.Millisecond, nil)
			m.Cluster().View("s")
			return nil
		}
	}},
	{"db", nil, func(t *testing.T, _ string) func(context.Context, int64) error {
		e := must[*enginesql.Engine](t)(enginesql.Open("sqlite:" + filepath.Join(t.TempDir(), "soak.db")))
		d := must[db.DB](t)(db.New(dbsql.On(e)))
		t.Cleanup(func() { d.Close(); e.Close() })
		table := must[db.Table](t)(d.Table(t.Context(), "things", db.TTL(time.Minute)))
		return func(ctx context.Context, n int64) error {
			r := &db.Record{ID: fmt.Sprint(n % 200), Data: make([]byte, 100), Metadata: map[string]any{"n": n}}
			if err := table.Update(ctx, r, db.Upsert()); err != nil {
				return err
			}
			_, err := table.Search(ctx, db.Limit(5))
			return err
		}
	}},
	{"log", receiver, func(t *testing.T, addr string) func(context.Context, int64) error {
		l := must[log.Log](t)(log.New(logotlp.Backend("http://" + addr)))
		closing(t, l.Close)
		logger := l.Logger("soak")
		return func(_ context.Context, n int64) error { logger.Info("a record", "n", n); return nil }
	}},
	{"metrics", receiver, func(t *testing.T, addr string) func(context.Context, int64) error {
		m := must[metrics.Metrics](t)(metrics.New(metricsotlp.Backend("http://"+addr), metrics.WithInterval(time.Second), metrics.WithIdle(10*time.Second)))
		closing(t, m.Close)
		calls := m.CounterVec("calls_total", []string{"who"})
		return func(_ context.Context, n int64) error { calls.With(fmt.Sprint(n % 500)).Inc(); return nil }
	}},
	{"trace", receiver, func(t *testing.T, addr string) func(context.Context, int64) error {
		tr := must[trace.Tracer](t)(trace.New(traceotlp.Backend("http://" + addr)))
		closing(t, tr.Close)
		return func(ctx context.Context, n int64) error {
			_, s := tr.Start(ctx, "soak")
			s.End()
			return nil
		}
	}},
	{"auth", nil, func(t *testing.T, _ string) func(context.Context, int64) error {
		authority := auth.NewAuthority()
		orders := must[auth.Auth](t)(auth.New(auth.Local(authority), auth.WithService("orders"),
			auth.WithRules(auth.Rule{ID: "all", Effect: auth.Allow, Subjects: []string{"*"}})))
		front := must[auth.Auth](t)(auth.New(auth.Local(authority), auth.WithService("front")))
		t.Cleanup(func() { orders.Close(); front.Close() })
		return func(ctx context.Context, n int64) error {
			token, err := front.Token(ctx, auth.Audience("orders"), auth.Scopes(fmt.Sprint("s", n%500)))
			if err != nil {
				return err
			}
			ctx = auth.ContextWithCredential(ctx, auth.Credential{Value: token.AccessToken})
			if _, err := orders.Authorized(ctx, auth.Request{Service: "orders", Action: "GET", Resource: fmt.Sprint("/", n)}); err != nil {
				return err
			}
			if n%2 == 0 {
				// forgotten two seconds later: a revocation outlives its token by MaxLeeway
				return orders.Revoke(ctx, &auth.Token{ID: fmt.Sprint(n), ExpiresAt: time.Now().Add(2*time.Second - auth.MaxLeeway)})
			}
			return nil
		}
	}},
	{"router and wrapper", receiver, func(t *testing.T, addr string) func(context.Context, int64) error {
		d := must[discovery.Discovery](t)(discovery.New(static.Backend(
			discovery.Instance{ID: "a", Service: "s", Address: addr}, discovery.Instance{ID: "b", Service: "s", Address: receiver(t)})))
		t.Cleanup(func() { d.Close() })
		r := must[router.Router](t)(router.New(router.WithDiscovery(d)))
		closing(t, r.Close)
		m := must[metrics.Metrics](t)(metrics.New())
		w := must[*wrapper.Wrapper](t)(wrapper.New(wrapper.WithName("soak"), wrapper.WithRouter(r), wrapper.WithMetrics(m)))
		closing(t, w.Close)
		client := w.Client()
		return func(ctx context.Context, n int64) error {
			req, err := http.NewRequestWithContext(ctx, "GET", "http://s/x", nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			io.Copy(io.Discard, resp.Body)
			return resp.Body.Close()
		}
	}},
}
