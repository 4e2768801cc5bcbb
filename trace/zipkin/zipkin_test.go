package zipkin_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/tracetest"
	"github.com/micro/go-platform/trace/zipkin"
)

// nobody returns an address where nobody listens.
func nobody(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestZipkin shows everything on one of Zipkin's own servers, which takes long to start, read back
// through its API. The last part stops it.
func TestZipkin(t *testing.T) {
	z := servertest.Zipkin(t)
	t.Run("conformance", func(t *testing.T) { conformance(t, z.Addr()) })
	t.Run("search", func(t *testing.T) { search(t, z.Addr()) })
	t.Run("down and back", func(t *testing.T) { downAndBack(t, z) })
}

func conformance(t *testing.T, addr string) {
	tracetest.Run(t, tracetest.Harness{
		Backend:  func(testing.TB) trace.Option { return zipkin.Backend("http://" + addr) },
		Down:     func(t testing.TB) trace.Option { return zipkin.Backend(nobody(t)) },
		Features: tracetest.Features{Resolution: time.Microsecond, LowerCase: true, Addresses: true},
	})
}

func search(t *testing.T, addr string) {
	service := servertest.Namespace(t)
	tr, err := trace.New(zipkin.Backend(addr), trace.WithService(service))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	start := time.Now().Add(-time.Minute)
	for i := range 30 {
		at := start.Add(time.Duration(i) * time.Second)
		_, s := tr.Start(t.Context(), []string{"even", "odd"}[i%2], trace.StartAt(at))
		if i == 7 {
			s.Error(errors.New("bad"))
			s.Tag("user", "ann")
		}
		s.EndAt(at.Add(time.Duration(i+1) * time.Millisecond))
	}
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		q    trace.Query
		want int
	}{
		{"service", trace.Query{Limit: 100}, 30},
		{"name", trace.Query{Name: "odd", Limit: 100}, 15},
		{"errors", trace.Query{Errors: true}, 1},
		{"tag", trace.Query{Tags: map[string]string{"user": "ann"}}, 1},
		{"slow", trace.Query{MinDuration: 26 * time.Millisecond}, 5},
		{"between", trace.Query{MinDuration: 2 * time.Millisecond, MaxDuration: 4 * time.Millisecond}, 3},
		{"since", trace.Query{Since: start.Add(24500 * time.Millisecond)}, 5},
		{"until", trace.Query{Until: start.Add(4500 * time.Millisecond)}, 5},
		{"nothing", trace.Query{Name: "neither"}, 0},
		{"id of nothing", trace.Query{TraceID: trace.TraceID{1}}, 0},
	} {
		c.q.Service = service
		var n int
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			p, err := tr.Search(t.Context(), c.q)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if n = len(p.Traces); n == c.want || time.Now().After(deadline) {
				break
			}
		}
		if n != c.want {
			t.Errorf("%s: %d traces, want %d", c.name, n, c.want)
		}
	}
	q, seen, pages := trace.Query{Service: service, Limit: 7}, map[trace.TraceID]bool{}, 0
	for {
		p, err := tr.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, one := range p.Traces {
			if seen[one.ID] {
				t.Errorf("trace %s is on two pages", one.ID)
			}
			seen[one.ID] = true
		}
		if q.After = p.Next; q.After == "" {
			break
		}
	}
	if len(seen) != 30 || pages != 5 {
		t.Errorf("%d traces on %d pages, want 30 on 5", len(seen), pages)
	}
}

// The OpenTelemetry collector's zipkin receiver, which others wrote.
func TestCollectorReadsZipkin(t *testing.T) {
	c := servertest.SharedCollector(t)
	tr, err := trace.New(zipkin.Backend("http://"+c.AddrOf("zipkin")+"/api/v2/spans"), trace.WithService("Shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	start := time.Unix(1767322800, 123456000)
	_, s := tr.Start(t.Context(), "collected", trace.OfKind(trace.Server), trace.StartAt(start))
	s.TagInt("n", 7)
	s.Error(errors.New("bad"))
	s.EndAt(start.Add(250 * time.Millisecond))
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := c.Await(t, "received", func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), s.Context().SpanID.String())
	})
	for _, line := range lines {
		if !strings.Contains(line, s.Context().SpanID.String()) {
			continue
		}
		for _, want := range []string{
			`"traceId":"` + s.Context().TraceID.String() + `"`, `"name":"collected"`, `"kind":2`, `"startTimeUnixNano":"1767322800123456000"`,
			`"endTimeUnixNano":"1767322800373456000"`, `{"key":"n","value":{"stringValue":"7"}}`, `"code":2`, `{"key":"service.name","value":{"stringValue":"shop"}}`,
		} {
			if !strings.Contains(line, want) {
				t.Errorf("%s is not in %s", want, line)
			}
		}
	}
}

// The server is killed and comes back: all that was reported meanwhile arrives.
func downAndBack(t *testing.T, z *servertest.Server) {
	tr, err := trace.New(zipkin.Backend(z.Addr()), trace.WithBatch(10, 10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	z.Kill()
	ctx, root := tr.Start(t.Context(), "root")
	for range 99 {
		_, s := tr.Start(ctx, "while it is down")
		s.End()
	}
	root.End()
	for deadline := time.Now().Add(30 * time.Second); tr.Stats().Reporters[0].Retries == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	z.Restart()
	flush, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := tr.Flush(flush); err != nil {
		t.Fatalf("%v: %+v", err, tr.Stats())
	}
	if s := tr.Stats().Reporters[0]; s.Sent != 100 || s.Retries == 0 || s.Lost() != 0 {
		t.Errorf("%+v", s)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		p, err := tr.Search(t.Context(), trace.Query{TraceID: root.Context().TraceID})
		if err == nil && len(p.Traces) == 1 && len(p.Traces[0].Spans) == 100 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server has %+v, %v", p, err)
		}
	}
}

// collector is an HTTP server that answers as told.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	answer func(w http.ResponseWriter, n int)
}

func newCollector(t *testing.T, answer func(w http.ResponseWriter, n int)) *collector {
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		b, _ := io.ReadAll(body)
		c.mu.Lock()
		if string(b) != "[]" {
			c.bodies = append(c.bodies, string(b))
			c.heads = append(c.heads, r.Header.Clone())
		}
		n := len(c.bodies)
		c.mu.Unlock()
		if c.answer != nil && n > 0 {
			c.answer(w, n)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(c.Close)
	return c
}

func TestRequests(t *testing.T) {
	c := newCollector(t, nil)
	tr, err := trace.New(zipkin.Backend(c.URL, zipkin.WithHeader("Authorization", "Bearer x")))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		_, s := tr.Start(t.Context(), "x")
		s.End()
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.bodies) != 1 || c.heads[0].Get("Content-Encoding") != "gzip" || c.heads[0].Get("B3") != "0" ||
		c.heads[0].Get("Authorization") != "Bearer x" || c.heads[0].Get("Content-Type") != "application/json" {
		t.Fatalf("%d requests, %v", len(c.bodies), c.heads)
	}
	var spans []map[string]any
	if err := json.Unmarshal([]byte(c.bodies[0]), &spans); err != nil || len(spans) != 100 {
		t.Fatalf("%d spans, %v", len(spans), err)
	}
	for _, s := range spans {
		if s["duration"].(float64) < 1 || s["parentId"] != nil || s["kind"] != nil {
			t.Errorf("%v", s)
		}
	}
}

func TestAnswersOfTheServer(t *testing.T) {
	for _, c := range []struct {
		code    int
		retries bool
	}{{400, false}, {403, false}, {413, false}, {429, true}, {500, true}, {502, true}, {503, true}, {504, true}} {
		s := newCollector(t, func(w http.ResponseWriter, n int) {
			if n == 1 {
				http.Error(w, "no", c.code)
			}
		})
		tr, err := trace.New(zipkin.Backend(s.URL))
		if err != nil {
			t.Fatal(err)
		}
		_, span := tr.Start(t.Context(), "x")
		span.End()
		err = tr.Close(t.Context())
		st := tr.Stats().Reporters[0]
		if c.retries && (err != nil || st.Sent != 1 || st.Retries != 1) || !c.retries && (!errors.Is(err, trace.ErrDropped) || st.Failed != 1 || len(s.bodies) != 1) {
			t.Errorf("%d: %v, %+v, %d requests", c.code, err, st, len(s.bodies))
		}
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		opt  trace.Option
		want string
	}{
		"no address": {zipkin.Backend(""), "empty address"}, "scheme": {zipkin.Backend("kafka://x"), "unknown scheme"}, "port": {zipkin.Backend("x:99999"), "want 1 to 65535"},
		"nameless": {zipkin.Backend("x", zipkin.WithHeader("", "x")), `header ""`}, "name": {zipkin.Backend("x", zipkin.WithHeader("a b", "x")), `header "a b"`},
		"value":      {zipkin.Backend("x", zipkin.WithHeader("a", "x\r\ny: z")), `header "a"`},
		"nil option": {zipkin.Backend("x", nil), "option 1 is nil"}, "nil client": {zipkin.Backend("x", zipkin.WithClient(nil)), "nil client"},
	} {
		if _, err := trace.New(c.opt); !errors.Is(err, trace.ErrInvalid) || !strings.HasPrefix(err.Error(), "trace/zipkin: new: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	_, err := trace.New(zipkin.Backend("http://user:s3cret@" + nobody(t)))
	if !errors.Is(err, trace.ErrUnavailable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

func TestClientOfTheUserStaysOpen(t *testing.T) {
	c := newCollector(t, nil)
	client := c.Client()
	tr, err := trace.New(zipkin.Backend(c.URL, zipkin.WithClient(client)))
	if err != nil {
		t.Fatal(err)
	}
	tr.Close(t.Context())
	resp, err := client.Get(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
