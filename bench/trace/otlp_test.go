package trace_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/micro/go-platform/bench/internal/compare"
	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Spans from their start until the collector's own receiver has them, by one
// goroutine through one reporter, compressed alike. Batches are as large as each
// library makes them by default; queues are large enough for all.
func BenchmarkOTLP(b *testing.B) {
	c := servertest.Collector(b)
	ctx := context.Background()
	quiet := trace.WithLogger(slog.New(slog.DiscardHandler))
	for _, one := range []struct {
		name   string
		ours   trace.Option
		theirs func() (*otlptrace.Exporter, error)
	}{
		{"http", otlp.Backend(c.AddrOf("discardhttp"), engineotlp.WithoutGzip()), func() (*otlptrace.Exporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(c.AddrOf("discardhttp")), otlptracehttp.WithInsecure())
		}},
		{"http-gzip", otlp.Backend(c.AddrOf("discardhttp")), func() (*otlptrace.Exporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(c.AddrOf("discardhttp")), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		}},
		{"grpc", otlp.Backend(c.AddrOf("discardgrpc"), otlpgrpc.Transport(), engineotlp.WithoutGzip()), func() (*otlptrace.Exporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(c.AddrOf("discardgrpc")), otlptracegrpc.WithInsecure())
		}},
	} {
		b.Run(one.name, func(b *testing.B) {
			tr, err := trace.New(one.ours, quiet, trace.WithQueue(1<<20, 1<<30))
			if err != nil {
				b.Fatal(err)
			}
			defer tr.Close(ctx)
			exporter, err := one.theirs()
			if err != nil {
				b.Fatal(err)
			}
			p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(1<<20)))
			defer p.Shutdown(ctx)
			o := p.Tracer("bench")
			before, sent := spans(b, c), 0
			all := []compare.Contender{
				{Name: "ours", Loop: func(n int) {
					sent += n
					for range n {
						_, s := tr.Start(ctx, "request", trace.OfKind(trace.Server))
						s.Tag("http.request.method", "GET")
						s.Tag("url.path", "/v1/users/42")
						s.Tag("server.address", "users")
						s.TagInt("http.response.status_code", 200)
						s.End()
					}
					must(b, tr.Flush(ctx))
				}},
				{Name: "otel", Loop: func(n int) {
					sent += n
					for range n {
						_, s := o.Start(ctx, "request")
						s.SetAttributes(attribute.String("http.request.method", "GET"), attribute.String("url.path", "/v1/users/42"),
							attribute.String("server.address", "users"), attribute.Int("http.response.status_code", 200))
						s.End()
					}
					must(b, p.ForceFlush(ctx))
				}},
			}
			compare.Run(b, 1, all...)
			compare.Processor(b, 4096, all...)
			for end := time.Now().Add(5 * time.Second); spans(b, c)-before < sent && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			}
			if got := spans(b, c) - before; got != sent {
				b.Errorf("the receiver has %d spans of %d", got, sent)
			}
		})
	}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

// spans is how many the receiver has counted.
func spans(b *testing.B, s *servertest.Server) (n int) {
	for _, line := range s.Lines("received") {
		var batch struct{ Spans int }
		must(b, json.Unmarshal([]byte(line), &batch))
		n += batch.Spans
	}
	return n
}
