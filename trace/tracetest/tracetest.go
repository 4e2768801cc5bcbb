// Package tracetest is the conformance suite of reporters: what a driver of
// package trace has to bring to its backend.
//
//	func TestConformance(t *testing.T) {
//		tracetest.Run(t, tracetest.Harness{Backend: …, Read: …})
//	}
package tracetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/trace"
)

// Harness is one backend.
type Harness struct {
	// Backend returns the option of a reporter to a backend that is up.
	Backend func(t testing.TB) trace.Option
	// Read returns what the backend has of a trace, in any order; it needs
	// not wait. Nil asks Tracer.Search.
	Read func(t testing.TB, id trace.TraceID) []trace.SpanData
	// Down returns the option of a reporter to an address where nobody
	// listens; nil leaves its cases out.
	Down func(t testing.TB) trace.Option
	Features
}

// Features say what a backend keeps. What it doesn't is not compared.
type Features struct {
	Resolution time.Duration // of times
	LowerCase  bool          // names and services come back in lower case
	Addresses  bool          // endpoints have addresses
	TypedTags  bool          // tags keep their kinds; else they are text
	EventTags  bool          // else they are text behind the event's name
	Links      bool
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	leak.Check(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"a whole span arrives as it was", h.wholeSpan},
		{"every kind arrives", h.kinds},
		{"odd text arrives or is harmless", h.oddText},
		{"parents and children arrive", h.family},
		{"many spans from many goroutines all arrive", h.many},
		{"what waits arrives at Close", h.close},
		{"a server that is down", h.down},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (h Harness) open(t testing.TB, opts ...trace.Option) trace.Tracer {
	t.Helper()
	tr, err := trace.New(append([]trace.Option{h.Backend(t), trace.WithLocal(trace.Endpoint{Service: "Shop", Address: "10.1.2.3:8080"})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close(context.Background()) })
	return tr
}

// read waits until the backend has n spans of the trace.
func (h Harness) read(t testing.TB, tr trace.Tracer, id trace.TraceID, n int) []trace.SpanData {
	t.Helper()
	var got []trace.SpanData
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if h.Read != nil {
			got = h.Read(t, id)
		} else {
			page, err := tr.Search(t.Context(), trace.Query{TraceID: id})
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, one := range page.Traces {
				got = append(got, one.Spans...)
			}
		}
		if len(got) >= n || time.Now().After(deadline) {
			break
		}
	}
	if len(got) != n {
		t.Fatalf("the backend has %d spans of trace %s, want %d", len(got), id, n)
	}
	return got
}

func (h Harness) text(s string) string {
	if h.LowerCase {
		return strings.ToLower(s)
	}
	return s
}

func (h Harness) flush(t testing.TB, tr trace.Tracer) {
	t.Helper()
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h Harness) wholeSpan(t *testing.T) {
	tr := h.open(t)
	start := time.Now().Add(-time.Minute).Truncate(time.Microsecond).Add(123)
	other := trace.SpanContext{TraceID: trace.TraceID{1, 2, 15: 3}, SpanID: trace.SpanID{4, 7: 5}}
	_, s := tr.Start(t.Context(), "Charge Card", trace.OfKind(trace.Client), trace.StartAt(start),
		trace.Remote(trace.Endpoint{Service: "Bank", Address: "10.9.8.7:443"}), trace.LinkTo(other))
	s.Tag("text", "ä \"quoted\"")
	s.TagInt("int", -42)
	s.TagFloat("float", 2.5)
	s.TagBool("bool", true)
	noted := time.Now().Add(-h.Resolution)
	s.Event("retry", slog.Int("attempt", 2))
	s.Error(errors.New("card refused"))
	s.EndAt(start.Add(1500 * time.Microsecond))
	h.flush(t, tr)
	got := h.read(t, tr, s.Context().TraceID, 1)[0]

	sc := s.Context()
	if got.Context.SpanID != sc.SpanID || got.Context.TraceID != sc.TraceID || !got.Context.ParentID.IsZero() {
		t.Errorf("ids %+v, want %+v", got.Context, sc)
	}
	if got.Name != h.text("Charge Card") || got.Kind != trace.Client || got.Err != "card refused" || got.Shared {
		t.Errorf("got %+v", got)
	}
	if d := got.Start.Sub(start).Abs(); d > h.Resolution {
		t.Errorf("start %v, want %v", got.Start, start)
	}
	if d := (got.Duration - 1500*time.Microsecond).Abs(); d > h.Resolution {
		t.Errorf("duration %v, want 1.5ms", got.Duration)
	}
	if got.Local.Service != h.text("Shop") || got.Remote.Service != h.text("Bank") {
		t.Errorf("services %q and %q", got.Local.Service, got.Remote.Service)
	}
	if h.Addresses && (got.Local.Address != "10.1.2.3:8080" || got.Remote.Address != "10.9.8.7:443") {
		t.Errorf("addresses %q and %q", got.Local.Address, got.Remote.Address)
	}
	for key, want := range map[string]slog.Value{
		"text": slog.StringValue("ä \"quoted\""), "int": slog.Int64Value(-42), "float": slog.Float64Value(2.5), "bool": slog.BoolValue(true),
	} {
		i := slices.IndexFunc(got.Tags, func(a trace.Tag) bool { return a.Key == key })
		switch {
		case i < 0:
			t.Errorf("tag %s is lost", key)
		case got.Tags[i].Value.String() != want.String(), h.TypedTags && got.Tags[i].Value.Kind() != want.Kind():
			t.Errorf("tag %s is %v (%v), want %v", key, got.Tags[i].Value, got.Tags[i].Value.Kind(), want)
		}
	}
	if len(got.Events) != 1 {
		t.Fatalf("events %+v", got.Events)
	}
	if e := got.Events[0]; h.EventTags && (e.Name != "retry" || fmt.Sprint(e.Tags) != "[attempt=2]") || !h.EventTags && e.Name != "retry attempt=2" {
		t.Errorf("event %+v", e)
	}
	if at := got.Events[0].Time; at.Before(noted) || at.After(noted.Add(time.Minute)) {
		t.Errorf("event at %v, want soon after %v", at, noted)
	}
	if h.Links && (len(got.Links) != 1 || got.Links[0].Context.SpanID != other.SpanID || got.Links[0].Context.TraceID != other.TraceID) {
		t.Errorf("links %+v", got.Links)
	}
}

func (h Harness) kinds(t *testing.T) {
	tr := h.open(t)
	ctx, root := tr.Start(t.Context(), "root")
	want := map[trace.SpanID]trace.Kind{root.Context().SpanID: trace.Internal}
	for _, k := range []trace.Kind{trace.Internal, trace.Server, trace.Client, trace.Producer, trace.Consumer} {
		_, s := tr.Start(ctx, k.String(), trace.OfKind(k))
		want[s.Context().SpanID] = k
		s.End()
	}
	root.End()
	h.flush(t, tr)
	for _, s := range h.read(t, tr, root.Context().TraceID, len(want)) {
		if s.Kind != want[s.Context.SpanID] {
			t.Errorf("%s came back as %s", want[s.Context.SpanID], s.Kind)
		}
	}
}

func (h Harness) oddText(t *testing.T) {
	tr := h.open(t)
	ctx, root := tr.Start(t.Context(), "root")
	odd := []string{"", " ", "\x00", "\xff\xfe", "a\nb", "</script>", "\u2028", strings.Repeat("ü", 5000), "link.0", "error"}
	for _, text := range odd {
		_, s := tr.Start(ctx, text, trace.Remote(trace.Endpoint{Service: text, Address: text}))
		s.Tag(text, text)
		s.Event(text)
		s.Error(errors.New(text))
		s.End()
	}
	root.End()
	h.flush(t, tr)
	h.read(t, tr, root.Context().TraceID, len(odd)+1)
}

func (h Harness) family(t *testing.T) {
	tr := h.open(t)
	ctx, root := tr.Start(t.Context(), "root")
	parents := map[trace.SpanID]trace.SpanID{root.Context().SpanID: {}}
	for range 5 {
		parent := trace.FromContext(ctx).Context().SpanID
		var s trace.Span
		ctx, s = tr.Start(ctx, "below")
		parents[s.Context().SpanID] = parent
		s.End()
	}
	root.End()
	h.flush(t, tr)
	for _, s := range h.read(t, tr, root.Context().TraceID, 6) {
		if want := parents[s.Context.SpanID]; s.Context.ParentID != want {
			t.Errorf("span %s has parent %s, want %s", s.Context.SpanID, s.Context.ParentID, want)
		}
	}
}

func (h Harness) many(t *testing.T) {
	tr := h.open(t)
	ctx, root := tr.Start(t.Context(), "root")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 125 {
				_, s := tr.Start(ctx, "one")
				s.Tag("k", "v")
				s.End()
			}
		})
	}
	wg.Wait()
	root.End()
	h.flush(t, tr)
	ids := map[trace.SpanID]bool{}
	for _, s := range h.read(t, tr, root.Context().TraceID, 1001) {
		ids[s.Context.SpanID] = true
	}
	if len(ids) != 1001 {
		t.Errorf("%d different spans, want 1001", len(ids))
	}
	if s := tr.Stats().Reporters[0]; s.Sent != 1001 || s.Lost() != 0 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

func (h Harness) close(t *testing.T) {
	tr := h.open(t, trace.WithBatch(1000, time.Hour))
	_, s := tr.Start(t.Context(), "last words")
	s.End()
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.read(t, h.open(t), s.Context().TraceID, 1)
}

func (h Harness) down(t *testing.T) {
	if h.Down == nil {
		t.Skip("this backend can't be down")
	}
	began := time.Now()
	if tr, err := trace.New(h.Down(t), trace.WithDialTimeout(2*time.Second)); !errors.Is(err, trace.ErrUnavailable) || tr != nil {
		t.Errorf("New: %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("New took %v", took)
	}
	tr, err := trace.New(h.Down(t), trace.WithLazy(), trace.WithBatch(1, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	_, s := tr.Start(t.Context(), "lost")
	s.End()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := tr.Close(ctx); !errors.Is(err, trace.ErrDropped) {
		t.Errorf("Close: %v, want ErrDropped", err)
	}
}
