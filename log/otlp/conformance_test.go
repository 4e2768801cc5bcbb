package otlp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/logtest"
	"github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
)

// records returns the records that the collector's receiver has of a service, with their scopes.
func records(t testing.TB, s *servertest.Server, service string) (all []string) {
	t.Helper()
	for _, line := range s.Lines("received") {
		var batch struct {
			Logs struct {
				ResourceLogs []struct {
					Resource  json.RawMessage
					ScopeLogs []struct {
						Scope      json.RawMessage
						LogRecords []json.RawMessage
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &batch); err != nil {
			t.Fatal(err)
		}
		for _, r := range batch.Logs.ResourceLogs {
			if !strings.Contains(string(r.Resource), `"`+service+`"`) {
				continue
			}
			for _, sc := range r.ScopeLogs {
				for _, one := range sc.LogRecords {
					all = append(all, string(sc.Scope)+string(one))
				}
			}
		}
	}
	return all
}

func TestConformanceOnTheCollector(t *testing.T) {
	for name, opts := range map[string][]engineotlp.Option{
		"protobuf": nil, "json": {engineotlp.WithJSON()}, "split": {engineotlp.WithMaxRequest(40 << 10)}, "grpc": {otlpgrpc.Transport()},
	} {
		t.Run(name, func(t *testing.T) {
			port := "otlphttp"
			if name == "grpc" {
				port = "otlpgrpc"
			}
			c := servertest.SharedCollector(t)
			n := 0
			logtest.Run(t, logtest.Harness{
				Output: func(t testing.TB) (log.Option, func() []string) {
					n++
					service := fmt.Sprint("logs-", name, "-", n)
					return otlp.Backend(c.AddrOf(port), append(opts[:len(opts):len(opts)], engineotlp.WithService(service))...), func() []string { return records(t, c, service) }
				},
				Down: func(t testing.TB) log.Option {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					return otlp.Backend(l.Addr().String(), opts...)
				},
			})
		})
	}
}

func TestRecordsAreTheCollectorsOwn(t *testing.T) {
	c := servertest.SharedCollector(t)
	l, err := log.New(otlp.Backend(c.AddrOf("otlphttp"), engineotlp.WithService("fields")), log.WithContext(trace.ContextAttrs), log.WithSource(slog.LevelInfo), log.WithLevel("", slog.LevelDebug))
	if err != nil {
		t.Fatal(err)
	}
	sc := trace.SpanContext{TraceID: trace.TraceID{0xab}, SpanID: trace.SpanID{0xcd}, Flags: trace.Sampled}
	ctx := trace.ContextWithRemote(t.Context(), sc)
	l.Logger("db.pool").LogAttrs(ctx, log.LevelFatal, "gone", slog.Int("n", 7), slog.Group("g", slog.Bool("ok", true)), slog.Any("list", []string{"a", "b"}))
	l.Logger("").Debug("small", "trace_id", "no id", "trace_flags", "1")
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for deadline := time.Now().Add(30 * time.Second); len(got) < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = records(t, c, "fields")
	}
	if len(got) != 2 {
		t.Fatalf("%d records: %s", len(got), got)
	}
	for i, wants := range [][]string{
		{`"name":"db.pool"`, `"severityNumber":21`, `"severityText":"FATAL"`, `"body":{"stringValue":"gone"}`, `"traceId":"ab000000000000000000000000000000"`, `"spanId":"cd00000000000000"`, `"flags":1`,
			`{"key":"n","value":{"intValue":"7"}}`, `{"key":"g","value":{"kvlistValue":{"values":[{"key":"ok","value":{"boolValue":true}}]}}}`,
			`{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":"b"}]}}}`, `"code.file.path"`, `"code.line.number"`},
		{`"severityNumber":5`, `"severityText":"DEBUG"`, `{"key":"trace_id","value":{"stringValue":"no id"}}`, `{"key":"trace_flags","value":{"stringValue":"1"}}`},
	} {
		for _, want := range wants {
			if !strings.Contains(got[i], want) {
				t.Errorf("record %d has no %s: %s", i, want, got[i])
			}
		}
	}
}

// quiet is a server without a socket that asks once for a very long pause.
type quiet struct{ posts []time.Time }

func (q *quiet) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if q.posts = append(q.posts, time.Now()); len(q.posts) == 2 { // behind Ping
		w.Header().Set("Retry-After", "99999999")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return w.Result(), nil
}

// A pause of years, which a proxy asks for by mistake, silences nobody.
func TestARetryAfterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		l, err := log.New(otlp.Backend("collector", engineotlp.WithClient(&http.Client{Transport: q})), log.WithErrors(func(string, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(t.Context())
		l.Logger("").Info("x")
		time.Sleep(10 * time.Minute)
		if st := l.Stats()[0]; st.Written != 1 || len(q.posts) != 3 || q.posts[2].Sub(q.posts[1]) < 5*time.Minute {
			t.Errorf("%+v after requests at %v", st, q.posts)
		}
	})
}

// What the server refuses for good is counted, said, and does not come again.
func TestRefusedRecordsAreCountedAndSaid(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(w http.ResponseWriter)
		dropped uint64
		says    string
	}{
		"taken": {func(http.ResponseWriter) {}, 0, ""},
		"in part": {func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}`)
		}, 2, "too old"},
		"whole": {func(w http.ResponseWriter) { http.Error(w, "no entry", http.StatusForbidden) }, 5, "no entry"},
	} {
		t.Run(name, func(t *testing.T) {
			posts := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if posts++; posts > 1 { // the first is Ping
					c.answer(w)
				}
			}))
			defer s.Close()
			said := ""
			l, err := log.New(log.WithOutput(otlp.Backend(s.URL, engineotlp.WithJSON()), log.BatchOf(64<<10, time.Second)), log.WithErrors(func(_ string, err error) { said += err.Error() }))
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				l.Logger("").Info("x")
			}
			err = l.Flush(context.Background())
			st := l.Stats()[0]
			l.Close(t.Context()) // what Flush waited for is said right after it
			if st.Dropped != c.dropped || st.Written != 5-c.dropped || st.Retries != 0 || (err != nil) != (c.dropped > 0) || !strings.Contains(said, c.says) {
				t.Errorf("%+v, %v, said %q", st, err, said)
			}
		})
	}
}

func ExampleBackend() {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 10 {
			fmt.Println(r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
	}))
	defer collector.Close()

	l, err := log.New(otlp.Backend(collector.URL, engineotlp.WithService("greeter")))
	if err != nil {
		panic(err)
	}
	l.Logger("").Info("hello")
	if err := l.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: POST /v1/logs application/x-protobuf
}
