package wrapper_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// The span of a call is that of its first attempt: each server is sent the id
// of the span that its own is to be below.
func TestSpansOfACallAndItsAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int
		resends []int // of the spans below that of the call
		failed  int   // attempts that are noted on that of the call
	}{
		"one attempt":          {answers: []int{200}},
		"one that fails":       {answers: []int{500}, failed: 1},
		"the second does well": {answers: []int{503, 200}, resends: []int{1}, failed: 1},
		"the third does well":  {answers: []int{503, 503, 200}, resends: []int{1, 2}, failed: 1},
	} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan string, 3)
			var addrs []string
			for _, code := range c.answers {
				addrs = append(addrs, count(t, func(w http.ResponseWriter, r *http.Request) {
					sent <- r.Header.Get("Traceparent")
					w.WriteHeader(code)
				}).addr())
			}
			spans := trace.NewStore(100, time.Hour)
			tr, err := trace.New(trace.WithService("edge"), trace.Memory(spans))
			if err != nil {
				t.Fatal(err)
			}
			w := newWrapper(t, wrapper.WithRouter(instances(addrs...)), wrapper.WithTrace(tr))
			get(t, w.Client(), "http://greeter/")
			if err := tr.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			page, err := spans.Search(t.Context(), trace.Query{})
			if err != nil || len(page.Traces) != 1 {
				t.Fatalf("%d traces, %v, want 1", len(page.Traces), err)
			}
			all := page.Traces[0].Spans
			if len(all) != 1+len(c.resends) {
				t.Fatalf("want %d spans below that of the call:\n%s", len(c.resends), page.Traces[0].Tree())
			}
			for i, s := range all {
				if got := <-sent; !strings.Contains(got, s.Context.SpanID.String()) {
					t.Errorf("attempt %d sent %q, want the id of its span %v", i+1, got, s.Context.SpanID)
				}
				at := slices.IndexFunc(s.Tags, func(a trace.Tag) bool { return a.Key == "http.request.resend_count" })
				switch {
				case tag(s, "http.request.method") != "GET" || tag(s, "url.full") != "http://greeter/" || tag(s, "server.address") != "greeter":
					t.Errorf("span %d does not say what was asked for: %v", i, s.Tags)
				case s.Kind != trace.Client || s.Remote.Service != "greeter" || s.Remote.Address == "":
					t.Errorf("span %d is %+v, want a client's that names the instance", i, s)
				case i == 0 && (at >= 0 || !s.Context.ParentID.IsZero() || len(s.Events) != c.failed):
					t.Errorf("span of the call %+v, want a root with %d events", s, c.failed)
				case i > 0 && (s.Context.ParentID != all[0].Context.SpanID || at < 0 || s.Tags[at].Value.Int64() != int64(c.resends[i-1])):
					t.Errorf("span %+v, want resend %d below the call's", s, c.resends[i-1])
				}
			}
		})
	}
}
