package zipkin

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
)

// What the server is asked, for each part of a query.
func TestQueriesInTheServersWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		end := func(t time.Time) string { return "endTs=" + strconv.FormatInt(t.UnixMilli(), 10) }
		soon := end(now.Add(time.Minute))
		cursor := func(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) + "-id" }
		const day, limit = "&lookback=86400000", "&limit=140"
		for name, c := range map[string]struct {
			q    trace.Query
			want string
		}{
			"all":                   {trace.Query{}, soon + limit + day},
			"names":                 {trace.Query{Service: "Shop", Name: "GET /A"}, soon + limit + day + "&serviceName=shop&spanName=get+%2Fa"},
			"at least":              {trace.Query{MinDuration: 5 * time.Microsecond}, soon + limit + day + "&minDuration=5"},
			"at least 1 ns":         {trace.Query{MinDuration: 1}, soon + limit + day + "&minDuration=1"},
			"at most":               {trace.Query{MaxDuration: 7 * time.Microsecond}, soon + limit + day + "&maxDuration=7&minDuration=1"},
			"between":               {trace.Query{MinDuration: 5 * time.Microsecond, MaxDuration: 7 * time.Microsecond}, soon + limit + day + "&maxDuration=7&minDuration=5"},
			"errors":                {trace.Query{Errors: true}, "annotationQuery=error&" + soon + limit + day},
			"tags":                  {trace.Query{Tags: map[string]string{"b": "2", "a": "1"}}, "annotationQuery=a%3D1+and+b%3D2&" + soon + limit + day},
			"errors and a tag":      {trace.Query{Errors: true, Tags: map[string]string{"a": "1"}}, "annotationQuery=error+and+a%3D1&" + soon + limit + day},
			"a limit":               {trace.Query{Limit: 5}, soon + "&limit=110" + day},
			"until":                 {trace.Query{Until: now.Add(-time.Hour)}, end(now.Add(-time.Hour)) + limit + day},
			"since":                 {trace.Query{Since: now.Add(-time.Minute)}, soon + limit + "&lookback=120000"},
			"since what is to come": {trace.Query{Since: now.Add(time.Hour)}, soon + limit + "&lookback=1"},
			"after":                 {trace.Query{After: cursor(now.Add(-time.Hour))}, end(now.Add(-time.Hour+time.Millisecond)) + limit + day},
			"after until":           {trace.Query{After: cursor(now), Until: now}, end(now) + limit + day},
			"just before until":     {trace.Query{After: cursor(now.Add(-time.Second)), Until: now}, end(now.Add(-time.Second+time.Millisecond)) + limit + day},
			"a cursor that is none": {trace.Query{After: "x-id"}, soon + limit + day},
			"no cursor":             {trace.Query{After: "1"}, soon + limit + day},
		} {
			if got := query(c.q).Encode(); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
	})
}

// An endpoint is a name and an IP address with its port; what is no address is left out.
func TestEndpointsBothWays(t *testing.T) {
	for _, c := range []struct {
		e, back trace.Endpoint
	}{
		{trace.Endpoint{}, trace.Endpoint{}},
		{trace.Endpoint{Service: "s"}, trace.Endpoint{Service: "s"}},
		{trace.Endpoint{Address: "10.0.0.1:80"}, trace.Endpoint{Address: "10.0.0.1:80"}},
		{trace.Endpoint{Service: "s", Address: "10.0.0.1"}, trace.Endpoint{Service: "s", Address: "10.0.0.1"}},
		{trace.Endpoint{Address: "[::1]:65535"}, trace.Endpoint{Address: "[::1]:65535"}},
		{trace.Endpoint{Address: "[::1]:65536"}, trace.Endpoint{Address: "::1"}},
		{trace.Endpoint{Address: "[::1]"}, trace.Endpoint{Address: "::1"}},
		{trace.Endpoint{Address: "::1"}, trace.Endpoint{Address: "::1"}},
		{trace.Endpoint{Address: "[fe80::1%eth0]:1"}, trace.Endpoint{Address: "[fe80::1]:1"}},
		{trace.Endpoint{Address: "[::ffff:10.0.0.1]:1"}, trace.Endpoint{Address: "10.0.0.1:1"}},
		{trace.Endpoint{Service: "s", Address: "host:80"}, trace.Endpoint{Service: "s"}},
	} {
		if got := fromEndpoint(toEndpoint(c.e)); got != c.back {
			t.Errorf("%+v is %+v then, want %+v", c.e, got, c.back)
		}
	}
	for addr, four := range map[string]bool{"10.0.0.1": true, "[::ffff:10.0.0.1]:1": true, "::1": false} {
		if m := toEndpoint(trace.Endpoint{Address: addr}); (m.IPv4 != nil) != four || (m.IPv6 != nil) == four {
			t.Errorf("%s is %+v", addr, m)
		}
	}
	if m := toEndpoint(trace.Endpoint{}); m != nil {
		t.Errorf("no endpoint is %+v", m)
	}
}

// What a span is in the model, and when it comes back.
func TestSpansBothWays(t *testing.T) {
	at := time.Unix(100, 0)
	ids := trace.SpanContext{TraceID: trace.TraceID{1, 15: 2}, SpanID: trace.SpanID{3}, Flags: trace.Sampled}
	child := ids
	child.ParentID = trace.SpanID{4}
	for name, c := range map[string]struct{ s, back trace.SpanData }{
		"least": {
			trace.SpanData{Context: ids, Name: "a", Start: at},
			trace.SpanData{Context: ids, Name: "a", Start: at, Duration: time.Microsecond},
		},
		"before time began": {
			trace.SpanData{Context: ids, Start: time.Unix(0, 999), Duration: time.Second},
			trace.SpanData{Context: ids, Start: time.Unix(1, 0), Duration: time.Second},
		},
		"just when": {
			trace.SpanData{Context: ids, Start: time.Unix(1, 0), Duration: time.Second},
			trace.SpanData{Context: ids, Start: time.Unix(1, 0), Duration: time.Second},
		},
		"all of it": {
			trace.SpanData{Context: child, Shared: true, Name: "a", Kind: trace.Server, Start: at, Duration: time.Second, Err: "boom",
				Tags: []trace.Tag{slog.String("k", "v"), slog.Int("n", 1)}, Links: []trace.Link{{Context: ids}},
				Events: []trace.Event{{Name: "e", Time: at, Tags: []trace.Tag{slog.String("k", "v")}}}},
			trace.SpanData{Context: child, Shared: true, Name: "a", Kind: trace.Server, Start: at, Duration: time.Second, Err: "boom",
				Tags:   []trace.Tag{slog.String("k", "v"), slog.String("link.0", ids.TraceID.String()+"-"+ids.SpanID.String()), slog.String("n", "1")},
				Events: []trace.Event{{Name: "e k=v", Time: at}}},
		},
		"an error alone": {
			trace.SpanData{Context: ids, Start: at, Duration: 1, Err: "boom", Kind: trace.Client},
			trace.SpanData{Context: ids, Start: at, Duration: time.Microsecond, Err: "boom", Kind: trace.Client},
		},
	} {
		m := toModel(&c.s)
		if got := fromModel(&m); !reflect.DeepEqual(got, c.back) {
			t.Errorf("%s: %+v, want %+v", name, got, c.back)
		}
		if m.Debug {
			t.Errorf("%s: it is for debugging", name)
		}
	}
	ids.Flags |= trace.Debug
	if m := toModel(&trace.SpanData{Context: ids, Start: at}); !m.Debug || m.ParentID != nil || m.Tags != nil {
		t.Errorf("for debugging: %+v", m)
	}
}

// An answer of just the limit is read, and not one of a byte more.
func TestAnswersHaveALimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("0123456789")) }))
	defer server.Close()
	c, err := newClient(server.URL, options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.server.Close()
	for limit, want := range map[int64]error{9: fault.TooLarge, 10: nil, 11: nil} {
		b, err := c.get(t.Context(), "/", limit)
		if !errors.Is(err, want) || (string(b) == "0123456789") != (want == nil) {
			t.Errorf("%d: %q, %v, want %v", limit, b, err, want)
		}
	}
}
