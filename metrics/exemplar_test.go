package metrics_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/trace"
)

func tracer(t testing.TB, s trace.Sampler) trace.Tracer {
	t.Helper()
	tr, err := trace.New(trace.Memory(trace.NewStore(100, time.Hour)), trace.WithSampler(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close(context.Background()) })
	return tr
}

// elsewhere is a span of another implementation.
type elsewhere struct{ trace.Span }

func TestExemplarsAreOfSampledSpans(t *testing.T) {
	always, never := tracer(t, trace.Ratio(1)), tracer(t, trace.Ratio(0))
	sampled, span := always.Start(t.Context(), "x")
	defer span.End()
	unsampled, other := never.Start(sampled, "x", trace.Root())
	defer other.End()
	type key struct{}
	for name, c := range map[string]struct {
		ctx  context.Context
		want bool
	}{
		"sampled":                    {sampled, true},
		"below":                      {context.WithValue(sampled, key{}, 1), true},
		"remote":                     {trace.ContextWithRemote(t.Context(), span.Context()), true},
		"another implementation's":   {trace.ContextWithSpan(t.Context(), elsewhere{span}), true},
		"unsampled":                  {unsampled, false},
		"unsampled remote":           {trace.ContextWithRemote(sampled, other.Context()), false},
		"unsampled, another's":       {trace.ContextWithSpan(sampled, elsewhere{other}), false},
		"no span":                    {t.Context(), false},
		"a span was taken out again": {trace.ContextWithSpan(sampled, nil), false},
		"nil":                        {nil, false},
	} {
		m := open(t)
		h := m.Histogram("h", metrics.Buckets(1, 2))
		h.ObserveContext(c.ctx, 2)
		s := find(t, m, "h")
		if s.Count != 1 || s.Buckets[1] != 1 || s.Sum != 2 {
			t.Errorf("%s: not observed: %+v", name, s)
		}
		if !c.want {
			if s.Exemplars != nil {
				t.Errorf("%s: %+v, want no exemplar", name, s.Exemplars)
			}
			continue
		}
		if len(s.Exemplars) != 3 {
			t.Errorf("%s: %+v, want one for each bucket", name, s.Exemplars)
			continue
		}
		e := s.Exemplars[1]
		if e.Value != 2 || e.TraceID != span.Context().TraceID || e.SpanID != span.Context().SpanID || time.Since(e.Time) > time.Minute {
			t.Errorf("%s: %+v", name, e)
		}
		if !s.Exemplars[0].Time.IsZero() || !s.Exemplars[2].Time.IsZero() {
			t.Errorf("%s: exemplars of empty buckets: %+v", name, s.Exemplars)
		}
	}
}

func TestTheNewestExemplarStays(t *testing.T) {
	tr := tracer(t, trace.Ratio(1))
	m := open(t)
	h := m.Histogram("h", metrics.Buckets(1, 2))
	var last trace.SpanContext
	for i := range 10 {
		ctx, span := tr.Start(t.Context(), "x", trace.Root())
		h.ObserveContext(ctx, 1+float64(i+1)/10)
		last = span.Context()
		span.End()
	}
	ctx, span := tr.Start(t.Context(), "x")
	defer span.End()
	h.ObserveContext(ctx, math.NaN())
	h.ObserveContext(ctx, math.Inf(1))
	h.Observe(1.5)
	s := find(t, m, "h")
	if e := s.Exemplars[1]; e.Value != 2 || e.TraceID != last.TraceID || s.Count != 11 {
		t.Errorf("%+v of %d, want the tenth's", e, s.Count)
	}
	if e := s.Exemplars[2]; !e.Time.IsZero() {
		t.Errorf("what is ignored is an exemplar: %+v", e)
	}
}

func TestExemplarsOfManyAtOnceAreWhole(t *testing.T) {
	tr := tracer(t, trace.Ratio(1))
	m := open(t)
	h := m.Histogram("h", metrics.Buckets(4))
	made := map[trace.TraceID]float64{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ctx, span := tr.Start(t.Context(), "x", trace.Root())
			defer span.End()
			mu.Lock()
			made[span.Context().TraceID] = float64(i)
			mu.Unlock()
			for range 500 {
				h.ObserveContext(ctx, float64(i))
				m.Snapshot()
			}
		})
	}
	wg.Wait()
	s := find(t, m, "h")
	for _, e := range s.Exemplars {
		if v, ok := made[e.TraceID]; !ok || v != e.Value {
			t.Errorf("%+v is of nobody", e)
		}
	}
	if s.Count != 4000 || len(s.Exemplars) != 2 {
		t.Errorf("%d observations, %d exemplars", s.Count, len(s.Exemplars))
	}
}

func TestExemplarsDoNotAllocate(t *testing.T) {
	always, never := tracer(t, trace.Ratio(1)), tracer(t, trace.Ratio(0))
	sampled, span := always.Start(t.Context(), "x")
	defer span.End()
	unsampled, other := never.Start(t.Context(), "x")
	defer other.End()
	h := open(t).Histogram("h")
	for name, ctx := range map[string]context.Context{"sampled": sampled, "unsampled": unsampled, "no span": t.Context()} {
		h.ObserveContext(ctx, 1)
		if n := testing.AllocsPerRun(100, func() { h.ObserveContext(ctx, 1) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
