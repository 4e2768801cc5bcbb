package trace_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/trace"
)

func fill(t *testing.T, m *trace.Store, n int, at func(i int) trace.SpanData) {
	t.Helper()
	for i := range n {
		s := at(i)
		s.Context.TraceID[0], s.Context.TraceID[1], s.Context.SpanID[0] = byte(i>>8)+1, byte(i), 1
		if _, err := m.Report(t.Context(), []trace.SpanData{s}); err != nil {
			t.Fatal(err)
		}
	}
}

// The first platform's search repeated the same page over and over.
func TestSearchPagesAreDisjointAndComplete(t *testing.T) {
	m := trace.NewStore(0, 0)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fill(t, m, 95, func(i int) trace.SpanData { return trace.SpanData{Start: day.Add(time.Duration(i/10) * time.Second)} })
	seen := map[trace.TraceID]bool{}
	q := trace.Query{Limit: 10}
	var last time.Time
	for pages := 1; ; pages++ {
		p, err := m.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range p.Traces {
			if seen[tr.ID] {
				t.Fatalf("trace %s is on two pages", tr.ID)
			}
			if start := tr.Spans[0].Start; !last.IsZero() && start.After(last) {
				t.Fatalf("%v comes after %v, want newest first", start, last)
			}
			seen[tr.ID], last = true, tr.Spans[0].Start
		}
		if p.Next == "" {
			if len(seen) != 95 || pages != 10 {
				t.Errorf("%d traces on %d pages, want 95 on 10", len(seen), pages)
			}
			break
		}
		q.After = p.Next
		fill(t, m, 1, func(int) trace.SpanData { return trace.SpanData{Start: day.Add(-time.Hour)} }) // an older half of a newer trace
	}
}

func TestSearchBy(t *testing.T) {
	m := trace.NewStore(0, 0)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fill(t, m, 10, func(i int) trace.SpanData {
		s := trace.SpanData{Name: fmt.Sprint("n", i%2), Start: day.Add(time.Duration(i) * time.Minute), Duration: time.Duration(i) * time.Second}
		s.Local.Service = fmt.Sprint("S", i%5)
		if i == 7 {
			s.Err = "x"
		}
		return s
	})
	for _, c := range []struct {
		name string
		q    trace.Query
		want int
	}{
		{"all", trace.Query{}, 10},
		{"name", trace.Query{Name: "n1"}, 5},
		{"service without case", trace.Query{Service: "s3"}, 2},
		{"both", trace.Query{Service: "s3", Name: "n0"}, 1},
		{"errors", trace.Query{Errors: true}, 1},
		{"least duration", trace.Query{MinDuration: 5 * time.Second}, 5},
		{"largest duration", trace.Query{MaxDuration: 2 * time.Second}, 3},
		{"since", trace.Query{Since: day.Add(8 * time.Minute)}, 2},
		{"until", trace.Query{Until: day.Add(8 * time.Minute)}, 8},
		{"id", trace.Query{TraceID: trace.TraceID{1, 4}}, 1},
		{"id of nothing", trace.Query{TraceID: trace.TraceID{9}}, 0},
		{"id and another name", trace.Query{TraceID: trace.TraceID{1, 4}, Name: "n1"}, 0},
		{"tags", trace.Query{Tags: map[string]string{"a": "b"}}, 0},
	} {
		p, err := m.Search(t.Context(), c.q)
		if err != nil || len(p.Traces) != c.want {
			t.Errorf("%s: %d traces %v, want %d", c.name, len(p.Traces), err, c.want)
		}
	}
	for _, cursor := range []string{"x", "1-2", "1-" + "zz345678901234567890123456789012", "-"} {
		if _, err := m.Search(t.Context(), trace.Query{After: cursor}); !errors.Is(err, trace.ErrInvalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestMemoryForgetsTheOldest(t *testing.T) {
	m := trace.NewStore(10, 0)
	fill(t, m, 25, func(i int) trace.SpanData { return trace.SpanData{} })
	if _, ok := m.Trace(trace.TraceID{1, 14}); ok || m.Len() != 10 {
		t.Errorf("%d spans are kept", m.Len())
	}
	if _, ok := m.Trace(trace.TraceID{1, 15}); !ok {
		t.Error("one of the newest is gone")
	}
	for range 100 { // a trace that never ends
		m.Report(t.Context(), []trace.SpanData{{Context: trace.SpanContext{TraceID: trace.TraceID{9}}}})
	}
	if m.Len() > 10 {
		t.Errorf("%d spans of one trace are kept", m.Len())
	}
	m.Reset()
	if m.Len() != 0 {
		t.Error("Reset left spans")
	}
}

func TestMemoryForgetsByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := trace.NewStore(0, time.Minute)
		fill(t, m, 1, func(int) trace.SpanData { return trace.SpanData{} })
		time.Sleep(59 * time.Second)
		if p, _ := m.Search(t.Context(), trace.Query{}); len(p.Traces) != 1 {
			t.Error("gone too early")
		}
		time.Sleep(2 * time.Second)
		if p, _ := m.Search(t.Context(), trace.Query{}); len(p.Traces) != 0 || m.Len() != 0 {
			t.Error("kept for too long")
		}
	})
}
