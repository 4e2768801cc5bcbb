package otlp_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server is an OTLP receiver that answers as told.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte
}

func newServer(t testing.TB, answer func(w http.ResponseWriter, n int)) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		b, _ := io.ReadAll(body)
		if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s", r.Method, r.URL, r.Header)
		}
		if string(b) == `{}` {
			return
		}
		s.mu.Lock()
		s.bodies = append(s.bodies, b)
		n := len(s.bodies)
		s.mu.Unlock()
		if answer != nil {
			answer(w, n)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRequest(t *testing.T) {
	s := newServer(t, nil)
	tr, err := trace.New(otlp.Backend(s.URL, engineotlp.WithJSON(), engineotlp.WithResource(slog.String("deployment.environment", "dev"))), trace.WithLocal(trace.Endpoint{Service: "Shop", Address: "10.0.0.1:80"}))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1767322800, 123456789)
	other := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, State: "a=b"}
	ctx := trace.ContextWithRemote(t.Context(), trace.SpanContext{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}, Flags: trace.Sampled, State: "x=y"})
	_, span := tr.Start(ctx, "Charge", trace.OfKind(trace.Client), trace.StartAt(start), trace.Remote(trace.Endpoint{Service: "bank", Address: "10.0.0.2:443"}), trace.LinkTo(other))
	span.Tag("s", "ä\xff")
	span.TagInt("i", math.MinInt64)
	span.TagFloat("f", 2.5)
	span.TagFloat("nan", math.NaN())
	span.TagBool("b", false)
	span.Error(errors.New("refused"))
	span.EndAt(start.Add(time.Millisecond))
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"Shop"}},{"key":"telemetry.sdk.name","value":{"stringValue":"go-platform"}},{"key":"telemetry.sdk.language","value":{"stringValue":"go"}},{"key":"service.instance.id","value":{"stringValue":"10.0.0.1:80"}},` +
		`{"key":"deployment.environment","value":{"stringValue":"dev"}}]},"scopeSpans":[{"scope":{"name":"github.com/micro/go-platform/trace"},"spans":[{` +
		`"traceId":"07000000000000000000000000000000","spanId":"` + span.Context().SpanID.String() + `","traceState":"x=y","parentSpanId":"0800000000000000","flags":769,"name":"Charge","kind":3,` +
		`"startTimeUnixNano":"1767322800123456789","endTimeUnixNano":"1767322800124456789","attributes":[{"key":"s","value":{"stringValue":"ä�"}},{"key":"i","value":{"intValue":"-9223372036854775808"}},` +
		`{"key":"f","value":{"doubleValue":2.5}},{"key":"nan","value":{"doubleValue":"NaN"}},{"key":"b","value":{"boolValue":false}},{"key":"service.peer.name","value":{"stringValue":"bank"}},` +
		`{"key":"network.peer.address","value":{"stringValue":"10.0.0.2"}},{"key":"network.peer.port","value":{"intValue":"443"}}],` +
		`"links":[{"traceId":"01000000000000000000000000000000","spanId":"0200000000000000","traceState":"a=b","flags":256}],"status":{"message":"refused","code":2}}]}]}]}`
	if got := string(s.bodies[0]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnswersOfTheServer(t *testing.T) {
	for _, c := range []struct {
		code    int
		retries bool
	}{{400, false}, {404, false}, {500, false}, {429, true}, {502, true}, {503, true}, {504, true}} {
		s := newServer(t, func(w http.ResponseWriter, n int) {
			if n == 1 {
				http.Error(w, "no", c.code)
			}
		})
		tr, err := trace.New(otlp.Backend(s.URL, engineotlp.WithJSON()))
		if err != nil {
			t.Fatal(err)
		}
		_, span := tr.Start(t.Context(), "x")
		span.End()
		err = tr.Close(t.Context())
		st := tr.Stats().Reporters[0]
		if c.retries && (err != nil || st.Sent != 1 || st.Retries != 1) || !c.retries && (!errors.Is(err, trace.ErrDropped) || st.Failed != 1) {
			t.Errorf("%d: %v, %+v", c.code, err, st)
		}
	}
}

func TestPartialSuccessIsCounted(t *testing.T) {
	for _, answer := range []string{`{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}`, `{"partialSuccess":{"rejectedSpans":3}}`} {
		s := newServer(t, func(w http.ResponseWriter, _ int) { io.WriteString(w, answer) })
		tr, err := trace.New(otlp.Backend(s.URL, engineotlp.WithJSON()))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			_, span := tr.Start(t.Context(), "x")
			span.End()
		}
		err = tr.Close(t.Context())
		if st := tr.Stats().Reporters[0]; st.Sent != 7 || st.Rejected != 3 || !errors.Is(err, trace.ErrDropped) {
			t.Errorf("%s: %+v, %v", answer, st, err)
		}
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		opt  trace.Option
		want string
	}{
		"no address": {otlp.Backend(""), "address"}, "scheme": {otlp.Backend("grpc://x"), "scheme"}, "nil option": {otlp.Backend("x", nil), "option 1 is nil"},
		"nil client": {otlp.Backend("x", engineotlp.WithClient(nil)), "client"},
	} {
		if _, err := trace.New(c.opt); !errors.Is(err, trace.ErrInvalid) || !strings.HasPrefix(err.Error(), "trace/otlp: new: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if _, err := trace.New(otlp.Backend(addr)); !errors.Is(err, trace.ErrUnavailable) || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
}

func ExampleBackend() {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []struct{ Name string } }
			}
		}
		if json.NewDecoder(r.Body).Decode(&body) == nil && len(body.ResourceSpans) > 0 {
			fmt.Println(r.URL.Path, body.ResourceSpans[0].ScopeSpans[0].Spans[0].Name)
		}
	}))
	defer collector.Close()

	tr, err := trace.New(otlp.Backend(collector.URL, engineotlp.WithJSON()), trace.WithService("greeter"))
	if err != nil {
		panic(err)
	}
	_, span := tr.Start(context.Background(), "hello")
	span.End()
	if err := tr.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: /v1/traces hello
}

// The bits 8 and 9 of flags: whether the parent is of another process is known,
// and whether it is.
func TestFlagsSayWhetherTheParentIsRemote(t *testing.T) {
	caller := trace.SpanContext{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}, Flags: trace.Sampled}
	for _, c := range []struct {
		name string
		ctx  func(tr trace.Tracer) context.Context
		want float64
	}{
		{"a root", func(trace.Tracer) context.Context { return t.Context() }, 0x103},
		{"the caller is another process", func(trace.Tracer) context.Context { return trace.ContextWithRemote(t.Context(), caller) }, 0x301},
		{"the parent is of this process", func(tr trace.Tracer) context.Context {
			ctx, _ := tr.Start(trace.ContextWithRemote(t.Context(), caller), "parent")
			return ctx
		}, 0x101},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, nil)
			tr, err := trace.New(otlp.Backend(s.URL, engineotlp.WithJSON()))
			if err != nil {
				t.Fatal(err)
			}
			local := caller
			local.SpanID = trace.SpanID{9}
			remote := local
			remote.Remote = true
			_, span := tr.Start(c.ctx(tr), "x", trace.LinkTo(remote), trace.LinkTo(local))
			span.End()
			if err := tr.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got struct {
				ResourceSpans []struct {
					ScopeSpans []struct {
						Spans []struct {
							Flags float64
							Links []struct{ Flags float64 }
						}
					}
				}
			}
			if err := json.Unmarshal(s.bodies[0], &got); err != nil {
				t.Fatal(err)
			}
			one := got.ResourceSpans[0].ScopeSpans[0].Spans[0]
			if one.Flags != c.want || len(one.Links) != 2 || one.Links[0].Flags != 0x301 || one.Links[1].Flags != 0x101 {
				t.Errorf("flags %#x, want %#x; links %v", int(one.Flags), int(c.want), one.Links)
			}
		})
	}
}
