package otel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otel"
)

// What a library asks of OpenTelemetry's spans, ours have.
func TestEachPartOfALibrarysSpan(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	all := []attribute.KeyValue{attribute.Int("i", 1), attribute.Float64("f", 1.5), attribute.Bool("b", true), attribute.String("s", "x")}
	const written = "[i=1 f=1.5 b=true s=x]"
	for name, c := range map[string]struct {
		opts []oteltrace.SpanStartOption
		do   func(s oteltrace.Span)
		ok   func(d trace.SpanData) bool
	}{
		"internal":      {nil, nil, func(d trace.SpanData) bool { return d.Kind == trace.Internal }},
		"a server's":    {[]oteltrace.SpanStartOption{oteltrace.WithSpanKind(oteltrace.SpanKindServer)}, nil, func(d trace.SpanData) bool { return d.Kind == trace.Server }},
		"its beginning": {[]oteltrace.SpanStartOption{oteltrace.WithTimestamp(at)}, nil, func(d trace.SpanData) bool { return d.Start.Equal(at) && d.Duration > time.Minute }},
		"no beginning":  {nil, nil, func(d trace.SpanData) bool { return d.Start.After(at.Add(time.Minute)) }},
		"its end":       {[]oteltrace.SpanStartOption{oteltrace.WithTimestamp(at)}, func(s oteltrace.Span) { s.End(oteltrace.WithTimestamp(at.Add(time.Second))) }, func(d trace.SpanData) bool { return d.Duration == time.Second }},
		"a link":        {[]oteltrace.SpanStartOption{oteltrace.WithLinks(oteltrace.Link{SpanContext: root2(), Attributes: all})}, nil, func(d trace.SpanData) bool { return len(d.Links) == 1 && fmt.Sprint(d.Links[0].Tags) == written }},
		"attributes":    {[]oteltrace.SpanStartOption{oteltrace.WithAttributes(all...)}, nil, func(d trace.SpanData) bool { return fmt.Sprint(d.Tags) == written }},
		"an event":      {nil, func(s oteltrace.Span) { s.AddEvent("e", oteltrace.WithAttributes(all...)) }, func(d trace.SpanData) bool { return len(d.Events) == 1 && fmt.Sprint(d.Events[0].Tags) == written }},
		"another name":  {nil, func(s oteltrace.Span) { s.SetName("b") }, func(d trace.SpanData) bool { return d.Name == "b" }},
		"an error": {nil, func(s oteltrace.Span) { s.RecordError(errors.New("bad")) }, func(d trace.SpanData) bool {
			return len(d.Events) == 1 && d.Err == "" && strings.Contains(fmt.Sprint(d.Events[0].Tags), "bad")
		}},
		"no error":        {nil, func(s oteltrace.Span) { s.RecordError(nil) }, func(d trace.SpanData) bool { return len(d.Events) == 0 }},
		"it failed":       {nil, func(s oteltrace.Span) { s.SetStatus(codes.Error, "bad") }, func(d trace.SpanData) bool { return d.Err == "bad" }},
		"it did not":      {nil, func(s oteltrace.Span) { s.SetStatus(codes.Ok, "fine") }, func(d trace.SpanData) bool { return d.Err == "" }},
		"it is recording": {nil, func(s oteltrace.Span) { s.SetName(fmt.Sprint(s.IsRecording())) }, func(d trace.SpanData) bool { return d.Name == "true" }},
	} {
		store := trace.NewStore(0, 0)
		tr, err := trace.New(trace.Memory(store))
		if err != nil {
			t.Fatal(err)
		}
		//lint:ignore SA1012 some give none
		_, s := otel.Provider(tr).Tracer("library").Start(nil, "a", c.opts...)
		if c.do != nil {
			c.do(s)
		}
		s.End()
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
		got, _ := store.Trace(trace.TraceID(s.SpanContext().TraceID()))
		i := slices.IndexFunc(got.Spans, func(d trace.SpanData) bool { return d.Context.SpanID == trace.SpanID(s.SpanContext().SpanID()) })
		if i < 0 || !c.ok(got.Spans[i]) {
			t.Errorf("%s: %+v", name, got.Spans)
		}
	}
}

// Whose child a library's span is.
func TestParentsOfALibrarysSpan(t *testing.T) {
	tr, err := trace.New(trace.Memory(trace.NewStore(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(context.WithoutCancel(t.Context()))
	p := otel.Provider(tr)
	lib := p.Tracer("library")
	ours, root := tr.Start(t.Context(), "ours")
	defer root.End()
	remote := oteltrace.ContextWithRemoteSpanContext(t.Context(), root2())
	for name, c := range map[string]struct {
		ctx    context.Context
		opts   []oteltrace.SpanStartOption
		parent trace.SpanID
	}{
		"nobody's":           {t.Context(), nil, trace.SpanID{}},
		"ours":               {ours, nil, root.Context().SpanID},
		"a propagator's":     {remote, nil, trace.SpanID{2}},
		"a root":             {ours, []oteltrace.SpanStartOption{oteltrace.WithNewRoot()}, trace.SpanID{}},
		"a root, from there": {remote, []oteltrace.SpanStartOption{oteltrace.WithNewRoot()}, trace.SpanID{}},
	} {
		ctx, s := lib.Start(c.ctx, "a", c.opts...)
		s.End()
		if got := trace.FromContext(ctx).Context(); got.ParentID != c.parent || s.TracerProvider() != p {
			t.Errorf("%s: %+v, want the parent %s", name, got, c.parent)
		}
	}
}

// What our spans are in OpenTelemetry's SDK.
func TestEachPartOfOurSpan(t *testing.T) {
	other := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}
	tags := []trace.Tag{slog.Int("i", 1), slog.Float64("f", 1.5), slog.Bool("b", true), slog.String("s", "x")}
	same := func(got []attribute.KeyValue) bool {
		return slices.Equal(got, []attribute.KeyValue{attribute.Int("i", 1), attribute.Float64("f", 1.5), attribute.Bool("b", true), attribute.String("s", "x")})
	}
	remote := func(service, address string, want ...attribute.KeyValue) (func(trace.Span), func(sdktrace.ReadOnlySpan) bool) {
		return func(s trace.Span) { s.SetRemote(trace.Endpoint{Service: service, Address: address}) },
			func(d sdktrace.ReadOnlySpan) bool { return slices.Equal(d.Attributes(), want) }
	}
	nowhere, isNowhere := remote("", "")
	named, isNamed := remote("bank", "", attribute.String("service.peer.name", "bank"))
	at, isAt := remote("", "10.0.0.1:443", attribute.String("network.peer.address", "10.0.0.1"), attribute.Int("network.peer.port", 443))
	host, isHost := remote("", "host", attribute.String("network.peer.address", "host"))
	for name, c := range map[string]struct {
		do func(s trace.Span)
		ok func(d sdktrace.ReadOnlySpan) bool
	}{
		"an event":        {func(s trace.Span) { s.Event("e", tags...) }, func(d sdktrace.ReadOnlySpan) bool { return len(d.Events()) == 1 && same(d.Events()[0].Attributes) }},
		"a link":          {func(s trace.Span) { s.Link(other, tags...) }, func(d sdktrace.ReadOnlySpan) bool { return len(d.Links()) == 1 && same(d.Links()[0].Attributes) }},
		"a link to none":  {func(s trace.Span) { s.Link(trace.SpanContext{}) }, func(d sdktrace.ReadOnlySpan) bool { return len(d.Links()) == 0 }},
		"an error":        {func(s trace.Span) { s.Error(errors.New("bad")) }, func(d sdktrace.ReadOnlySpan) bool { return d.Status().Code == codes.Error }},
		"no error":        {func(s trace.Span) { s.Error(nil) }, func(d sdktrace.ReadOnlySpan) bool { return d.Status().Code == codes.Unset }},
		"another name":    {func(s trace.Span) { s.SetName("b") }, func(d sdktrace.ReadOnlySpan) bool { return d.Name() == "b" }},
		"it is recording": {func(s trace.Span) { s.SetName(fmt.Sprint(s.Recording())) }, func(d sdktrace.ReadOnlySpan) bool { return d.Name() == "true" }},
		"nowhere":         {nowhere, isNowhere}, "a service": {named, isNamed}, "an address": {at, isAt}, "a host": {host, isHost},
	} {
		p, exported := sdk(t)
		tr, err := otel.New(p)
		if err != nil {
			t.Fatal(err)
		}
		_, s := tr.Start(t.Context(), "a")
		c.do(s)
		s.End()
		if all := exported.GetSpans().Snapshots(); len(all) != 1 || !c.ok(all[0]) {
			t.Errorf("%s: %+v", name, exported.GetSpans())
		}
	}
}

// Whose child our span is, and what is counted.
func TestParentsOfOurSpan(t *testing.T) {
	p, _ := sdk(t)
	tr, err := otel.New(p)
	if err != nil {
		t.Fatal(err)
	}
	theirs, above := p.Tracer("x").Start(t.Context(), "theirs")
	other := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Flags: trace.Sampled}
	remote := trace.ContextWithRemote(t.Context(), other)
	for name, c := range map[string]struct {
		ctx    context.Context
		opts   []trace.SpanOption
		parent trace.SpanID
	}{
		"nobody's":        {t.Context(), nil, trace.SpanID{}},
		"theirs":          {theirs, nil, trace.SpanID(above.SpanContext().SpanID())},
		"a remote one's":  {remote, nil, other.SpanID},
		"as it is told":   {theirs, []trace.SpanOption{trace.ChildOf(other)}, other.SpanID},
		"a root":          {theirs, []trace.SpanOption{trace.Root()}, trace.SpanID{}},
		"a root, from it": {remote, []trace.SpanOption{trace.Root()}, trace.SpanID{}},
	} {
		_, s := tr.Start(c.ctx, "a", c.opts...)
		s.End()
		if got := s.Context(); got.ParentID != c.parent {
			t.Errorf("%s: %+v, want the parent %s", name, got, c.parent)
		}
	}
	if n := tr.Stats(); n.Started != 6 || n.Sampled != 6 {
		t.Errorf("%+v", n)
	}
}

// Headers that make no sense are counted, and those that are about something else are not.
func TestBadHeadersAreCounted(t *testing.T) {
	p, _ := sdk(t)
	tr, err := otel.New(p)
	if err != nil {
		t.Fatal(err)
	}
	want := uint64(0)
	for _, c := range []struct {
		h   trace.Header
		bad uint64
	}{
		{trace.Header{}, 0}, {trace.Header{"Tracestate": {"a=1"}}, 0}, {trace.Header{"X": {"garbage"}}, 0}, {trace.Header{"Traceparent": {"garbage"}}, 1},
	} {
		want += c.bad
		tr.Extract(t.Context(), c.h)
		if n := tr.Stats().BadContext; n != want {
			t.Errorf("%v: %d are bad, want %d", c.h, n, want)
		}
	}
}

// ending is a provider that is flushed and shut down with an error.
type ending struct {
	noop.TracerProvider
	err error
}

func (e ending) ForceFlush(context.Context) error { return e.err }
func (e ending) Shutdown(context.Context) error   { return e.err }

// Flush and Close are the provider's, if it has them.
func TestEndsOfProviders(t *testing.T) {
	bad := errors.New("not sent")
	for name, c := range map[string]struct {
		p    oteltrace.TracerProvider
		want error
	}{"none": {nil, nil}, "one without": {noop.NewTracerProvider(), nil}, "well": {ending{}, nil}, "bad": {ending{err: bad}, bad}} {
		tr, err := otel.New(c.p)
		if err != nil {
			t.Fatal(err)
		}
		ctx, s := tr.Start(t.Context(), "a")
		if n := tr.Stats(); (ctx == t.Context()) != (c.p == nil) || s.Recording() || n.Sampled != 0 || (n.Started == 0) != (c.p == nil) {
			t.Errorf("%s: %+v", name, n)
		}
		s.End()
		if err := tr.Flush(t.Context()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: Flush: %v", name, err)
		}
		if err := tr.Close(t.Context()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: Close: %v", name, err)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Errorf("%s: again: %v", name, err)
		}
		if err := tr.Flush(t.Context()); !errors.Is(err, trace.ErrClosed) {
			t.Errorf("%s: Flush after Close: %v", name, err)
		}
	}
	if tr, err := otel.New(nil, nil); tr != nil || !errors.Is(err, trace.ErrInvalid) {
		t.Errorf("a nil option: %v", err)
	}
	if tr, err := otel.New(nil, otel.WithPropagator(nil)); tr != nil || !errors.Is(err, trace.ErrInvalid) {
		t.Errorf("a nil propagator: %v", err)
	}
}
