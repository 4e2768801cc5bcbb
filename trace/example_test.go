package trace_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
)

func ExampleNew() {
	tr, err := trace.New(trace.WithService("orders")) // spans stay in memory
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	defer tr.Close(ctx)

	work, span := tr.Start(ctx, "place order", trace.OfKind(trace.Server))
	_, query := tr.Start(work, "insert row", trace.OfKind(trace.Client))
	query.Tag("table", "orders")
	query.Error(errors.New("duplicate key"))
	query.End()
	span.End()

	if err := tr.Flush(ctx); err != nil {
		panic(err)
	}
	page, err := tr.Search(ctx, trace.Query{Service: "orders", Errors: true})
	if err != nil {
		panic(err)
	}
	for _, s := range page.Traces[0].Spans {
		fmt.Printf("%s %q %v %q\n", s.Kind, s.Name, s.Tags, s.Err)
	}
	// Output:
	// server "place order" [] ""
	// client "insert row" [table=orders] "duplicate key"
}

func ExampleTracer_inject() {
	tr, _ := trace.New()
	defer tr.Close(context.Background())

	// The caller writes its context into the request's headers,
	ctx, client := tr.Start(context.Background(), "GET /hello", trace.OfKind(trace.Client))
	header := http.Header{}
	tr.Inject(ctx, trace.Header(header))

	// and the callee continues the trace.
	ctx = tr.Extract(context.Background(), trace.Header(header))
	_, server := tr.Start(ctx, "GET /hello", trace.OfKind(trace.Server))

	fmt.Println(header.Get("traceparent") != "", header.Get("b3") != "")
	fmt.Println(server.Context().TraceID == client.Context().TraceID)
	fmt.Println(server.Context().ParentID == client.Context().SpanID)
	// Output:
	// true true
	// true
	// true
}

func ExampleTrace_Tree() {
	store := trace.NewStore(1000, time.Hour)
	tr, _ := trace.New(trace.Memory(store), trace.WithService("shop"))
	ctx := context.Background()
	defer tr.Close(ctx)

	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	root, span := tr.Start(ctx, "GET /cart", trace.OfKind(trace.Server), trace.StartAt(start))
	_, a := tr.Start(root, "load user", trace.StartAt(start.Add(time.Millisecond)))
	a.EndAt(start.Add(3 * time.Millisecond))
	_, b := tr.Start(root, "load prices", trace.StartAt(start.Add(4*time.Millisecond)))
	b.Error(errors.New("timed out"))
	b.EndAt(start.Add(40 * time.Millisecond))
	span.EndAt(start.Add(42 * time.Millisecond))

	_ = tr.Flush(ctx)
	t, _ := store.Trace(span.Context().TraceID)
	fmt.Println(strings.TrimSpace(t.Tree()))
	// Output:
	// shop GET /cart (server)  42ms
	// ├─ shop load user        2ms
	// └─ shop load prices      36ms  error: timed out
}

func ExampleWithSampler() {
	tr, _ := trace.New(
		trace.WithSampler(trace.ParentOr(trace.ByName(
			trace.RateLimit(10), // new traces a second
			trace.Rule{Name: "GET /healthz", Sampler: trace.Never()},
		))),
		// What was left out is sent after all if it failed or was slow.
		trace.WithKeep(0, trace.Failed, trace.SlowerThan(time.Second)),
	)
	ctx := context.Background()
	defer tr.Close(ctx)
	_, span := tr.Start(ctx, "GET /healthz")
	fmt.Println(span.Context().Sampled())
	span.Error(errors.New("disk full"))
	span.End()
	fmt.Println(tr.Stats().Kept)
	// Output:
	// false
	// 1
}

func ExampleWithBaggage() {
	tr, err := trace.New(trace.WithBaggage("tenant"))
	if err != nil {
		panic(err)
	}
	ctx, err := baggage.Set(context.Background(), "tenant", "acme")
	if err != nil {
		panic(err)
	}
	defer tr.Close(ctx)
	_, span := tr.Start(ctx, "charge card")
	span.End()
	tr.Flush(ctx)
	page, err := tr.Search(ctx, trace.Query{Tags: map[string]string{"tenant": "acme"}})
	fmt.Println(len(page.Traces), err)
	// Output: 1 <nil>
}

func ExampleStartPublish() {
	tr, _ := trace.New(trace.WithService("shop"))
	ctx := context.Background()
	defer tr.Close(ctx)

	metadata := map[string]string{} // of the message
	_, publish := trace.StartPublish(ctx, tr, "orders", trace.Map(metadata))
	publish.End()

	_, consume := trace.StartConsume(ctx, tr, "orders", trace.Map(metadata))
	consume.End()
	fmt.Println(consume.Context().ParentID == publish.Context().SpanID)
	// Output: true
}
