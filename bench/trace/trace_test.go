package trace_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/micro/go-platform/bench/internal/compare"
	"github.com/micro/go-platform/trace"
	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/propagation/b3"
	"github.com/openzipkin/zipkin-go/reporter"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// nowhere is a reporter that throws spans away.
type nowhere struct{}

func (nowhere) Report(_ context.Context, s []trace.SpanData) (int, error) { return len(s), nil }
func (nowhere) Ping(context.Context) error                                { return nil }
func (nowhere) Close() error                                              { return nil }

func open(b *testing.B, s trace.Sampler) trace.Tracer {
	tr, err := trace.New(trace.WithSampler(s), trace.WithQueue(1<<16, 64<<20),
		trace.WithDriver("nowhere", func(context.Context) (trace.Driver, error) { return nowhere{}, nil }))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = tr.Close(context.Background())
		if r := tr.Stats().Reporters[0]; r.Dropped > 0 {
			b.Logf("dropped %d of %d", r.Dropped, r.Dropped+r.Sent)
		}
	})
	return tr
}

type nullExporter struct{}

func (nullExporter) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (nullExporter) Shutdown(context.Context) error                             { return nil }

// start, four tags, end.
func bench(b *testing.B, sampled bool) {
	ctx := context.Background()
	s, zs, os := trace.Always(), zipkin.AlwaysSample, sdktrace.AlwaysSample()
	if !sampled {
		s, zs, os = trace.Never(), zipkin.NeverSample, sdktrace.NeverSample()
	}
	ours := open(b, s)
	z, err := zipkin.NewTracer(reporter.NewNoopReporter(), zipkin.WithSampler(zs))
	if err != nil {
		b.Fatal(err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithSampler(os), sdktrace.WithBatcher(nullExporter{}, sdktrace.WithMaxQueueSize(1<<16)))
	b.Cleanup(func() { _ = p.Shutdown(ctx) })
	o := p.Tracer("bench")
	compare.Run(b, 1,
		compare.Contender{Name: "ours", Loop: func(n int) {
			for range n {
				_, s := ours.Start(ctx, "request")
				s.Tag("method", "GET")
				s.Tag("path", "/v1/users/42")
				s.Tag("peer", "users")
				s.TagInt("status", 200)
				s.End()
			}
		}},
		compare.Contender{Name: "zipkin-go", Loop: func(n int) {
			for range n {
				s, _ := z.StartSpanFromContext(ctx, "request")
				s.Tag("method", "GET")
				s.Tag("path", "/v1/users/42")
				s.Tag("peer", "users")
				s.Tag("status", "200")
				s.Finish()
			}
		}},
		compare.Contender{Name: "otel", Loop: func(n int) {
			for range n {
				_, s := o.Start(ctx, "request")
				s.SetAttributes(attribute.String("method", "GET"), attribute.String("path", "/v1/users/42"), attribute.String("peer", "users"), attribute.Int("status", 200))
				s.End()
			}
		}},
	)
}

func BenchmarkSampledSpan(b *testing.B)   { bench(b, true) }
func BenchmarkUnsampledSpan(b *testing.B) { bench(b, false) }

func BenchmarkExtract(b *testing.B) {
	ours := open(b, trace.Always())
	ctx := context.Background()
	w3c := trace.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	single := http.Header{"B3": {"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}}
	r := &http.Request{Header: single}
	p := propagation.TraceContext{}
	compare.Run(b, 1,
		compare.Contender{Name: "ours-w3c", Loop: func(n int) {
			for range n {
				ours.Extract(ctx, w3c)
			}
		}},
		compare.Contender{Name: "ours-b3", Loop: func(n int) {
			for range n {
				ours.Extract(ctx, trace.Header(single))
			}
		}},
		compare.Contender{Name: "otel-w3c", Loop: func(n int) {
			for range n {
				p.Extract(ctx, propagation.HeaderCarrier(w3c))
			}
		}},
		compare.Contender{Name: "zipkin-go-b3", Loop: func(n int) {
			for range n {
				_, _ = b3.ExtractHTTP(r)()
			}
		}},
	)
}

// A collector that takes 200 ms for a batch, and 20000 spans at once.
func BenchmarkSlowCollector(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	tr, err := trace.New(trace.WithDriver("slow", func(context.Context) (trace.Driver, error) { return slow{}, nil }))
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for range 20_000 {
		_, s := tr.Start(context.Background(), "x")
		s.End()
	}
	took := time.Since(began)
	bytes := tr.Stats().Reporters[0].QueuedBytes
	_ = tr.Close(context.Background())
	s := tr.Stats().Reporters[0]
	b.Logf("20000 spans in %v, at most %d KiB queued; %d sent, %d dropped and counted, %d unaccounted", took, bytes>>10, s.Sent, s.Dropped, 20_000-s.Sent-s.Dropped)
}

type slow struct{ nowhere }

func (slow) Report(_ context.Context, s []trace.SpanData) (int, error) {
	time.Sleep(200 * time.Millisecond)
	return len(s), nil
}
