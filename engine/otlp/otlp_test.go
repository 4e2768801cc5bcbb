package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/trace"
	traceotlp "github.com/micro/go-platform/trace/otlp"
)

func TestMain(m *testing.M) { leak.Main(m) }

// receiver is an HTTP server that counts its connections and keeps where requests
// went and with what.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	conns int
	seen  []string
}

func newReceiver(t *testing.T, lacks ...string) *receiver {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, req.URL.Path+" "+req.Header.Get("X-Scope-OrgID"))
		if slices.Contains(lacks, req.URL.Path) {
			http.NotFound(w, req)
		}
	}))
	r.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.mu.Lock()
			r.conns++
			r.mu.Unlock()
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

// all are the requests that came, without repetitions.
func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := slices.Clone(r.seen)
	slices.Sort(s)
	return slices.Compact(s)
}

func TestSignalsShareAnEngine(t *testing.T) {
	leak.Check(t)
	for path, want := range map[string][]string{
		"":      {"/v1/logs shop", "/v1/metrics shop", "/v1/traces shop"},
		"/":     {"/v1/logs shop", "/v1/metrics shop", "/v1/traces shop"},
		"/in/x": {"/in/x/v1/logs shop", "/in/x/v1/metrics shop", "/in/x/v1/traces shop"},
	} {
		r := newReceiver(t)
		e, err := otlp.Open(r.URL+path, otlp.WithHeader("X-Scope-OrgID", "shop"), otlp.WithService("orders"))
		if err != nil {
			t.Fatal(err)
		}
		send(t, logotlp.On(e), metricsotlp.On(e), traceotlp.On(e))
		if got := r.all(); !slices.Equal(got, want) {
			t.Errorf("%q: requests %q, want %q", path, got, want)
		}
		if r.conns != 1 {
			t.Errorf("%q: %d connections for requests one after another, want 1", path, r.conns)
		}
		err = e.Ping(t.Context())
		if err != nil {
			t.Errorf("%q: Ping after the others were closed: %v", path, err)
		}
		for range 2 {
			err := e.Close()
			if err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		r.Close()
	}
}

// An address that one signal was given alone is its own, as it was written.
func TestBackendsOfTheirOwn(t *testing.T) {
	leak.Check(t)
	r := newReceiver(t)
	send(t, logotlp.Backend(r.URL+"/a"), metricsotlp.Backend(r.URL+"/b"), traceotlp.Backend(r.URL))
	if got, want := r.all(), []string{"/a ", "/b ", "/v1/traces "}; !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// send opens all three one after another, which asks for a sign of life, and closes
// them.
func send(t *testing.T, l log.Option, m metrics.Option, tr trace.Option) {
	t.Helper()
	logs, err := log.New(l)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close(context.Background())
	numbers, err := metrics.New(m)
	if err != nil {
		t.Fatal(err)
	}
	defer numbers.Close(context.Background())
	spans, err := trace.New(tr)
	if err != nil {
		t.Fatal(err)
	}
	defer spans.Close(context.Background())
}

func TestPingNeedsOneSignal(t *testing.T) {
	for name, c := range map[string]struct {
		lacks []string
		kind  error
	}{
		"all":     {nil, nil},
		"traces":  {[]string{"/v1/metrics", "/v1/logs"}, nil},
		"logs":    {[]string{"/v1/traces", "/v1/metrics"}, nil},
		"nothing": {[]string{"/v1/traces", "/v1/metrics", "/v1/logs"}, errors.New("no signal")},
	} {
		r := newReceiver(t, c.lacks...)
		e, err := otlp.Open(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Ping(t.Context())
		if (err == nil) != (c.kind == nil) || errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		r.Close()
		err = e.Ping(t.Context())
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s, after its end: %v, want ErrUnavailable", name, err)
		}
		e.Close()
	}
}

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []otlp.Option
	}{
		"empty": {"", nil}, "scheme": {"kafka://h", nil}, "nil option": {"h", []otlp.Option{nil}}, "nil client": {"h", []otlp.Option{otlp.WithClient(nil)}},
		"nil TLS": {"h", []otlp.Option{otlp.WithTLS(nil)}}, "header": {"h", []otlp.Option{otlp.WithHeader("a b", "s3cret")}}, "port": {"http://u:s3cret@h:x", nil},
		"request": {"h", []otlp.Option{otlp.WithMaxRequest(1023)}},
	} {
		_, err := otlp.Open(c.addr, c.opts...)
		if !errors.Is(err, engine.ErrInvalid) || strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
	}
	_, err := log.New(logotlp.On(nil))
	if !errors.Is(err, log.ErrInvalid) {
		t.Errorf("log on a nil engine: %v, want ErrInvalid", err)
	}
	_, err = metrics.New(metricsotlp.On(nil))
	if !errors.Is(err, metrics.ErrInvalid) {
		t.Errorf("metrics on a nil engine: %v, want ErrInvalid", err)
	}
	_, err = trace.New(traceotlp.On(nil))
	if !errors.Is(err, trace.ErrInvalid) {
		t.Errorf("trace on a nil engine: %v, want ErrInvalid", err)
	}
}

func ExampleOpen() {
	collector := httptest.NewServer(http.NotFoundHandler()) // in the place of a collector
	defer collector.Close()

	e, err := otlp.Open(collector.URL, otlp.WithService("orders"), otlp.WithHeader("X-Scope-OrgID", "shop"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := log.New(logotlp.On(e), log.WithLazy()) // WithLazy: start before the collector does
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close(context.Background())
	tr, err := trace.New(traceotlp.On(e), trace.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tr.Close(context.Background())
	fmt.Println(l.Stats()[0].Output, tr.Stats().Reporters[0].Reporter)
	// Output: otlp otlp
}
