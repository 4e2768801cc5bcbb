package trace_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/micro/go-platform/trace"
)

// Samplers and propagators as users write them: values that can't be compared, which
// panic, or answer what makes no sense.
type (
	oddSampler    struct{ sample []func(trace.Params) bool }
	oddPropagator struct {
		extract []func(trace.Carrier) (trace.SpanContext, bool, error)
		inject  func(trace.SpanContext, trace.Carrier)
	}
)

func (s oddSampler) Sample(p trace.Params) bool { return s.sample[0](p) }
func (p oddPropagator) Extract(c trace.Carrier) (trace.SpanContext, bool, error) {
	return p.extract[0](c)
}
func (p oddPropagator) Inject(sc trace.SpanContext, c trace.Carrier) { p.inject(sc, c) }
func (oddPropagator) Fields() []string                               { return nil }

// Tracing fails no call: what of it is the user's and panics is passed over, and said in
// the log; the other forms of headers are read and written all the same.
func TestPartsOfTheUsersOwnMayPanic(t *testing.T) {
	none := func(trace.Carrier) (trace.SpanContext, bool, error) { return trace.SpanContext{}, false, nil }
	still := func(trace.SpanContext, trace.Carrier) {}
	for name, c := range map[string]struct {
		opts    []trace.Option
		kept    int // spans that are kept in the end
		bad     uint64
		reports string // what panicked, as the log says it; "": nothing did
	}{
		"well":            {[]trace.Option{trace.WithSampler(oddSampler{[]func(trace.Params) bool{func(trace.Params) bool { return true }}})}, 2, 0, ""},
		"sampler":         {[]trace.Option{trace.WithSampler(oddSampler{[]func(trace.Params) bool{func(trace.Params) bool { panic("boom") }}})}, 0, 0, "the sampler"},
		"sampler, a func": {[]trace.Option{trace.WithSampler(trace.SamplerFunc(func(trace.Params) bool { panic(errors.New("boom")) }))}, 0, 0, "the sampler"},
		"within ParentOr": {[]trace.Option{trace.WithSampler(trace.ParentOr(trace.SamplerFunc(func(trace.Params) bool { panic("boom") })))}, 0, 0, "the sampler"},
		"condition":       {[]trace.Option{trace.WithSampler(trace.Never()), trace.WithKeep(0, func(trace.SpanData) bool { panic("boom") }, trace.Failed)}, 2, 0, "a condition of WithKeep"},
		"extract":         {[]trace.Option{trace.WithExtract(oddPropagator{[]func(trace.Carrier) (trace.SpanContext, bool, error){func(trace.Carrier) (trace.SpanContext, bool, error) { panic("boom") }}, still}, trace.W3C())}, 2, 1, "a propagator"},
		"inject":          {[]trace.Option{trace.WithInject(oddPropagator{[]func(trace.Carrier) (trace.SpanContext, bool, error){none}, func(trace.SpanContext, trace.Carrier) { panic("boom") }}, trace.W3C())}, 2, 0, "a propagator"},
	} {
		lines := &strings.Builder{}
		store := trace.NewStore(10, 0)
		tr, err := trace.New(append(c.opts, trace.Memory(store), trace.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		header := trace.Header{}
		ctx, root := tr.Start(t.Context(), "root")
		tr.Inject(ctx, header)
		_, child := tr.Start(tr.Extract(t.Context(), header), "child")
		child.Error(errors.New("bad"))
		child.End()
		root.Error(errors.New("bad"))
		root.End()
		if child.Context().TraceID != root.Context().TraceID {
			t.Errorf("%s: the other forms of headers did not carry the trace", name)
		}
		if err := tr.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := store.Len(); got != c.kept {
			t.Errorf("%s: %d spans were kept, want %d", name, got, c.kept)
		}
		if got := tr.Stats().BadContext; got != c.bad {
			t.Errorf("%s: %d bad contexts, want %d", name, got, c.bad)
		}
		if text := lines.String(); (c.reports == "") == strings.Contains(text, "panicked") || !strings.Contains(text, c.reports) {
			t.Errorf("%s: the log says %q, want %q", name, text, c.reports)
		}
	}
}
