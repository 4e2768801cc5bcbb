package otlp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
)

// received returns the names of the spans that the collector's receiver has of a service.
func received(t testing.TB, s *servertest.Server, service string) (names []string) {
	t.Helper()
	for _, line := range s.Lines("received") {
		var batch struct {
			Traces struct {
				ResourceSpans []struct {
					Resource   json.RawMessage
					ScopeSpans []struct{ Spans []struct{ Name string } }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &batch); err != nil {
			t.Fatal(err)
		}
		for _, r := range batch.Traces.ResourceSpans {
			if !strings.Contains(string(r.Resource), `"`+service+`"`) {
				continue
			}
			for _, sc := range r.ScopeSpans {
				for _, one := range sc.Spans {
					names = append(names, one.Name)
				}
			}
		}
	}
	return names
}

// The collector's own receiver takes both forms, waits when it says so, and gets
// everything once although the requests are bounded.
func TestCollectorReceivesEverySpanOnce(t *testing.T) {
	c := servertest.SharedCollector(t)
	throttle := func(name string) engineotlp.Option {
		return engineotlp.WithResource(slog.String("rx.throttle", t.Name()+name))
	}
	for name, opts := range map[string][]engineotlp.Option{
		"protobuf":       nil,
		"json":           {engineotlp.WithJSON()},
		"plain":          {engineotlp.WithoutGzip()},
		"split":          {engineotlp.WithMaxRequest(2000)},
		"throttled":      {throttle("http")},
		"grpc":           {otlpgrpc.Transport()},
		"grpc plain":     {otlpgrpc.Transport(), engineotlp.WithoutGzip()},
		"grpc split":     {otlpgrpc.Transport(), engineotlp.WithMaxRequest(2000)},
		"grpc throttled": {otlpgrpc.Transport(), throttle("grpc")},
	} {
		t.Run(name, func(t *testing.T) {
			port, throttled := "otlphttp", strings.HasSuffix(name, "throttled")
			if strings.HasPrefix(name, "grpc") {
				port = "otlpgrpc"
			}
			service := "traces-" + name
			tr, err := trace.New(otlp.Backend(c.AddrOf(port), opts...), trace.WithService(service))
			if err != nil {
				t.Fatal(err)
			}
			const n = 300
			began := time.Now()
			for i := range n {
				_, span := tr.Start(t.Context(), fmt.Sprint("span-", i))
				span.Tag("k", "v")
				span.End()
			}
			if err := tr.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			st := tr.Stats().Reporters[0]
			if st.Sent != n || (st.Retries > 0) != throttled {
				t.Errorf("%+v", st)
			}
			if took := time.Since(began); throttled && took < time.Second {
				t.Errorf("sent again after %v, the receiver asked for a pause of 1s", took)
			}
			seen := map[string]int{}
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if got := received(t, c, service); len(got) >= n || time.Now().After(deadline) {
					for _, one := range got {
						seen[one]++
					}
					break
				}
			}
			for i := range n {
				if k := fmt.Sprint("span-", i); seen[k] != 1 {
					t.Fatalf("%s arrived %d times", k, seen[k])
				}
			}
		})
	}
}

// A span that no request can hold is counted and costs the others nothing.
func TestASpanOverTheLimitIsRejectedAlone(t *testing.T) {
	c := servertest.SharedCollector(t)
	for size, rejected := range map[int]uint64{100: 0, 5000: 1} {
		service := fmt.Sprint("large-", size)
		tr, err := trace.New(otlp.Backend(c.AddrOf("otlphttp"), engineotlp.WithMaxRequest(2000)), trace.WithService(service))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"a", strings.Repeat("x", size), "b"} {
			_, span := tr.Start(t.Context(), "x")
			span.Tag("text", text)
			span.End()
		}
		err = tr.Close(t.Context())
		if st := tr.Stats().Reporters[0]; st.Rejected != rejected || st.Sent != 3-rejected || (err != nil) != (rejected > 0) {
			t.Errorf("%d bytes: %+v, %v", size, st, err)
		}
		if err != nil && !strings.Contains(err.Error(), "over the 2000 bytes") {
			t.Errorf("the reason is not said: %v", err)
		}
	}
}

// Every field of a span, as the collector's receiver reads it from each encoding.
func TestCollectorHasEveryPartOfASpan(t *testing.T) {
	c := servertest.SharedCollector(t)
	n := byte(0)
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			n++
			opts := append(way.opts[:len(way.opts):len(way.opts)], engineotlp.WithResource(slog.String("deployment.environment.name", "dev"), slog.String("service.instance.id", "i-1")))
			tr, err := trace.New(otlp.Backend(c.AddrOf(way.port), opts...), trace.WithLimits(trace.Limits{Tags: 9}),
				trace.WithLocal(trace.Endpoint{Service: "Shop", Address: "10.0.0.1:80"}))
			if err != nil {
				t.Fatal(err)
			}
			parent := trace.SpanContext{TraceID: trace.TraceID{9, 15: n}, SpanID: trace.SpanID{8}, Flags: trace.Sampled, State: "x=y"}
			other := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, State: "a=b"}
			start := time.Unix(1767322800, 123456789)
			_, span := tr.Start(trace.ContextWithRemote(t.Context(), parent), "Charge", trace.OfKind(trace.Client), trace.StartAt(start),
				trace.Remote(trace.Endpoint{Service: "bank", Address: "10.0.0.2:443"}))
			span.Link(other, slog.String("why", "batch"), slog.Int("n", 1))
			span.Tag("s", "ä\xff")
			span.TagInt("i", math.MinInt64)
			span.TagFloat("f", 2.5)
			span.TagFloat("nan", math.NaN())
			span.TagFloat("inf", math.Inf(-1))
			span.TagBool("yes", true)
			span.TagBool("no", false)
			span.Tag("empty", "")
			span.Tag("ninth", "9")
			span.Tag("dropped", "1")
			span.Tag("dropped too", "2")
			span.Error(errors.New("refused"))
			span.EndAt(start.Add(time.Millisecond))
			if err := tr.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got any
			for deadline := time.Now().Add(30 * time.Second); got == nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				for _, line := range c.Lines("received") {
					if strings.Contains(line, parent.TraceID.String()) {
						got = decoded(t, line)
					}
				}
			}
			attr := func(key, kind, value string) string {
				return fmt.Sprintf(`{"key":%q,"value":{%q:%s}}`, key, kind, value)
			}
			want := decoded(t, `{"traces":{"resourceSpans":[{"resource":{"attributes":[`+strings.Join([]string{
				attr("service.name", "stringValue", `"Shop"`), attr("telemetry.sdk.name", "stringValue", `"go-platform"`), attr("telemetry.sdk.language", "stringValue", `"go"`),
				attr("service.instance.id", "stringValue", `"i-1"`), attr("deployment.environment.name", "stringValue", `"dev"`)}, ",")+`]},
				"scopeSpans":[{"scope":{"name":"github.com/micro/go-platform/trace"},"spans":[{
				"traceId":"`+parent.TraceID.String()+`","spanId":"`+span.Context().SpanID.String()+`","traceState":"x=y","parentSpanId":"0800000000000000","flags":769,
				"name":"Charge","kind":3,"startTimeUnixNano":"1767322800123456789","endTimeUnixNano":"1767322800124456789","droppedAttributesCount":2,"attributes":[`+strings.Join([]string{
				attr("s", "stringValue", `"ä\ufffd"`), attr("i", "intValue", `"-9223372036854775808"`), attr("f", "doubleValue", "2.5"), attr("nan", "doubleValue", `"NaN"`), attr("inf", "doubleValue", `"-Infinity"`),
				attr("yes", "boolValue", "true"), attr("no", "boolValue", "false"), attr("empty", "stringValue", `""`), attr("ninth", "stringValue", `"9"`),
				attr("service.peer.name", "stringValue", `"bank"`), attr("network.peer.address", "stringValue", `"10.0.0.2"`), attr("network.peer.port", "intValue", `"443"`)}, ",")+`],
				"links":[{"traceId":"01000000000000000000000000000000","spanId":"0200000000000000","traceState":"a=b","flags":256,"attributes":[`+attr("why", "stringValue", `"batch"`)+","+attr("n", "intValue", `"1"`)+`]}],
				"status":{"message":"refused","code":2}}]}]}]}}`)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func decoded(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
