package page_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// The data of db/changes is JSON that holds JSON as base64.
func TestEventDataIsReadable(t *testing.T) {
	p := start(t)
	inner := base64.StdEncoding.EncodeToString([]byte(`{"city":"Zürich <1>"}`))
	word := base64.StdEncoding.EncodeToString([]byte("no JSON"))
	for name, c := range map[string]struct{ data, want string }{
		"base64 of an object":       {`{"record":{"data":"` + inner + `","n":12345678901234567890}}`, `{"record":{"data":{"city":"Zürich <1>"},"n":12345678901234567890}}`},
		"base64 in a list":          {`["` + inner + `"]`, `[{"city":"Zürich <1>"}]`},
		"base64 of something else":  {`{"data":"` + word + `"}`, `{"data":"` + word + `"}`},
		"JSON without base64":       {`{ "b": 1, "a": 2 }`, `{ "b": 1, "a": 2 }`},
		"text":                      {"hello", "hello"},
		"text of the longest":       {strings.Repeat("x", 2000), strings.Repeat("x", 2000)},
		"longer text":               {strings.Repeat("x", 2001), strings.Repeat("x", 2000) + "…"},
		"bytes that are not a text": {"\xff\x00", "2 bytes"},
	} {
		if err := p.stream.Publish(t.Context(), &event.Record{Type: "readable", Data: []byte(c.data)}); err != nil {
			t.Fatal(err)
		}
		var got []page.EventLine
		if p.get(t, "events?type=readable&limit=1", &got); len(got) != 1 || got[0].Data != c.want {
			t.Errorf("%s: got %+v, want %s", name, got, c.want)
		}
	}
}

// blind is a reporter that can't be searched, as OTLP's.
type blind struct{}

func (blind) Report(_ context.Context, s []trace.SpanData) (int, error) { return len(s), nil }
func (blind) Ping(context.Context) error                                { return nil }
func (blind) Close() error                                              { return nil }

func TestTracesBesideAReporterThatCanNotBeSearched(t *testing.T) {
	exporter := trace.WithDriver("otlp", func(context.Context) (trace.Driver, error) { return blind{}, nil })
	for name, c := range map[string]struct {
		opts []trace.Option
		want int
	}{
		"alone":      {[]trace.Option{exporter}, 404},
		"and memory": {[]trace.Option{exporter, trace.Memory(trace.NewStore(0, time.Hour))}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := trace.New(c.opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close(context.Background())
			_, span := tr.Start(t.Context(), "checkout")
			span.End()
			if err := tr.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := start(t, page.WithTrace(tr))
			var got struct {
				Error  string
				Traces []page.TraceSummary
			}
			code := p.get(t, "traces", &got)
			if helps := strings.Contains(got.Error, "trace.Memory"); code != c.want || helps != (code == 404) || len(got.Traces) == 1 != (code == 200) {
				t.Errorf("%d, %+v", code, got)
			}
		})
	}
}

// A call that was sent once is one line, one that was sent again has a line
// below it for each further attempt.
func TestEachCallIsDrawnOnce(t *testing.T) {
	call := func(id byte, parent byte, kind trace.Kind, name, service string) trace.SpanData {
		return trace.SpanData{
			Context: trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{id}, ParentID: trace.SpanID{parent}},
			Kind:    kind, Name: name, Local: trace.Endpoint{Service: service}, Start: time.Now().Add(time.Duration(id) * time.Millisecond), Duration: time.Millisecond,
		}
	}
	for name, c := range map[string]struct {
		spans []trace.SpanData
		want  string
	}{
		"sent once": {[]trace.SpanData{
			call(1, 0, trace.Client, "GET", "edge"), call(2, 1, trace.Server, "GET /hello", "greeter"),
		}, "0 client edge, 1 server greeter"},
		"sent twice": {[]trace.SpanData{
			call(1, 0, trace.Client, "GET", "edge"), call(2, 1, trace.Client, "GET", "edge"), call(3, 2, trace.Server, "GET /hello", "greeter"),
		}, "0 client edge, 1 client edge, 2 server greeter"},
		"work that makes a call": {[]trace.SpanData{
			call(1, 0, trace.Internal, "charge", "edge"), call(2, 1, trace.Client, "GET /hello", "edge"),
		}, "0 internal edge, 1 client edge"},
	} {
		m := trace.NewStore(0, time.Hour)
		if _, err := m.Report(t.Context(), c.spans); err != nil {
			t.Fatal(err)
		}
		tr, err := trace.New(trace.Memory(m))
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, page.WithTrace(tr))
		var spans []page.Span
		p.get(t, "trace?id="+c.spans[0].Context.TraceID.String(), &spans)
		var lines []string
		for _, s := range spans {
			lines = append(lines, fmt.Sprintf("%d %s %s", s.Depth, s.Kind, s.Service))
		}
		if got := strings.Join(lines, ", "); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A service that publishes no reports, as one that is not ours, is called all
// the same.
func TestTheRouterShowsServicesWithoutReports(t *testing.T) {
	mo, err1 := monitor.New()
	d, err2 := discovery.New()
	ro, err3 := router.New(router.WithDiscovery(d))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Register(t.Context(), discovery.Instance{Service: "billing", Address: "10.0.0.1:80"}); err != nil {
		t.Fatal(err)
	}
	pick, err := ro.Pick(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	pick.Done(router.Outcome{Latency: time.Millisecond})
	if _, err := ro.Pick(t.Context(), "nobody"); err == nil {
		t.Fatal("picked an instance of nobody")
	}
	pg, err := page.New(mo, page.WithRouter(ro))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(pg)
	defer func() {
		srv.Close()
		if err := errors.Join(pg.Close(), ro.Close(context.Background()), d.Close(), mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}()
	var o page.Overview
	if (&parts{url: srv.URL + "/"}).get(t, "overview", &o); fmt.Sprint(o.Routed) != "[billing]" {
		t.Errorf("got %v", o.Routed)
	}
	tab := servertest.OpenTab(t, servertest.SharedBrowser(t), srv.URL+"/#router", 1280, 800)
	tab.AwaitText("main", "10.0.0.1:80")
	quiet(t, tab)
}
