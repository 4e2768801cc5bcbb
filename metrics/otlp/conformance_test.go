package otlp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/metricstest"
	"github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
)

// A point is a data point as the collector's receiver has it.
type point struct {
	AsInt          string
	AsDouble       float64
	Count          string
	Sum            float64
	BucketCounts   []string
	ExplicitBounds []float64

	StartTimeUnixNano, TimeUnixNano string
	Exemplars                       []exemplar
}

type exemplar struct {
	AsDouble        float64
	TimeUnixNano    string
	TraceID, SpanID string
}

func (p point) value() float64 {
	for _, s := range []string{p.AsInt, p.Count} {
		if s != "" {
			n, _ := strconv.ParseFloat(s, 64)
			return n
		}
	}
	return p.AsDouble
}

type kind struct {
	DataPoints             []point
	AggregationTemporality int
	IsMonotonic            bool
}

type metric struct {
	Name, Unit, Description string
	Sum, Gauge, Histogram   *kind
}

func (m metric) kind() *kind {
	for _, k := range []*kind{m.Sum, m.Gauge, m.Histogram} {
		if k != nil {
			return k
		}
	}
	return &kind{}
}

// received returns the metrics that the collector's receiver has of a service, in order.
func received(t testing.TB, s *servertest.Server, service string) (all []metric) {
	t.Helper()
	for _, line := range s.Lines("received") {
		var batch struct {
			Metrics struct {
				ResourceMetrics []struct {
					Resource     json.RawMessage
					ScopeMetrics []struct{ Metrics []metric }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &batch); err != nil {
			t.Fatal(err)
		}
		for _, r := range batch.Metrics.ResourceMetrics {
			if strings.Contains(string(r.Resource), `"`+service+`"`) {
				for _, sc := range r.ScopeMetrics {
					all = append(all, sc.Metrics...)
				}
			}
		}
	}
	return all
}

func TestConformanceOnTheCollector(t *testing.T) {
	for name, opts := range map[string][]engineotlp.Option{
		"protobuf": nil, "json": {engineotlp.WithJSON()}, "delta": {engineotlp.WithDelta()}, "grpc": {otlpgrpc.Transport()},
	} {
		t.Run(name, func(t *testing.T) {
			port := "otlphttp"
			if name == "grpc" {
				port = "otlpgrpc"
			}
			c := servertest.SharedCollector(t)
			n := 0
			metricstest.Run(t, metricstest.Harness{
				Backend: func(t testing.TB) (metrics.Option, func(testing.TB) map[string]float64) {
					n++
					service := fmt.Sprint("metrics-", name, "-", n)
					return otlp.Backend(c.AddrOf(port), append(opts[:len(opts):len(opts)], engineotlp.WithService(service))...), func(t testing.TB) map[string]float64 {
						all := map[string]float64{}
						for _, m := range received(t, c, service) {
							for _, p := range m.kind().DataPoints {
								if m.kind().AggregationTemporality == 1 {
									all[m.Name] += p.value()
								} else {
									all[m.Name] = p.value()
								}
							}
						}
						return all
					}
				},
				Down: func(t testing.TB) metrics.Option {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					return otlp.Backend(l.Addr().String(), opts...)
				},
			})
		})
	}
}

func TestCollectorHasEveryPartOfAMetric(t *testing.T) {
	c := servertest.SharedCollector(t)
	for name, want := range map[string]int{"cumulative": 2, "delta": 1} {
		opts := []engineotlp.Option{engineotlp.WithService("parts-" + name)}
		if name == "delta" {
			opts = append(opts, engineotlp.WithDelta())
		}
		m, err := metrics.New(otlp.Backend(c.AddrOf("otlphttp"), opts...), metrics.WithInterval(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		h := m.HistogramVec("took", []string{"m"}, metrics.Unit("seconds"), metrics.Help("Time."), metrics.Buckets(1, 2))
		calls, active := m.Counter("calls"), m.UpDownCounter("active", metrics.Unit("{call}"))
		for range 2 {
			calls.Add(2)
			active.Add(-3)
			h.With("x").Observe(.5)
			h.With("x").Observe(3)
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var all []metric
		for deadline := time.Now().Add(30 * time.Second); len(all) < 6 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			all = received(t, c, "parts-"+name)
		}
		if len(all) != 6 {
			t.Fatalf("%s: %+v", name, all)
		}
		upDown, sum, took := all[3], all[4], all[5]
		factor := float64(2 * want / 2) // the second export: totals are twice what is new
		if sum.Sum == nil || !sum.Sum.IsMonotonic || sum.Sum.AggregationTemporality != want || sum.Sum.DataPoints[0].value() != 2*factor {
			t.Errorf("%s: %+v", name, sum.kind())
		}
		// Of what comes and goes there is a total, whatever the preference is of the others.
		if u := upDown.Sum; u == nil || u.IsMonotonic || u.AggregationTemporality != 2 || u.DataPoints[0].AsInt != "-6" || u.DataPoints[0].StartTimeUnixNano != all[0].kind().DataPoints[0].StartTimeUnixNano || upDown.Unit != "{call}" {
			t.Errorf("%s: %+v", name, upDown.kind())
		}
		p := took.kind().DataPoints[0]
		if took.Histogram == nil || took.Unit != "s" || took.Description != "Time." || took.Histogram.AggregationTemporality != want || p.Sum != 3.5*factor || p.value() != 2*factor ||
			fmt.Sprint(p.ExplicitBounds) != "[1 2]" || fmt.Sprint(p.BucketCounts) != fmt.Sprintf("[%v 0 %v]", factor, factor) {
			t.Errorf("%s: %+v", name, took.kind())
		}
		m.Close(t.Context())
	}
}

// The resource is what metrics.WithResource says, and over it the options of
// the backend; a label without a value is none.
func TestResourceAndEmptyLabels(t *testing.T) {
	for name, c := range map[string]struct {
		opts []engineotlp.Option
		want string
	}{
		"the metrics'":       {nil, "of the metrics|2"},
		"the backend's name": {[]engineotlp.Option{engineotlp.WithService("of the backend")}, "of the backend|2"},
		"the backend's":      {[]engineotlp.Option{engineotlp.WithResource(slog.String("service.version", "3"))}, "of the metrics|3"},
	} {
		t.Run(name, func(t *testing.T) {
			var body string
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if b, _ := io.ReadAll(r.Body); len(b) > len(body) {
					body = string(b)
				}
			}))
			defer s.Close()
			m, err := metrics.New(otlp.Backend(s.URL, append(c.opts, engineotlp.WithJSON(), engineotlp.WithoutGzip())...), metrics.WithInterval(time.Hour), metrics.WithResource(
				metrics.Label{Key: "service.name", Value: "of the metrics"}, metrics.Label{Key: "service.version", Value: "2"}))
			if err != nil {
				t.Fatal(err)
			}
			m.HistogramVec("took", []string{"http.route", "error.type"}).With("/a", "").Observe(1)
			m.CounterVec("n", []string{"http.route", "error.type"}).With("/a", "").Inc()
			if err := m.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			service, version, _ := strings.Cut(c.want, "|")
			for want, n := range map[string]int{`{"key":"service.name","value":{"stringValue":"` + service + `"}}`: 1, `"service.name"`: 1,
				`{"key":"service.version","value":{"stringValue":"` + version + `"}}`: 1, `"http.route"`: 2, `"error.type"`: 0} {
				if got := strings.Count(body, want); got != n {
					t.Errorf("%s is there %d times, want %d: %s", want, got, n, body)
				}
			}
		})
	}
}

// An exemplar arrives once, whatever the encoding: the next export has the new ones.
func TestCollectorHasExemplarsOnce(t *testing.T) {
	c := servertest.SharedCollector(t)
	for name, opts := range map[string][]engineotlp.Option{"protobuf": nil, "json": {engineotlp.WithJSON()}} {
		tr, err := trace.New(trace.Memory(trace.NewStore(10, time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		m, err := metrics.New(otlp.Backend(c.AddrOf("otlphttp"), append(opts, engineotlp.WithService("exemplars-"+name))...), metrics.WithInterval(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		h := m.Histogram("took", metrics.Buckets(1))
		ctx, span := tr.Start(t.Context(), "x")
		h.ObserveContext(ctx, .5)
		h.ObserveContext(ctx, 3)
		for i := range 3 {
			if i == 2 {
				h.ObserveContext(ctx, 4)
			}
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		span.End()
		var all []metric
		for deadline := time.Now().Add(30 * time.Second); len(all) < 3 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			all = received(t, c, "exemplars-"+name)
		}
		var got string
		for _, one := range all {
			got += "|"
			for _, e := range one.kind().DataPoints[0].Exemplars {
				got += fmt.Sprint(" ", e.AsDouble)
				if e.TraceID != span.Context().TraceID.String() || e.SpanID != span.Context().SpanID.String() || e.TimeUnixNano == "" {
					t.Errorf("%s: %+v", name, e)
				}
			}
		}
		if want := "| 0.5 3|| 4"; got != want {
			t.Errorf("%s: exemplars %q, want %q", name, got, want)
		}
		tr.Close(t.Context())
		m.Close(t.Context())
	}
}

// What an export with WithDelta lost is in the next one that arrives.
func TestADeltaThatWasLostIsInTheNext(t *testing.T) {
	var bodies []string
	var refuse bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		b := make([]byte, r.ContentLength)
		r.Body.Read(b)
		bodies = append(bodies, string(b))
	}))
	defer s.Close()
	m, err := metrics.New(otlp.Backend(s.URL, engineotlp.WithJSON(), engineotlp.WithDelta()), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	n := m.Counter("n")
	for i, step := range []struct {
		add    int64
		refuse bool
		want   string
	}{{3, false, `"asInt":"3"`}, {4, true, ""}, {5, false, `"asInt":"9"`}} {
		n.Add(step.add)
		refuse = step.refuse
		if err := m.Flush(t.Context()); (err != nil) != step.refuse {
			t.Fatalf("step %d: %v", i, err)
		}
		if last := bodies[len(bodies)-1]; !step.refuse && !strings.Contains(last, step.want) {
			t.Errorf("step %d: no %s in %s", i, step.want, last)
		}
	}
}

// Bounded requests lose no series, and a server that asks for a pause gets one.
func TestManySeriesInSmallRequestsThroughAThrottle(t *testing.T) {
	c := servertest.SharedCollector(t)
	m, err := metrics.New(otlp.Backend(c.AddrOf("otlphttp"), engineotlp.WithService("many"), engineotlp.WithMaxRequest(2000), engineotlp.WithResource(slog.String("rx.throttle", t.Name()))), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	v := m.CounterVec("n", []string{"i"})
	for i := range 500 {
		v.With(strconv.Itoa(i)).Inc()
	}
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := 0
	for deadline := time.Now().Add(30 * time.Second); got < 500 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = 0
		for _, one := range received(t, c, "many") {
			got += len(one.kind().DataPoints)
		}
	}
	if got != 500 {
		t.Errorf("%d points, want 500", got)
	}
}

func ExampleBackend() {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 10 {
			fmt.Println(r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
	}))
	defer collector.Close()

	m, err := metrics.New(otlp.Backend(collector.URL, engineotlp.WithService("greeter")))
	if err != nil {
		panic(err)
	}
	m.Counter("greetings").Inc()
	if err := m.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: POST /v1/metrics application/x-protobuf
}
