package prometheus_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
)

func fill(t testing.TB) metrics.Metrics {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	v := m.CounterVec("calls", []string{"method", "path"}, metrics.Help("Calls \\ of\n\"all\" kinds."))
	v.With("GET", "a\\b\"c\nd").Add(3)
	v.With("", "ä").Inc()
	m.Gauge("depth_bytes", metrics.Unit("bytes")).Set(-1.5e300)
	h := m.HistogramVec("took_seconds", []string{"m"}, metrics.Unit("seconds"), metrics.Buckets(.5, 1, 2e6))
	for _, x := range []float64{.25, 1, 3, 3e6} {
		h.With("x").Observe(x)
	}
	return m
}

const text = `# HELP calls_total Calls \\ of\n"all" kinds.
# TYPE calls_total counter
calls_total{path="ä"} 1
calls_total{method="GET",path="a\\b\"c\nd"} 3
# TYPE depth_bytes gauge
depth_bytes -1.5e+300
# TYPE took_seconds histogram
took_seconds_bucket{m="x",le="0.5"} 1
took_seconds_bucket{m="x",le="1"} 2
took_seconds_bucket{m="x",le="2e+06"} 3
took_seconds_bucket{m="x",le="+Inf"} 4
took_seconds_sum{m="x"} 3.00000425e+06
took_seconds_count{m="x"} 4
`

const openMetrics = `# HELP calls Calls \\ of\n\"all\" kinds.
# TYPE calls counter
calls_total{path="ä"} 1
calls_total{method="GET",path="a\\b\"c\nd"} 3
# TYPE depth_bytes gauge
# UNIT depth_bytes bytes
depth_bytes -1.5e+300
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{m="x",le="0.5"} 1
took_seconds_bucket{m="x",le="1.0"} 2
took_seconds_bucket{m="x",le="2e+06"} 3
took_seconds_bucket{m="x",le="+Inf"} 4
took_seconds_sum{m="x"} 3.00000425e+06
took_seconds_count{m="x"} 4
# EOF
`

func TestFormats(t *testing.T) {
	m := fill(t)
	s := m.Snapshot()
	protobuf := string(prometheus.AppendProtobuf(nil, &s))
	const asked = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	for _, c := range []struct{ accept, kind, body string }{
		{asked, prometheus.ProtobufType, protobuf},
		{asked + ",application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", prometheus.ProtobufType, protobuf},
		{asked + ";q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2", prometheus.ProtobufType, protobuf},
		{asked + ";q=0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2", prometheus.OpenMetricsType, openMetrics},
		{asked + ";q=0,*/*;q=0.1", prometheus.TextType, text},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text,*/*;q=0.1", prometheus.TextType, text},
		{"application/vnd.google.protobuf;proto=another.Family;encoding=delimited,*/*;q=0.1", prometheus.TextType, text},
		{"application/vnd.google.protobuf,*/*;q=0.1", prometheus.TextType, text},
		{"", prometheus.TextType, text},
		{"text/plain", prometheus.TextType, text},
		{"application/openmetrics-text; version=1.0.0", prometheus.OpenMetricsType, openMetrics},
		{"application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", prometheus.OpenMetricsType, openMetrics},
		{"text/plain;q=0.9,application/openmetrics-text;q=0.1", prometheus.TextType, text},
		{"application/openmetrics-text;q=0", prometheus.TextType, text},
		{"application/openmetrics-text;q=x", prometheus.TextType, text},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", c.accept)
		w := httptest.NewRecorder()
		prometheus.Handler(m).ServeHTTP(w, r)
		if got := w.Body.String(); got != c.body || w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%q: %s\n%s\nwant\n%s", c.accept, w.Header().Get("Content-Type"), got, c.body)
		}
	}
}

// The names of OpenTelemetry's conventions as Prometheus shows them.
func TestNamesAndUnitsOfOpenTelemetry(t *testing.T) {
	m, err := metrics.New(metrics.WithResource(metrics.Label{Key: "service.name", Value: "shop"}, metrics.Label{Key: "service.version", Value: ""}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	h := m.HistogramVec("http.server.request.duration", []string{"http.route", "error.type", "le"}, metrics.Unit("s"), metrics.Buckets(1))
	h.With("/a", "", "x").Observe(.5)
	m.UpDownCounterVec("http.server.active_requests", []string{"http.request.method"}, metrics.Unit("{request}")).With("").Add(2)
	m.Counter("net.io", metrics.Unit("By")).Add(7)
	m.Gauge("pool.use", metrics.Unit("1")).Set(.5)
	s := m.Snapshot()
	const rest = `http_server_active_requests 2
# TYPE http_server_request_duration_seconds histogram
UNIT# http_server_request_duration_seconds_bucket{http_route="/a",le_="x",le="1"} 1
http_server_request_duration_seconds_bucket{http_route="/a",le_="x",le="+Inf"} 1
http_server_request_duration_seconds_sum{http_route="/a",le_="x"} 0.5
http_server_request_duration_seconds_count{http_route="/a",le_="x"} 1
`
	body := strings.Replace(rest, "UNIT# ", "", 1)
	want := "# HELP target_info What the process is.\n# TYPE target_info gauge\ntarget_info{service_name=\"shop\"} 1\n" +
		"# TYPE http_server_active_requests gauge\n" + body +
		"# TYPE net_io_bytes_total counter\nnet_io_bytes_total 7\n# TYPE pool_use_ratio gauge\npool_use_ratio 0.5\n"
	if got := string(prometheus.AppendText(nil, &s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	body = strings.Replace(rest, "UNIT# ", "# UNIT http_server_request_duration_seconds seconds\n", 1)
	body = strings.Replace(body, `le="1"`, `le="1.0"`, 1)
	want = "# HELP target What the process is.\n# TYPE target info\ntarget_info{service_name=\"shop\"} 1\n" +
		"# TYPE http_server_active_requests gauge\n" + body +
		"# TYPE net_io_bytes counter\n# UNIT net_io_bytes bytes\nnet_io_bytes_total 7\n# TYPE pool_use_ratio gauge\n# UNIT pool_use_ratio ratio\npool_use_ratio 0.5\n# EOF\n"
	if got := string(prometheus.AppendOpenMetrics(nil, &s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestExemplarsAreOpenMetricsAlone(t *testing.T) {
	e := metrics.Exemplar{Value: .25, Time: time.UnixMilli(1700000000123), TraceID: [16]byte{1, 15: 255}, SpanID: [8]byte{7: 16}}
	s := metrics.Snapshot{Families: []metrics.Family{{Name: "h", Kind: metrics.KindHistogram, Bounds: []float64{1}, Series: []metrics.Series{
		{Buckets: []uint64{1, 2}, Exemplars: []metrics.Exemplar{e, {}}},
	}}}}
	want := `h_bucket{le="1.0"} 1 # {trace_id="010000000000000000000000000000ff",span_id="0000000000000010"} 0.25 1700000000.123` + "\n" + `h_bucket{le="+Inf"} 3` + "\n"
	if page := string(prometheus.AppendOpenMetrics(nil, &s)); !strings.Contains(page, want) {
		t.Errorf("%s", page)
	}
	if page := string(prometheus.AppendText(nil, &s)); strings.Contains(page, "trace_id") {
		t.Errorf("%s", page)
	}
}

func TestHandlerCompressesAndAnswersHeadAndOthers(t *testing.T) {
	h := prometheus.Handler(fill(t))
	do := func(method, encoding string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/metrics", nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := do("GET", "deflate, gzip;q=0.5")
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != text || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v", b, err)
	}
	if vary := w.Header().Get("Vary"); vary != "Accept, Accept-Encoding" {
		t.Errorf("it varies by %q", vary)
	}
	if w := do("GET", "gzip;q=0"); w.Body.String() != text || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("compressed against the client's will")
	}
	if w := do("HEAD", ""); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d, %q", w.Code, w.Body)
	}
	if w := do("POST", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", w.Code)
	}
}

// A handler keeps what it wrote of labels; its pages are as if it did not.
func TestPagesFollowTheSeries(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	h := prometheus.Handler(m)
	a, b := m.CounterVec("a", []string{"k", "l"}), m.HistogramVec("b", []string{"k"}, metrics.Buckets(1))
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		k, l := fmt.Sprint(r.IntN(9)), fmt.Sprint(r.IntN(2))
		switch r.IntN(4) {
		case 0:
			a.Delete(k, l)
		case 1:
			b.Delete(k)
		case 2:
			a.With(k, l).Inc()
		default:
			b.With(k).Observe(1)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		s := m.Snapshot()
		if want := string(prometheus.AppendText(nil, &s)); w.Body.String() != want {
			t.Fatalf("got\n%s\nwant\n%s", w.Body, want)
		}
	}
}

func TestNamesThatWouldMeetAreShownOnce(t *testing.T) {
	m, _ := metrics.New()
	defer m.Close(t.Context())
	m.Counter("a").Inc()
	m.Counter("a_total").Inc()
	m.Gauge("nan").Set(math.NaN())
	s := m.Snapshot()
	if page := string(prometheus.AppendText(nil, &s)); strings.Count(page, "# TYPE a_total") != 1 {
		t.Errorf("%s", page)
	}
}

// gateway is a push gateway that answers as told.
type gateway struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	bodies   []string
	code     int
}

func newGateway(t testing.TB) *gateway {
	g := &gateway{code: 200}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		defer g.mu.Unlock()
		user, _, _ := r.BasicAuth()
		g.requests = append(g.requests, r.Method+" "+r.URL.EscapedPath()+" "+user)
		g.bodies = append(g.bodies, string(b))
		w.WriteHeader(g.code)
		io.WriteString(w, "pushed metrics are invalid")
	}))
	t.Cleanup(g.Close)
	return g
}

func TestPush(t *testing.T) {
	g := newGateway(t)
	m, err := metrics.New(prometheus.Backend(g.URL, "nightly/job", prometheus.WithGroup(metrics.Label{Key: "instance", Value: "a b"}, metrics.Label{Key: "empty", Value: ""}), prometheus.WithAuth("ann", "s3cret"), prometheus.WithDelete()))
	if err != nil {
		t.Fatal(err)
	}
	m.Counter("rows_total").Add(7)
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := "/metrics/job@base64/bmlnaHRseS9qb2I/instance/a%20b/empty@base64/="
	want := "GET /-/ready ann,PUT " + path + " ann,PUT " + path + " ann,DELETE " + path + " ann"
	if got := strings.Join(g.requests, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if g.bodies[1] != "# TYPE rows_total counter\nrows_total 7\n" {
		t.Errorf("%q", g.bodies[1])
	}
}

// A gateway below a path is asked and pushed to there, with the type of what is pushed;
// Close leaves no connection of its own.
func TestPushBelowAPath(t *testing.T) {
	var mu sync.Mutex
	open, got := 0, ""
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 2000)) // more than is read of it
		mu.Lock()
		defer mu.Unlock()
		got += r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + "\n"
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open++
		case http.StateClosed:
			open--
		}
	}
	s.Start()
	defer s.Close()
	for _, c := range []struct{ path, want string }{
		{"", "GET /-/ready \nPUT /metrics/job/j " + prometheus.TextType + "\n"},
		{"/", "GET /-/ready \nPUT /metrics/job/j " + prometheus.TextType + "\n"},
		{"/a/b/", "GET /a/b/-/ready \nPUT /a/b/metrics/job/j " + prometheus.TextType + "\n"},
	} {
		m, err := metrics.New(prometheus.Backend(s.URL+c.path, "j"))
		if err != nil {
			t.Fatal(err)
		}
		m.Counter("n").Inc()
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		mu.Lock()
		if got != c.want {
			t.Errorf("below %q: %s, want %s", c.path, got, c.want)
		}
		got = ""
		mu.Unlock()
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		left := open
		mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open after Close", left)
		}
	}
}

func TestPushErrors(t *testing.T) {
	g := newGateway(t)
	m, err := metrics.New(prometheus.Backend(g.URL, "job"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	m.Counter("a").Inc()
	for code, unavailable := range map[int]bool{300: false, 400: false, 499: false, 500: true, 503: true} {
		g.mu.Lock()
		g.code = code
		g.mu.Unlock()
		if err := m.Flush(t.Context()); err == nil || errors.Is(err, metrics.ErrUnavailable) != unavailable {
			t.Errorf("%d: %v", code, err)
		}
	}
	if s := m.Stats().Exporters[0]; s.Errors != 5 || s.Dropped != 5 {
		t.Errorf("%+v", s)
	}
	for name, c := range map[string]struct {
		opt  metrics.Option
		want string
	}{
		"a user alone": {prometheus.Backend("http://ann@x", "j"), "password"},
		"address":      {prometheus.Backend("", "j"), "address"}, "job": {prometheus.Backend("x", ""), "without a job"}, "scheme": {prometheus.Backend("ftp://x", "j"), "scheme"},
		"nil": {prometheus.Backend("x", "j", nil), "option 1 is nil"}, "client": {prometheus.Backend("x", "j", prometheus.WithClient(nil)), "client"},
		"group": {prometheus.Backend("x", "j", prometheus.WithGroup(metrics.Label{Key: "job", Value: "x"})), "group label"},
		"TLS":   {prometheus.Backend("http://x", "j", prometheus.WithTLS(&tls.Config{})), "TLS"},
		"both":  {prometheus.Backend("x", "j", prometheus.WithTLS(&tls.Config{}), prometheus.WithClient(http.DefaultClient)), "client of your own"},
	} {
		if _, err := metrics.New(c.opt); !errors.Is(err, metrics.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	g.Close()
	if _, err := metrics.New(prometheus.Backend(g.URL, "job")); !errors.Is(err, metrics.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func ExampleBackend() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body)
			fmt.Println(r.Method, r.URL.Path)
		}
	}))
	defer gateway.Close()
	m, err := metrics.New(prometheus.Backend(gateway.URL, "nightly", prometheus.WithDelete()))
	if err != nil {
		panic(err)
	}
	m.Counter("rows_total").Add(7)
	if err := m.Close(context.Background()); err != nil { // pushes for the last time
		panic(err)
	}
	// Output: PUT /metrics/job/nightly
}
