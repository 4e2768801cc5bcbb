package wrapper_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	otelbaggage "go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
	"github.com/micro/go-platform/wrapper"
)

// foreignReader is a server that reads baggage with OpenTelemetry's package.
func foreignReader(t *testing.T, answers ...int) (url string, got *otelbaggage.Baggage) {
	got = new(otelbaggage.Baggage)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got = otelbaggage.FromContext(propagation.Baggage{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		if len(answers) > 0 {
			w.WriteHeader(answers[0])
			answers = answers[1:]
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func TestBaggageTravelsBetweenForeignServices(t *testing.T) {
	inside := wrapper.WithServices(func(*http.Request) (string, bool) { return "stock", true })
	for name, c := range map[string]struct {
		server  []wrapper.Option
		client  []wrapper.Option
		answers []int
		change  func(ctx context.Context) context.Context
		want    map[string]string
	}{
		"handed on": {nil, []wrapper.Option{inside}, nil, nil, map[string]string{"tenant": "acme, \"inc\"", "user": "zoë"}},
		"and again": {nil, []wrapper.Option{inside}, []int{503, 200}, nil, map[string]string{"tenant": "acme, \"inc\"", "user": "zoë"}},
		"with more": {nil, []wrapper.Option{inside}, nil, func(ctx context.Context) context.Context {
			ctx, _ = baggage.Set(ctx, "user", "eve")
			ctx, _ = baggage.Set(ctx, "cart", "1")
			return ctx
		}, map[string]string{"tenant": "acme, \"inc\"", "user": "eve", "cart": "1"}},
		"with none": {nil, []wrapper.Option{inside}, nil, func(ctx context.Context) context.Context {
			return baggage.ContextWith(ctx, baggage.Baggage{})
		}, map[string]string{}},
		"to a host that is no service":  {nil, nil, nil, nil, map[string]string{}},
		"from strangers":                {[]wrapper.Option{wrapper.WithEdge()}, []wrapper.Option{inside}, nil, nil, map[string]string{}},
		"from whom the border believes": {[]wrapper.Option{wrapper.WithEdge(func(context.Context, *wrapper.Call) bool { return true })}, []wrapper.Option{inside}, nil, nil, map[string]string{"tenant": "acme, \"inc\"", "user": "zoë"}},
	} {
		t.Run(name, func(t *testing.T) {
			next, got := foreignReader(t, c.answers...)
			client := newWrapper(t, c.client...).Client()
			srv, outer := serve(t, newWrapper(t, c.server...).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				if c.change != nil {
					ctx = c.change(ctx)
				}
				out, _ := http.NewRequestWithContext(ctx, "GET", next, nil)
				resp, err := client.Do(out)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			})), false)
			var sent []otelbaggage.Member
			for k, v := range map[string]string{"tenant": "acme, \"inc\"", "user": "zoë"} {
				m, err := otelbaggage.NewMemberRaw(k, v)
				if err != nil {
					t.Fatal(err)
				}
				sent = append(sent, m)
			}
			b, err := otelbaggage.New(sent...)
			if err != nil {
				t.Fatal(err)
			}
			r, _ := http.NewRequest("GET", srv.URL, nil)
			propagation.Baggage{}.Inject(otelbaggage.ContextWithBaggage(t.Context(), b), propagation.HeaderCarrier(r.Header))
			resp, err := outer.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if got.Len() != len(c.want) {
				t.Errorf("the next service got %q, want %q", got, c.want)
			}
			for k, v := range c.want {
				if got.Member(k).Value() != v {
					t.Errorf("%s = %q, want %q", k, got.Member(k).Value(), v)
				}
			}
		})
	}
}

// The span of a call is made after its baggage was read.
func TestSpansOfCallsHaveNamedBaggage(t *testing.T) {
	spans := trace.NewStore(10, time.Hour)
	tr, err := trace.New(trace.Memory(spans), trace.WithBaggage("tenant"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWrapper(t, wrapper.WithTrace(tr))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Baggage", "tenant=acme,secret=s")
	w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := tr.Search(t.Context(), trace.Query{})
	if err != nil || len(page.Traces) != 1 {
		t.Fatalf("%v, %d traces", err, len(page.Traces))
	}
	tags := map[string]string{}
	for _, tag := range page.Traces[0].Spans[0].Tags {
		tags[tag.Key] = tag.Value.String()
	}
	if _, told := tags["secret"]; tags["tenant"] != "acme" || told {
		t.Errorf("the span has %v, want tenant and no other member", tags)
	}
}
