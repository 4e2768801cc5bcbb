package otlp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/otlp"
	"github.com/micro/go-platform/trace"
)

func TestMain(m *testing.M) {
	for _, v := range os.Environ() { // what the machine says is not what is tested
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			os.Unsetenv(name)
		}
	}
	leak.Main(m)
}

// setenv sets variables; $URL in a value is url.
func setenv(t *testing.T, env map[string]string, url string) {
	t.Helper()
	for name, v := range env {
		t.Setenv(name, strings.ReplaceAll(v, "$URL", url))
	}
}

// request is a request with items in it.
type request struct {
	path   string
	header http.Header
	packed bool
	body   string
}

// receiver is an HTTP server that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	all []request
}

func newReceiver(t testing.TB, before func(nth int)) *receiver {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		one := request{path: req.URL.Path, header: req.Header, packed: req.Header.Get("Content-Encoding") == "gzip"}
		b, _ := io.ReadAll(req.Body)
		if one.packed {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Error(err)
				return
			}
			b, _ = io.ReadAll(z)
		}
		if one.body = string(b); one.body == "" || one.body == "{}" { // a ping
			return
		}
		r.mu.Lock()
		r.all = append(r.all, one)
		nth := 0 // on this path
		for _, q := range r.all {
			if q.path == one.path {
				nth++
			}
		}
		r.mu.Unlock()
		if before != nil {
			before(nth)
		}
	}))
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // of handshakes that fail
	t.Cleanup(r.Close)
	return r
}

// of returns what arrived of a span, a counter or a record.
func (r *receiver) of(word string) (one request, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.all {
		if strings.Contains(q.body, word) {
			one, n = q, n+1
		}
	}
	return one, n
}

// sent is the parts of a program that took its options from the environment.
type sent struct {
	trace   trace.Tracer
	metrics metrics.Metrics
	log     log.Log
}

// The names of what send sends.
const aSpan, aCounter, aRecord = "my-span", "my.counter", "my-record"

func quiet(string, error) {}

// send sends a span, a count and a record.
func send(t *testing.T, e *otlp.Env, ctx context.Context, resource ...slog.Attr) (*sent, error) {
	t.Helper()
	nobody := slog.New(slog.DiscardHandler)
	s, err := &sent{}, error(nil)
	if s.trace, err = trace.New(append(e.Trace(resource...), trace.WithLogger(nobody))...); err != nil {
		return nil, err
	}
	t.Cleanup(func() { s.trace.Close(context.Background()) })
	if s.metrics, err = metrics.New(append(e.Metrics(resource...), metrics.WithLogger(nobody))...); err != nil {
		return nil, err
	}
	t.Cleanup(func() { s.metrics.Close(context.Background()) })
	outputs := e.Log(resource...)
	if outputs == nil {
		outputs = []log.Option{log.Memory(log.NewRecorder(1, log.JSON()))}
	}
	if s.log, err = log.New(append(outputs, log.WithErrors(quiet))...); err != nil {
		return nil, err
	}
	t.Cleanup(func() { s.log.Close(context.Background()) })
	if ctx == nil {
		ctx = t.Context()
	}
	_, span := s.trace.Start(ctx, aSpan)
	span.Tag("long", strings.Repeat("x", 2000))
	span.End()
	s.metrics.Counter(aCounter, metrics.Help(strings.Repeat("x", 2000))).Inc()
	s.metrics.Histogram(aCounter + ".took").Observe(1)
	s.log.Logger("").Info(aRecord, "long", strings.Repeat("x", 2000))
	return s, errors.Join(s.trace.Flush(t.Context()), s.metrics.Flush(t.Context()), s.log.Flush(t.Context()))
}
