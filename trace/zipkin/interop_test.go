package zipkin_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/micro/go-platform/trace"
	zipkingo "github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/propagation/b3"
	"github.com/openzipkin/zipkin-go/reporter/recorder"
)

// One trace over three processes: ours, zipkin-go's, ours again; in both forms of B3.
func TestHeadersBothWaysWithZipkinGo(t *testing.T) {
	for name, form := range map[string]struct {
		ours   trace.Propagator
		theirs []b3.InjectOption
	}{
		"single": {trace.B3Single(), []b3.InjectOption{b3.WithSingleHeaderOnly()}},
		"multi":  {trace.B3Multi(), nil},
	} {
		for _, sampled := range []bool{true, false} {
			sampler := trace.Never()
			if sampled {
				sampler = trace.Always()
			}
			ours, err := trace.New(trace.WithInject(form.ours), trace.WithSampler(trace.ParentOr(sampler)))
			if err != nil {
				t.Fatal(err)
			}
			recorded := recorder.NewReporter()
			theirs, err := zipkingo.NewTracer(recorded, zipkingo.WithSharedSpans(false), zipkingo.WithTraceID128Bit(true))
			if err != nil {
				t.Fatal(err)
			}

			ctx, first := ours.Start(t.Context(), "first", trace.OfKind(trace.Client))
			h := http.Header{}
			ours.Inject(ctx, trace.Header(h))

			second := theirs.StartSpan("second", zipkingo.Kind(model.Server), zipkingo.Parent(theirs.Extract(b3.ExtractHTTP(&http.Request{Header: h}))))
			req := &http.Request{Header: http.Header{}}
			if err := b3.InjectHTTP(req, form.theirs...)(second.Context()); err != nil {
				t.Fatal(err)
			}

			_, third := ours.Start(ours.Extract(context.Background(), trace.Header(req.Header)), "third", trace.OfKind(trace.Server))
			third.End()
			second.Finish()
			first.End()
			a, b, c := first.Context(), second.Context(), third.Context()
			if b.TraceID.String() != a.TraceID.String() || b.ParentID == nil || b.ParentID.String() != a.SpanID.String() ||
				c.TraceID != a.TraceID || c.ParentID.String() != b.ID.String() || c.Sampled() != sampled || *b.Sampled != sampled {
				t.Errorf("%s, sampled %v: %+v, %+v, %+v", name, sampled, a, b, c)
			}
			if n := len(recorded.Flush()); sampled && n != 1 {
				t.Errorf("%s: zipkin-go recorded %d spans", name, n)
			}
			recorded.Close()
			ours.Close(t.Context())
		}
	}
}
