package otel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
)

func TestMain(m *testing.M) { leak.Main(m) }

func sdk(t testing.TB) (*sdktrace.TracerProvider, *tracetest.InMemoryExporter) {
	e := tracetest.NewInMemoryExporter()
	p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(e))
	t.Cleanup(func() { p.Shutdown(context.Background()) })
	return p, e
}

func TestSpansOfNewAreTheProviders(t *testing.T) {
	p, exported := sdk(t)
	tr, err := otel.New(p)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().Add(-time.Minute)
	other := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}
	ctx, s := tr.Start(t.Context(), "ours", trace.OfKind(trace.Client), trace.StartAt(start), trace.LinkTo(other, slog.Int("n", 1)),
		trace.Remote(trace.Endpoint{Service: "bank", Address: "10.0.0.1:443"}))
	s.Tag("s", "v")
	s.TagInt("i", 1)
	s.TagFloat("f", 2.5)
	s.TagBool("b", true)
	s.Event("e", slog.String("k", "v"))
	s.Error(errors.New("bad"))
	_, lib := p.Tracer("library").Start(ctx, "library's") // one that knows OpenTelemetry alone
	lib.End()
	if trace.FromContext(ctx) != s {
		t.Error("the context does not carry our span")
	}
	s.EndAt(start.Add(time.Second))
	got := exported.GetSpans()
	if len(got) != 2 || got[0].Parent.SpanID() != got[1].SpanContext.SpanID() || got[0].SpanContext.TraceID() != got[1].SpanContext.TraceID() {
		t.Fatalf("%+v", got)
	}
	ours := got[1]
	if ours.Name != "ours" || ours.SpanKind != oteltrace.SpanKindClient || !ours.StartTime.Equal(start) || ours.EndTime.Sub(ours.StartTime) != time.Second ||
		ours.Status.Code != codes.Error || ours.Status.Description != "bad" || len(ours.Events) != 1 || len(ours.Links) != 1 || len(ours.Attributes) != 7 {
		t.Errorf("%+v", ours)
	}
	if sc := s.Context(); sc.TraceID.String() != ours.SpanContext.TraceID().String() || sc.SpanID.String() != ours.SpanContext.SpanID().String() || !sc.Sampled() {
		t.Errorf("%+v", sc)
	}
	if err := tr.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := tr.Search(t.Context(), trace.Query{}); !errors.Is(err, trace.ErrUnsupported) {
		t.Errorf("Search: %v", err)
	}
	if err := errors.Join(tr.Close(t.Context()), tr.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if err := tr.Flush(t.Context()); !errors.Is(err, trace.ErrClosed) {
		t.Errorf("Flush after Close: %v", err)
	}
}

func TestSpansOfProviderAreOurs(t *testing.T) {
	store := trace.NewStore(0, 0)
	tr, err := trace.New(trace.Memory(store))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	lib := otel.Provider(tr).Tracer("library")
	ctx, root := tr.Start(t.Context(), "root")
	ctx, s := lib.Start(ctx, "library's", oteltrace.WithSpanKind(oteltrace.SpanKindProducer), oteltrace.WithAttributes(attribute.Int("i", 1), attribute.StringSlice("l", []string{"a", "b"})))
	s.AddEvent("e", oteltrace.WithAttributes(attribute.Bool("b", true)))
	s.RecordError(errors.New("recorded"))
	s.SetStatus(codes.Error, "bad")
	s.AddLink(oteltrace.Link{SpanContext: root2()})
	_, below := tr.Start(ctx, "ours again")
	below.End()
	s.End()
	root.End()
	if !s.SpanContext().IsSampled() || s.SpanContext().SpanID().String() != below.Context().ParentID.String() {
		t.Errorf("%+v below %+v", below.Context(), s.SpanContext())
	}
	tr.Flush(t.Context())
	got, _ := store.Trace(root.Context().TraceID)
	if len(got.Spans) != 3 {
		t.Fatalf("%d spans", len(got.Spans))
	}
	for _, one := range got.Spans {
		if one.Name != "library's" {
			continue
		}
		if one.Context.ParentID != root.Context().SpanID || one.Kind != trace.Producer || one.Err != "bad" || len(one.Events) != 2 || len(one.Links) != 1 ||
			fmt.Sprint(one.Tags) != `[i=1 l=["a","b"]]` {
			t.Errorf("%+v", one)
		}
	}
}

func root2() oteltrace.SpanContext {
	return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: oteltrace.TraceID{1}, SpanID: oteltrace.SpanID{2}})
}

// One trace over three processes: ours, OpenTelemetry's SDK, ours again.
func TestHeadersBothWays(t *testing.T) {
	store := trace.NewStore(0, 0)
	ours, err := trace.New(trace.Memory(store))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close(t.Context())
	p, exported := sdk(t)
	w3c := propagation.TraceContext{}

	ctx, first := ours.Start(t.Context(), "first", trace.OfKind(trace.Client))
	h := trace.Header{}
	ours.Inject(ctx, h)
	h.Set("tracestate", "vendor=1")

	ctx = w3c.Extract(context.Background(), propagation.HeaderCarrier(h))
	ctx, second := p.Tracer("x").Start(ctx, "second")
	h = trace.Header{}
	w3c.Inject(ctx, propagation.HeaderCarrier(h))

	ctx = ours.Extract(context.Background(), h)
	_, third := ours.Start(ctx, "third", trace.OfKind(trace.Server))
	third.End()
	second.End()
	first.End()
	if third.Context().TraceID != first.Context().TraceID || third.Context().ParentID.String() != second.SpanContext().SpanID().String() || third.Context().State != "vendor=1" {
		t.Errorf("third %+v", third.Context())
	}
	if got := exported.GetSpans(); got[0].Parent.SpanID().String() != first.Context().SpanID.String() {
		t.Errorf("second %+v", got[0])
	}
}

func TestExtractOfTheBridge(t *testing.T) {
	p, exported := sdk(t)
	tr, err := otel.New(p)
	if err != nil {
		t.Fatal(err)
	}
	caller := trace.Header{}
	trace.W3C().Inject(trace.SpanContext{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}, Flags: trace.Sampled}, caller)
	ctx, s := tr.Start(tr.Extract(t.Context(), caller), "serve")
	if sc := s.Context(); sc.TraceID != (trace.TraceID{7}) || sc.ParentID != (trace.SpanID{8}) {
		t.Errorf("%+v", sc)
	}
	out := trace.Header{}
	tr.Inject(ctx, out)
	if sc, ok, err := trace.W3C().Extract(out); !ok || err != nil || sc.SpanID != s.Context().SpanID {
		t.Errorf("%+v %v", sc, err)
	}
	s.End()
	ctx = trace.ContextWithRemote(t.Context(), trace.SpanContext{TraceID: trace.TraceID{9}, SpanID: trace.SpanID{9}})
	_, s = tr.Start(ctx, "after ContextWithRemote")
	s.End()
	if s.Context().TraceID != (trace.TraceID{9}) {
		t.Errorf("%+v", s.Context())
	}
	tr.Extract(t.Context(), trace.Header{"Traceparent": {"garbage"}})
	if n := tr.Stats(); n.BadContext != 1 || n.Started != 2 || len(exported.GetSpans()) != 1 {
		t.Errorf("%+v", n)
	}
}

func ExampleNew() {
	exporter := tracetest.NewInMemoryExporter() // an exporter of the SDK's
	tr, _ := otel.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)))
	_, span := tr.Start(context.Background(), "hello")
	span.End()
	fmt.Println(exporter.GetSpans()[0].Name)
	// Output: hello
}

func ExampleProvider() {
	tr, _ := trace.New()
	ctx := context.Background()
	defer tr.Close(ctx)
	_, span := otel.Provider(tr).Tracer("library").Start(ctx, "hello")
	span.End()
	_ = tr.Flush(ctx)
	page, _ := tr.Search(ctx, trace.Query{Name: "hello"})
	fmt.Println(len(page.Traces))
	// Output: 1
}
