package otlp_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/otlp"
)

// scope is one scope of a request.
type scope struct {
	Scope      struct{ Name string }
	LogRecords []record
}

type record struct {
	TimeUnixNano, ObservedTimeUnixNano, TraceID, SpanID string
	Body                                                struct{ StringValue string }
	Attributes                                          []struct{ Key string }
}

// kept is a server without a socket that keeps the requests that have records.
type kept struct {
	sizes  []int
	scopes [][]scope
}

func (k *kept) RoundTrip(r *http.Request) (*http.Response, error) {
	b, _ := io.ReadAll(r.Body)
	var request struct {
		ResourceLogs []struct{ ScopeLogs []scope }
	}
	_ = json.Unmarshal(b, &request)
	if len(request.ResourceLogs) > 0 {
		k.sizes = append(k.sizes, len(b))
		k.scopes = append(k.scopes, request.ResourceLogs[0].ScopeLogs)
	}
	return httptest.NewRecorder().Result(), nil
}

// written logs through a log that sends once, and returns the requests.
func written(t *testing.T, log1 func(l log.Log), opts ...engineotlp.Option) (*kept, log.OutputStats, string) {
	t.Helper()
	k, said := &kept{}, ""
	opts = append(opts, engineotlp.WithJSON(), engineotlp.WithoutGzip(), engineotlp.WithClient(&http.Client{Transport: k}))
	l, err := log.New(log.WithOutput(otlp.Backend("collector", opts...), log.BatchOf(1<<20, time.Hour)), log.WithErrors(func(_ string, err error) { said += err.Error() }))
	if err != nil {
		t.Fatal(err)
	}
	log1(l)
	_ = l.Close(context.Background())
	return k, l.Stats()[0], said
}

func TestRecordsOfALoggerShareAScope(t *testing.T) {
	k, _, _ := written(t, func(l log.Log) {
		for _, name := range []string{"a", "b", "", "a", "b"} {
			l.Logger(name).Info("of " + name)
		}
	})
	if len(k.scopes) != 1 || len(k.scopes[0]) != 3 {
		t.Fatalf("%+v", k.scopes)
	}
	for i, want := range []struct {
		name string
		n    int
	}{{"a", 2}, {"b", 2}, {"", 1}} {
		s := k.scopes[0][i]
		if s.Scope.Name != want.name || len(s.LogRecords) != want.n || s.LogRecords[0].Body.StringValue != "of "+want.name {
			t.Errorf("scope %d: %+v, want %+v", i, s, want)
		}
	}
}

// A request is not over the limit, in protobuf; JSON is larger by its names.
// A record that none can hold is dropped alone.
func TestRequestsAreBounded(t *testing.T) {
	for size, dropped := range map[int]uint64{100: 0, 5000: 1} {
		k, st, said := written(t, func(l log.Log) {
			l.Logger("").Info(strings.Repeat("x", size))
			for range 100 {
				l.Logger("").Info(strings.Repeat("x", 100))
			}
		}, engineotlp.WithMaxRequest(2000))
		if st.Dropped != dropped || st.Written != 101 || // in the place of one that is dropped comes a record that says so
			strings.Contains(said, "a record of") != (dropped > 0) {
			t.Errorf("%d bytes: %+v, said %q", size, st, said)
		}
		if len(k.sizes) < 8 || len(k.sizes) > 12 {
			t.Errorf("%d requests for 100 records of some 130 bytes, 2000 bytes each", len(k.sizes))
		}
	}
}

// Ids that are none stay attributes; a record without a time has none.
func TestOddRecords(t *testing.T) {
	before := time.Now()
	k, _, _ := written(t, func(l log.Log) {
		for _, attrs := range [][]any{
			{"trace_id", strings.Repeat("ab", 16), "span_id", strings.Repeat("cd", 8)},
			{"trace_id", strings.Repeat("ab", 32), "span_id", strings.Repeat("cd", 7)},
			{"trace_id", strings.Repeat("xy", 16), "span_id", 12345678},
		} {
			l.Logger("").Info("ids", attrs...)
		}
		r := slog.Record{Message: "timeless", Level: slog.LevelInfo}
		if err := l.Handler().Handle(context.Background(), r); err != nil {
			t.Error(err)
		}
	})
	all := k.scopes[0][0].LogRecords
	for i, attributes := range []int{0, 2, 2, 0} {
		if r := all[i]; len(r.Attributes) != attributes || (r.TraceID != "") != (i == 0) || (r.SpanID != "") != (i == 0) {
			t.Errorf("record %d: %+v", i, r)
		}
		if r := all[i]; (r.TimeUnixNano == "") != (i == 3) || r.ObservedTimeUnixNano < nano(before) || r.ObservedTimeUnixNano > nano(time.Now()) {
			t.Errorf("record %d: time %q, observed %q", i, r.TimeUnixNano, r.ObservedTimeUnixNano)
		}
	}
}

func nano(t time.Time) string {
	b, _ := json.Marshal(t.UnixNano())
	return string(b)
}
