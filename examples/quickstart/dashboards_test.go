package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

const folder = "../../dashboards/"

// Every panel of the dashboards has something to show, and every metric that the
// rules name is there, in a Prometheus that scrapes the quickstart.
func TestDashboardsShowTheQuickstart(t *testing.T) {
	c, err := newCluster(t.Context(), &backends{}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var rules []string
	for _, name := range []string{"recording.yml", "alerts.yml"} {
		path, err := filepath.Abs(folder + name)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, path)
	}
	p := servertest.Prometheus(t, servertest.WithTargets(append(c.scraped(), others(t))...), servertest.WithRules(rules...))
	load, err := c.load(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	defer load.stop()
	defer again(func() error {
		lock, err := c.held.Lock(t.Context(), "again")
		if err != nil {
			return err
		}
		if resp, err := c.client.w.Client().Get("http://nobody/"); err == nil {
			resp.Body.Close()
		}
		return lock.Unlock(t.Context())
	})(t)
	// When an instance's server is gone, calls fail and are sent again, and its breaker
	// opens. Its heartbeats go on: of one that leaves the registry the failures are no
	// longer shown, whoever has come to look by then.
	p.AwaitProm(t, `count(rate(http_server_request_duration_seconds_count{http_route="/hello/{name}"}[1m]) > 0)`, func(got []servertest.PromSample) bool { return len(got) == 1 && got[0].Value == "3" })
	if err := c.instances["greeter-3"].server.Close(); err != nil {
		t.Fatal(err)
	}
	var pending []asked
	for _, file := range []string{"service.json", "router.json", "messaging.json"} {
		pending = append(pending, queries(t, file)...)
	}
	if len(pending) < 70 {
		t.Errorf("%d queries, want those of all dashboards", len(pending))
	}
	for end := time.Now().Add(2 * time.Minute); len(pending) > 0 && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		pending = slices.DeleteFunc(pending, func(q asked) bool { return q.shows(t, p) })
	}
	for _, q := range pending {
		t.Errorf("%s shows nothing, or nothing under the legend %q: %s", q.panel, q.legend, q.expr)
	}
	evaluated(t, p)
}

// shows reports whether a series has a number, and one each label of the legend.
func (q asked) shows(t *testing.T, p *servertest.Server) bool {
	t.Helper()
	var got struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := p.Prom(&got, "query", "query", q.expr); err != nil {
		t.Fatalf("%s: %v", q.expr, err)
	}
	missing := regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.legend, -1)
	number := false
	for _, s := range got.Result {
		number = number || s.Value[1] != "NaN" // 0/0
		missing = slices.DeleteFunc(missing, func(label []string) bool { return s.Metric[label[1]] != "" })
	}
	return number && len(missing) == 0
}

type asked struct{ panel, expr, legend string }

// queries returns what a dashboard asks for, with everything chosen.
func queries(t *testing.T, file string) (all []asked) {
	t.Helper()
	b, err := os.ReadFile(folder + file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	chosen := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$service", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, asked{file + " " + p.Title, chosen.Replace(target.Expr), target.LegendFormat})
		}
	}
	return all
}

// evaluated fails the test for a rule that can't be evaluated, or that names a
// metric that nobody has.
func evaluated(t *testing.T, p *servertest.Server) {
	t.Helper()
	var have []string
	if err := p.Prom(&have, "label/__name__/values"); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Groups []struct {
			Rules []struct{ Name, Query, Health, LastError, State string }
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if err := p.Prom(&got, "rules"); err != nil {
			t.Fatal(err)
		}
		unknown := 0
		for _, g := range got.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					unknown++
				}
			}
		}
		if len(got.Groups) == 6 && unknown == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of the rules of %d groups were not evaluated within 20 s", unknown, len(got.Groups))
		}
	}
	metric := regexp.MustCompile(`\b(?:platform|http|rpc|messaging|db|go|process|job:)[a-z0-9_:]*_[a-z0-9_:]+\b`)
	labels := regexp.MustCompile(`\{[^}]*\}|by \([^)]*\)`)
	for _, g := range got.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" || r.LastError != "" {
				t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
			query := labels.ReplaceAllStringFunc(r.Query, func(s string) string {
				if strings.Contains(s, "__name__") {
					s, _, _ = strings.Cut(s, `",`)
					return s
				}
				return ""
			})
			for _, name := range metric.FindAllString(query, -1) {
				if !slices.Contains(have, name) {
					t.Errorf("%s: nobody has the metric %s", r.Name, name)
				}
			}
		}
	}
}

// others is what the quickstart has not: gRPC, callers who are refused, handlers
// that are late, calls without a budget. It returns where it is scraped.
func others(t *testing.T) string {
	m, err1 := metrics.New()
	limit, err2 := limits.TokenBucket(1e-9, 1)
	w, err3 := wrapper.New(wrapper.WithName("others"), wrapper.WithMetrics(m), wrapper.WithServerTimeout(time.Millisecond), wrapper.WithGate(gate{limit}))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /late", func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done(); rw.WriteHeader(200) })
	mux.HandleFunc("GET /limited", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /broken", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) })
	outer := http.NewServeMux()
	outer.Handle("/", w.Handler(mux))
	outer.Handle("GET /metrics", prometheus.Handler(m))
	web := httptest.NewServer(outer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer(wgrpc.ServerOptions(w)...)
	healthpb.RegisterHealthServer(rpc, lateHealth{health.NewServer()})
	go rpc.Serve(l)
	conn, err := grpc.NewClient(l.Addr().String(), append(wgrpc.DialOptions(w), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	stop := again(func() error {
		for _, url := range []string{web.URL + "/late", web.URL + "/limited", web.URL + "/broken", "http://127.0.0.1:1/"} {
			if resp, err := w.Client().Get(url); err == nil {
				resp.Body.Close()
			}
		}
		for service, want := range map[string]codes.Code{"nobody": codes.NotFound, "late": codes.DeadlineExceeded} {
			_, err := healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{Service: service})
			if code := status.Code(err); code != want && code != codes.DeadlineExceeded { // as all may be on a busy machine
				return fmt.Errorf("gRPC: %w, want %v", err, want)
			}
		}
		return nil
	})
	t.Cleanup(func() {
		stop(t)
		conn.Close()
		rpc.Stop()
		web.Close()
		w.Close(context.Background())
	})
	return strings.TrimPrefix(web.URL, "http://")
}

// again calls f until stop is called, or it fails: a rate needs two scrapes.
func again(f func() error) (stop func(t *testing.T)) {
	enough, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-enough:
				ended <- nil
				return
			case <-tick.C:
			}
			if err := f(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return func(t *testing.T) {
		t.Helper()
		close(enough)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// lateHealth answers after the deadline if it is asked for "late".
type lateHealth struct{ *health.Server }

func (h lateHealth) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if r.Service == "late" {
		<-ctx.Done()
		return &healthpb.HealthCheckResponse{}, nil
	}
	return h.Server.Check(ctx, r)
}

// gate limits one path.
type gate struct{ limit limits.Limiter }

func (g gate) Enter(ctx context.Context, c *wrapper.Call) (context.Context, error) {
	if c.Resource != "/limited" {
		return ctx, nil
	}
	_, err := g.limit.Acquire(ctx)
	return ctx, err
}

func (gate) Leave(context.Context, *wrapper.Call) {}
