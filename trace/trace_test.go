package trace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/trace"
)

func TestEverySpanNamesItsService(t *testing.T) {
	at := trace.WithLocal(trace.Endpoint{Address: "10.0.0.1:80"})
	for name, c := range map[string]struct {
		opts []trace.Option
		want trace.Endpoint
	}{
		"neither":           {nil, trace.Endpoint{}},
		"the service":       {[]trace.Option{trace.WithService("orders")}, trace.Endpoint{Service: "orders"}},
		"then its address":  {[]trace.Option{trace.WithService("orders"), at}, trace.Endpoint{Service: "orders", Address: "10.0.0.1:80"}},
		"the address first": {[]trace.Option{at, trace.WithService("orders")}, trace.Endpoint{Service: "orders", Address: "10.0.0.1:80"}},
		"another service":   {[]trace.Option{trace.WithService("orders"), trace.WithLocal(trace.Endpoint{Service: "shop"})}, trace.Endpoint{Service: "shop"}},
	} {
		tr, store := newTracer(t, c.opts...)
		ctx, outer := tr.Start(t.Context(), "outer", trace.OfKind(trace.Server))
		_, inner := tr.Start(ctx, "inner", trace.OfKind(trace.Client), trace.Remote(trace.Endpoint{Service: "bank"}))
		inner.End()
		outer.End()
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, _ := store.Trace(outer.Context().TraceID)
		if len(got.Spans) != 2 || got.Spans[0].Local != c.want || got.Spans[1].Local != c.want {
			t.Errorf("%s: %+v, want %+v in both", name, got.Spans, c.want)
		}
	}
	if _, err := trace.New(trace.WithService("")); !errors.Is(err, trace.ErrInvalid) {
		t.Errorf("a service without a name: %v", err)
	}
}

// A→B→C is one trace with the right parents, and the server names its own service.
func TestParentChainOverThreeServices(t *testing.T) {
	store := trace.NewStore(0, 0)
	var tracers []trace.Tracer
	for _, name := range []string{"a", "b", "c"} {
		tr, err := trace.New(trace.Memory(store), trace.WithService(name))
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close(t.Context())
		tracers = append(tracers, tr)
	}
	ctx, root := tracers[0].Start(t.Context(), "a")
	client := root
	ends := []trace.Span{root}
	for _, tr := range tracers[1:] {
		h := trace.Header{}
		ctx, client = tr.Start(ctx, "call", trace.OfKind(trace.Client), trace.Remote(trace.Endpoint{Service: "next"}))
		tr.Inject(ctx, h)
		ends = append(ends, client)
		var server trace.Span
		ctx, server = tr.Start(tr.Extract(context.Background(), h), "serve", trace.OfKind(trace.Server))
		if server.Context().ParentID != client.Context().SpanID || server.Context().TraceID != root.Context().TraceID {
			t.Errorf("server %+v is no child of %+v", server.Context(), client.Context())
		}
		ends = append(ends, server)
	}
	for _, s := range ends {
		s.End()
	}
	for _, tr := range tracers {
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := store.Trace(root.Context().TraceID)
	if !ok || len(got.Spans) != 5 {
		t.Fatalf("%d spans, want 5", len(got.Spans))
	}
	services := map[string]int{}
	for _, s := range got.Spans {
		services[s.Local.Service]++
	}
	if services["a"] != 1 || services["b"] != 2 || services["c"] != 2 {
		t.Errorf("spans by service: %v", services)
	}
}

// The platform's first tracer lost half of its spans on an idle machine.
func TestIdleTracerLosesNothingWithDefaultOptions(t *testing.T) {
	store := trace.NewStore(0, 0)
	tr, err := trace.New(trace.Memory(store))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		_, s := tr.Start(t.Context(), fmt.Sprint(i))
		s.End()
		if i%1000 == 999 { // a thousand fit the queue
			if err := tr.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tr.Close(t.Context()); err != nil || store.Len() != 5000 {
		t.Errorf("%d of 5000 spans arrived: %v", store.Len(), err)
	}
}

func TestSpanData(t *testing.T) {
	tr, store := newTracer(t, trace.WithLocal(trace.Endpoint{Service: "svc", Address: "10.0.0.1:80"}))
	start := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	other := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}
	_, s := tr.Start(t.Context(), "first", trace.OfKind(trace.Client), trace.StartAt(start), trace.LinkTo(other, slog.Int("n", 1)))
	s.SetName("second")
	s.SetRemote(trace.Endpoint{Service: "db", Address: "10.0.0.2:5432"})
	s.Tag("a", "1")
	s.TagInt("b", -2)
	s.TagFloat("c", 2.5)
	s.TagBool("d", true)
	s.Tag("e", "5")
	s.Tag("a", "again")
	s.Event("retry", slog.Int("attempt", 2))
	s.Link(trace.SpanContext{}) // leads nowhere
	s.Error(nil)
	s.Error(errors.New("first error"))
	s.Error(errors.New("second error"))
	s.EndAt(start.Add(1500 * time.Microsecond))
	s.EndAt(start.Add(time.Hour))
	s.Tag("late", "x")
	s.SetName("late")
	s.Event("late")
	s.Error(errors.New("late"))
	s.SetRemote(trace.Endpoint{})
	s.Link(other)
	if s.Recording() {
		t.Error("an ended span records")
	}
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := store.Trace(s.Context().TraceID)
	d := got.Spans[0]
	if d.Name != "second" || d.Kind != trace.Client || !d.Start.Equal(start) || d.Duration != 1500*time.Microsecond ||
		d.Local.Address != "10.0.0.1:80" || d.Remote.Service != "db" || d.Err != "first error" || d.Dropped != 0 {
		t.Errorf("span %+v", d)
	}
	if s := fmt.Sprint(d.Tags); s != "[a=again b=-2 c=2.5 d=true e=5]" {
		t.Errorf("tags %s", s)
	}
	if len(d.Events) != 1 || d.Events[0].Name != "retry" || fmt.Sprint(d.Events[0].Tags) != "[attempt=2]" {
		t.Errorf("events %+v", d.Events)
	}
	if len(d.Links) != 1 || d.Links[0].Context.SpanID != other.SpanID {
		t.Errorf("links %+v", d.Links)
	}
}

func TestAnEndBeforeTheStartIsADurationOfZero(t *testing.T) {
	tr, store := newTracer(t)
	_, s := tr.Start(t.Context(), "x")
	s.EndAt(time.Now().Add(-time.Hour))
	tr.Flush(t.Context())
	got, _ := store.Trace(s.Context().TraceID)
	if d := got.Spans[0].Duration; d != 0 {
		t.Errorf("duration %v", d)
	}
}

func TestSpanLimits(t *testing.T) {
	tr, store := newTracer(t, trace.WithLimits(trace.Limits{Tags: 2, Events: 1, Links: 1, ValueBytes: 5}))
	_, s := tr.Start(t.Context(), "x")
	for i := range 10 {
		s.Tag(fmt.Sprint(i), "ääää")
		s.Event("e", slog.Int("1", 1), slog.Int("2", 2), slog.Int("3", 3))
		s.Link(trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	}
	s.End()
	tr.Flush(t.Context())
	got, _ := store.Trace(s.Context().TraceID)
	d := got.Spans[0]
	if len(d.Tags) != 2 || len(d.Events) != 1 || len(d.Links) != 1 || d.Dropped != 8+9+9+1 {
		t.Errorf("%d tags, %d events, %d links, %d dropped", len(d.Tags), len(d.Events), len(d.Links), d.Dropped)
	}
	if v := d.Tags[0].Value.String(); v != "ää" {
		t.Errorf("value cut to %q, want whole characters in 5 bytes", v)
	}
}

func TestFanOutFromOneContext(t *testing.T) {
	tr, store := newTracer(t)
	ctx, root := tr.Start(t.Context(), "root")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, s := tr.Start(ctx, "child")
			root.Tag("k", "v")
			root.Event("e")
			tr.Inject(ctx, trace.Header{})
			trace.ContextAttrs(ctx, nil)
			s.End()
		})
	}
	wg.Wait()
	root.End()
	tr.Flush(t.Context())
	got, _ := store.Trace(root.Context().TraceID)
	if len(got.Spans) != 51 {
		t.Errorf("%d spans, want 51", len(got.Spans))
	}
}

func TestContextIsTheParents(t *testing.T) {
	tr, _ := newTracer(t)
	type key struct{}
	for _, opts := range [][]trace.SpanOption{nil} {
		parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, 7))
		ctx, s := tr.Start(parent, "x", opts...)
		child, stop := context.WithTimeout(ctx, time.Hour)
		if child.Value(key{}) != 7 || trace.FromContext(child) != s {
			t.Error("values are lost")
		}
		cause := errors.New("cause")
		cancel(cause)
		<-child.Done()
		if context.Cause(child) != cause {
			t.Errorf("cause %v", context.Cause(child))
		}
		stop()
		s.End()
	}
}

func TestFromContextIsNeverNil(t *testing.T) {
	s := trace.FromContext(t.Context())
	s.Tag("a", "b")
	s.Event("x")
	s.Error(errors.New("x"))
	s.SetName("x")
	s.Link(trace.SpanContext{})
	s.End()
	if s.Recording() || s.Context().IsValid() {
		t.Error("a span out of nothing")
	}
	if a := trace.ContextAttrs(t.Context(), nil); a != nil {
		t.Errorf("attributes %v out of nothing", a)
	}
}

func TestContextAttrs(t *testing.T) {
	for _, sampler := range []trace.Sampler{trace.Always(), trace.Never()} {
		tr, _ := newTracer(t, trace.WithSampler(sampler))
		ctx, s := tr.Start(t.Context(), "x")
		want := fmt.Sprintf("[trace_id=%s span_id=%s trace_flags=%02x]", s.Context().TraceID, s.Context().SpanID, byte(s.Context().Flags&(trace.Sampled|trace.Random)))
		if got := fmt.Sprint(trace.ContextAttrs(ctx, nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		s.End()
	}
	remote := trace.ContextWithRemote(t.Context(), trace.SpanContext{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 2}})
	if got := fmt.Sprint(trace.ContextAttrs(remote, nil)); !strings.Contains(got, "span_id=0000000000000002") {
		t.Errorf("a caller's context gives %s", got)
	}
}

func TestSamplers(t *testing.T) {
	share := func(s trace.Sampler, n int) float64 {
		tr, _ := newTracer(t, trace.WithSampler(s), trace.WithQueue(10, 1000))
		for range n {
			_, span := tr.Start(t.Context(), "x")
			span.End()
		}
		return float64(tr.Stats().Sampled) / float64(n)
	}
	if s := share(trace.Ratio(0.1), 10_000); math.Abs(s-0.1) > 0.01 {
		t.Errorf("Ratio(0.1) sampled %v of 10000", s)
	}
	for p, want := range map[float64]float64{0: 0, 1: 1, -1: 0, 2: 1, math.NaN(): 0} {
		if s := share(trace.Ratio(p), 100); s != want {
			t.Errorf("Ratio(%v) sampled %v", p, s)
		}
	}
	id := trace.Params{TraceID: trace.TraceID{9: 0x80}}
	if !trace.Ratio(0.51).Sample(id) || trace.Ratio(0.49).Sample(id) {
		t.Error("Ratio does not decide by the trace id alone")
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := trace.RateLimit(10)
		count := func() (n int) {
			for range 100 {
				if s.Sample(trace.Params{}) {
					n++
				}
			}
			return n
		}
		if n := count(); n != 10 {
			t.Errorf("the first burst sampled %d, want 10", n)
		}
		time.Sleep(500 * time.Millisecond)
		if n := count(); n != 5 {
			t.Errorf("after half a second %d, want 5", n)
		}
		time.Sleep(time.Hour)
		if n := count(); n != 10 {
			t.Errorf("after an hour %d, want 10", n)
		}
	})
}

func TestParentDecides(t *testing.T) {
	tr, store := newTracer(t, trace.WithSampler(trace.ParentOr(trace.Always())))
	not := trace.ContextWithRemote(t.Context(), trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	ctx, a := tr.Start(not, "a")
	_, b := tr.Start(ctx, "b")
	b.End()
	a.End()
	tr.Flush(t.Context())
	if a.Context().Sampled() || b.Context().Sampled() || a.Recording() || store.Len() != 0 {
		t.Errorf("children of an unsampled parent were sampled; %d sent", store.Len())
	}
	tr, _ = newTracer(t, trace.WithSampler(trace.ParentOr(trace.Never())))
	for flags, want := range map[trace.Flags]bool{0: false, trace.Sampled: true, trace.Deferred: false, trace.Debug: true} {
		remote := trace.ContextWithRemote(t.Context(), trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Flags: flags})
		_, s := tr.Start(remote, "x")
		s.End()
		if s.Context().Sampled() != want {
			t.Errorf("parent's flags %b: sampled %v, want %v", flags, s.Context().Sampled(), want)
		}
	}
}

func TestByName(t *testing.T) {
	tr, _ := newTracer(t, trace.WithSampler(trace.ByName(trace.Never(), trace.Rule{"pay.*", trace.Always()}, trace.Rule{"pay.x", trace.Never()})))
	for name, want := range map[string]bool{"pay.x": true, "pay.": true, "pay": false, "other": false} {
		_, s := tr.Start(t.Context(), name)
		s.End()
		if s.Context().Sampled() != want {
			t.Errorf("%s: sampled %v", name, !want)
		}
	}
}

func TestKeepErrorsAndSlow(t *testing.T) {
	tr, store := newTracer(t, trace.WithSampler(trace.Never()), trace.WithKeep(0, trace.Failed, trace.SlowerThan(time.Second)))
	run := func(fail, slow bool) trace.Span {
		ctx, root := tr.Start(t.Context(), "root")
		_, a := tr.Start(ctx, "a")
		if fail {
			a.Error(errors.New("x"))
		}
		a.End()
		late := time.Now()
		if slow {
			late = late.Add(2 * time.Second)
		}
		_, b := tr.Start(ctx, "ends after the root")
		root.EndAt(late)
		b.End()
		h := trace.Header{}
		tr.Inject(ctx, h)
		if !strings.HasSuffix(h.Get("traceparent"), "-02") {
			t.Errorf("others are told %s, want not sampled", h.Get("traceparent"))
		}
		return root
	}
	plain, failed, slow := run(false, false), run(true, false), run(false, true)
	tr.Flush(t.Context())
	for name, c := range map[string]struct {
		s    trace.Span
		want int
	}{"plain": {plain, 0}, "failed": {failed, 3}, "slow": {slow, 3}} {
		got, _ := store.Trace(c.s.Context().TraceID)
		if len(got.Spans) != c.want {
			t.Errorf("%s: %d spans were sent, want %d", name, len(got.Spans), c.want)
		}
	}
	if s := tr.Stats(); s.Kept != 6 || s.Sampled != 0 {
		t.Errorf("%+v", s)
	}
}

func TestKeepHoldsABoundedNumber(t *testing.T) {
	tr, store := newTracer(t, trace.WithSampler(trace.Never()), trace.WithKeep(10, trace.Failed))
	ctx, root := tr.Start(t.Context(), "root")
	for range 100 {
		_, s := tr.Start(ctx, "child")
		s.End()
	}
	root.Error(errors.New("x"))
	root.End()
	tr.Flush(t.Context())
	if n := store.Len(); n != 11 {
		t.Errorf("%d spans were sent, want the root and the 10 that may be held", n)
	}
	ctx, root = tr.Start(t.Context(), "root") // what was held is free again
	_, s := tr.Start(ctx, "child")
	s.End()
	root.Error(errors.New("x"))
	root.End()
	tr.Flush(t.Context())
	if n := store.Len(); n != 13 {
		t.Errorf("%d spans, want 13", n)
	}
}

// Of a foreign program's spans, those of both sides may have one id.
func TestSharedSpansStandBelowTheCallers(t *testing.T) {
	local := trace.Endpoint{Service: "s"}
	call := trace.SpanContext{SpanID: trace.SpanID{2}, ParentID: trace.SpanID{1}}
	got := trace.Trace{Spans: []trace.SpanData{
		{Name: "root", Local: local, Context: trace.SpanContext{SpanID: trace.SpanID{1}}},
		{Name: "call", Local: local, Kind: trace.Client, Context: call},
		{Name: "call", Local: local, Kind: trace.Server, Context: call, Shared: true},
	}}
	lines := strings.Split(strings.TrimSpace(got.Tree()), "\n")
	for i, want := range []string{"s root", "└─ s call (client)", "   └─ s call (server)"} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of\n%s\nwant %s", i, got.Tree(), want)
		}
	}
}

func TestTreeOfForeignNonsenseEnds(t *testing.T) {
	a, b := trace.SpanID{1}, trace.SpanID{2}
	tr := trace.Trace{Spans: []trace.SpanData{
		{Name: "a", Context: trace.SpanContext{SpanID: a, ParentID: b}},
		{Name: "b", Context: trace.SpanContext{SpanID: b, ParentID: a}},
		{Name: "self", Context: trace.SpanContext{SpanID: trace.SpanID{3}, ParentID: trace.SpanID{3}}},
		{Name: "orphan", Context: trace.SpanContext{SpanID: trace.SpanID{4}, ParentID: trace.SpanID{9}}},
	}}
	text := tr.Tree()
	for _, name := range []string{"a ", "b ", "self ", "orphan "} {
		if strings.Count(text, name) != 1 {
			t.Errorf("%q is not once in\n%s", name, text)
		}
	}
}

func TestBatchLinksToItsMessages(t *testing.T) {
	tr, store := newTracer(t)
	var messages []trace.Carrier
	var want []trace.SpanID
	for range 3 {
		m := trace.Map{}
		_, p := trace.StartPublish(t.Context(), tr, "orders", m)
		p.End()
		messages = append(messages, m)
		want = append(want, p.Context().SpanID)
	}
	_, b := trace.StartBatch(t.Context(), tr, "orders", append(messages, trace.Map{})...)
	b.End()
	tr.Flush(t.Context())
	got, _ := store.Trace(b.Context().TraceID)
	var links []trace.SpanID
	for _, l := range got.Spans[0].Links {
		links = append(links, l.Context.SpanID)
	}
	if !slices.Equal(links, want) || got.Spans[0].Kind != trace.Consumer {
		t.Errorf("links %v, want %v", links, want)
	}
}

func TestBadSearchesAreRefused(t *testing.T) {
	tr, err := trace.New(trace.Memory(trace.NewStore(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for what, q := range map[string]trace.Query{"limit": {Limit: -1}, "least": {MinDuration: -1}, "most": {MaxDuration: -1}, "place": {After: "x"}} {
		if _, err := tr.Search(t.Context(), q); !errors.Is(err, trace.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	if _, err := tr.Search(t.Context(), trace.Query{}); err != nil {
		t.Errorf("of everything: %v", err)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := tr.Search(t.Context(), trace.Query{}); !errors.Is(err, trace.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// A span's context ends with the one that it began in.
func TestTheContextOfASpanEnds(t *testing.T) {
	tr, err := trace.New(trace.Memory(trace.NewStore(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	parent, cancel := context.WithCancel(t.Context())
	ctx, span := tr.Start(parent, "x")
	defer span.End()
	if ctx.Err() != nil {
		t.Errorf("before: %v", ctx.Err())
	}
	cancel()
	if ctx.Err() != context.Canceled {
		t.Errorf("after: %v", ctx.Err())
	}
}

func TestNewRefusesWhatCannotBe(t *testing.T) {
	for name, opt := range map[string]trace.Option{
		"nil option": nil, "nil sampler": trace.WithSampler(nil), "nil logger": trace.WithLogger(nil), "nil memory": trace.Memory(nil),
		"nil propagator": trace.WithInject(nil), "queue of 0": trace.WithQueue(0, 1), "negative timeout": trace.WithTimeout(-1),
		"no name": trace.WithBaggage("a", ""), "no condition": trace.WithKeep(1), "nil condition": trace.WithKeep(1, nil), "unnamed driver": trace.WithDriver("", nil),
		"pattern":        trace.WithSampler(trace.ParentOr(trace.ByName(trace.Always(), trace.Rule{"[", trace.Never()}))),
		"rule of nobody": trace.WithSampler(trace.ByName(trace.Always(), trace.Rule{Name: "x"})),
		"negative limit": trace.WithLimits(trace.Limits{Tags: -1}), "batch of 0": trace.WithBatch(0, 1),
		"limit of events": trace.WithLimits(trace.Limits{Events: -1}), "of links": trace.WithLimits(trace.Limits{Links: -1}), "of bytes": trace.WithLimits(trace.Limits{ValueBytes: -1}),
		"batch at once": trace.WithBatch(1, 0), "queue without bytes": trace.WithQueue(1, 0), "dial": trace.WithDialTimeout(0), "timeout": trace.WithTimeout(0),
		"service": trace.WithService(""), "log": trace.ToLog(nil), "extract": trace.WithExtract(trace.W3C(), nil), "fewer than none": trace.WithKeep(-1, trace.Failed),
		"otherwise": trace.WithSampler(trace.ByName(nil)), "root": trace.WithSampler(trace.ParentOr(nil)),
	} {
		tr, err := trace.New(opt)
		if !errors.Is(err, trace.ErrInvalid) || !strings.HasPrefix(err.Error(), "trace: new: ") {
			t.Errorf("%s: %v", name, err)
		}
		if tr != nil {
			t.Errorf("%s: a tracer", name)
		}
	}
	tr, err := trace.New(trace.WithQueue(1, 1), trace.WithBatch(1, 1), trace.WithTimeout(1), trace.WithDialTimeout(time.Hour), trace.WithLimits(trace.Limits{}),
		trace.WithKeep(0, trace.Failed), trace.WithBaggage("a"), trace.WithSampler(trace.ParentOr(trace.ByName(trace.Always(), trace.Rule{Name: "*", Sampler: trace.Never()}))))
	if err != nil {
		t.Fatalf("the least of each: %v", err)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
