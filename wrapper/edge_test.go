package wrapper_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// forged is what strangers send beside their request.
var forged = map[string]string{
	"X-Micro-Label-Shard": "7", "X-Deadline-Ms": "60000", "X-Request-Id": "mine", "X-Attempt": "2",
	"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate": "a=b", "Baggage": "user=admin",
	"B3": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-d", "X-B3-Sampled": "1", "X-Micro-Trace-Id": "1", "Uber-Trace-Id": "1:1:0:1",
	"X-Forwarded-User": "admin", "X-Remote-User": "admin", "X-Auth-Request-Email": "a@b", "X-Forwarded-Client-Cert": "Subject=admin",
	"X-Goog-Authenticated-User-Email": "a@b", "Micro-From-Service": "billing",
}

// genuine is what is theirs to say.
var genuine = map[string]string{
	"Authorization": "Bearer x", "Idempotency-Key": "k", "Accept": "text/plain", "X-Forwarded-For": "10.0.0.1", "Content-Type": "text/plain", "X-Own": "1",
}

func TestEdgeDropsWhatStrangersSay(t *testing.T) {
	type seen struct {
		header   http.Header
		labels   map[string]string
		bounded  bool
		id, span string
	}
	tr, err := trace.New(trace.WithService("orders"), trace.Memory(trace.NewStore(10, time.Hour)), trace.WithSampler(trace.ParentOr(trace.Ratio(0))))
	if err != nil {
		t.Fatal(err)
	}
	local := func(_ context.Context, c *wrapper.Call) bool {
		return strings.HasPrefix(c.Request().RemoteAddr, "127.0.0.1:")
	}
	nobody := func(context.Context, *wrapper.Call) bool { return false }
	for name, c := range map[string]struct {
		opts []wrapper.Option
		kept bool
	}{
		"inside":          {nil, true},
		"edge":            {[]wrapper.Option{wrapper.WithEdge()}, false},
		"edge, trusted":   {[]wrapper.Option{wrapper.WithEdge(nobody, local)}, true},
		"edge, not those": {[]wrapper.Option{wrapper.WithEdge(nobody)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got seen
			w := newWrapper(t, append(c.opts, wrapper.WithTrace(tr), wrapper.WithLoadReport())...)
			srv, client := serve(t, w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				call, _ := wrapper.FromContext(r.Context())
				_, bounded := r.Context().Deadline()
				got = seen{r.Header.Clone(), wrapper.LabelsFromContext(r.Context()), bounded, call.RequestID, ""}
				if s := trace.FromContext(r.Context()); s.Recording() {
					got.span = "recording"
				}
			})), false)
			r, _ := http.NewRequest("GET", srv.URL, nil)
			for k, v := range forged {
				r.Header.Set(k, v)
			}
			for k, v := range genuine {
				r.Header.Set(k, v)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			for k := range forged {
				if has := got.header.Get(k) != ""; has != c.kept {
					t.Errorf("%s reached the handler: %v, want %v", k, has, c.kept)
				}
			}
			for k, v := range genuine {
				if got.header.Get(k) != v {
					t.Errorf("%s = %q, want %q", k, got.header.Get(k), v)
				}
			}
			if (len(got.labels) > 0) != c.kept || got.bounded != c.kept || (got.id == "mine") != c.kept || (got.span != "") != c.kept {
				t.Errorf("labels %v, bounded %v, id %q, %s; want them: %v", got.labels, got.bounded, got.id, got.span, c.kept)
			}
			if has := resp.Header.Get("X-Load") != ""; has != c.kept {
				t.Errorf("the load is shown: %v, want %v", has, c.kept)
			}
			for k, v := range forged { // the caller's own request is not changed
				if r.Header.Get(k) != v {
					t.Errorf("%s became %q", k, r.Header.Get(k))
				}
			}
		})
	}
}

// Middleware outside sees the request as it came.
func TestEdgeLeavesTheRequestOfOuterMiddleware(t *testing.T) {
	w := newWrapper(t, wrapper.WithEdge())
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Micro-Label-Shard", "7")
	w.Handler(nil).ServeHTTP(httptest.NewRecorder(), r)
	if r.Header.Get("X-Micro-Label-Shard") != "7" {
		t.Error("the header of the outer request was changed")
	}
}

func TestSizeOfLabelsIsBounded(t *testing.T) {
	for _, c := range []struct {
		name, value string
		kept        bool
	}{
		{"tenant", strings.Repeat("x", 255), true}, {"tenant", strings.Repeat("x", 256), false}, {"tenant", strings.Repeat("x", 60_000), false},
		{strings.Repeat("n", 63), "v", true}, {strings.Repeat("n", 64), "v", false}, {"city", "Zürich", true}, {"tenant", "", true},
	} {
		var got map[string]string
		w := newWrapper(t)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(wrapper.LabelPrefix+c.name, c.value)
		w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = wrapper.LabelsFromContext(r.Context()) })).
			ServeHTTP(httptest.NewRecorder(), r)
		if _, kept := got[strings.ToLower(c.name)]; kept != c.kept {
			t.Errorf("name of %d bytes, value of %d: kept %v, want %v", len(c.name), len(c.value), kept, c.kept)
		}
	}
	for n, want := range map[int]int{15: 15, 16: 16, 17: 16} {
		r := httptest.NewRequest("GET", "/", nil)
		for i := range n {
			r.Header.Set(fmt.Sprint(wrapper.LabelPrefix, i), "v")
		}
		var got map[string]string
		newWrapper(t).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = wrapper.LabelsFromContext(r.Context()) })).
			ServeHTTP(httptest.NewRecorder(), r)
		if len(got) != want {
			t.Errorf("%d labels: kept %d, want %d: %v", n, len(got), want, slices.Sorted(maps.Keys(got)))
		}
	}
}
