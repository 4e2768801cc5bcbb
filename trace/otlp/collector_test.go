package otlp_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

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
	throttle := func(name string) otlp.Option { return otlp.WithResource(slog.String("rx.throttle", t.Name()+name)) }
	for name, opts := range map[string][]otlp.Option{
		"protobuf":       nil,
		"json":           {otlp.WithJSON()},
		"plain":          {otlp.WithoutGzip()},
		"split":          {otlp.WithMaxRequest(2000)},
		"throttled":      {throttle("http")},
		"grpc":           {otlpgrpc.Transport()},
		"grpc plain":     {otlpgrpc.Transport(), otlp.WithoutGzip()},
		"grpc split":     {otlpgrpc.Transport(), otlp.WithMaxRequest(2000)},
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
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
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
		tr, err := trace.New(otlp.Backend(c.AddrOf("otlphttp"), otlp.WithMaxRequest(2000)), trace.WithService(service))
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
