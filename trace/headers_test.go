package trace_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/micro/go-platform/trace"
)

const (
	id64  = "00f067aa0ba902b7"
	id128 = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func TestB3SingleForms(t *testing.T) {
	for _, c := range []struct {
		header  string
		trace   string
		parent  string
		flags   trace.Flags
		invalid bool
	}{
		{header: id128 + "-" + id64, trace: id128, flags: trace.Deferred},
		{header: id128 + "-" + id64 + "-1", trace: id128, flags: trace.Sampled},
		{header: id128 + "-" + id64 + "-0", trace: id128},
		{header: id128 + "-" + id64 + "-d", trace: id128, flags: trace.Sampled | trace.Debug},
		{header: id128 + "-" + id64 + "-1-05e3ac9a4f6e3b90", trace: id128, parent: "05e3ac9a4f6e3b90", flags: trace.Sampled},
		{header: id64 + "-" + id64 + "-1", trace: "0000000000000000" + id64, flags: trace.Sampled},
		{header: "1", flags: trace.Sampled},
		{header: "0"},
		{header: "d", flags: trace.Sampled | trace.Debug},
		{header: "2", invalid: true},
		{header: "x", invalid: true},
		{header: id128, invalid: true},
		{header: id128 + "-", invalid: true},
		{header: id128 + "-" + id64 + "-", invalid: true},
		{header: id128 + "-" + id64 + "-1-", invalid: true},
		{header: id128 + "-" + id64 + "-2", invalid: true},
		{header: id128 + "-" + id64 + "-1-05e3ac9a4f6e3b9", invalid: true},
		{header: strings.Repeat("0", 32) + "-" + id64 + "-1", invalid: true},
		{header: id128 + "-" + strings.Repeat("0", 16) + "-1", invalid: true},
		{header: strings.ToUpper(id128) + "-" + id64 + "-1", invalid: true},
	} {
		sc, found, err := trace.B3Single().Extract(trace.Map{"b3": c.header})
		if c.invalid {
			if err == nil || found {
				t.Errorf("b3: %s: found %v error %v, want an error", c.header, found, err)
			}
			continue
		}
		if err != nil || !found {
			t.Errorf("b3: %s: found %v error %v", c.header, found, err)
			continue
		}
		if sc.Flags != c.flags || c.trace != "" && sc.TraceID.String() != c.trace || c.parent != "" && sc.ParentID.String() != c.parent {
			t.Errorf("b3: %s: %+v", c.header, sc)
		}
		if c.trace != "" && sc.SpanID.String() != id64 {
			t.Errorf("b3: %s: span %s", c.header, sc.SpanID)
		}
	}
}

func TestB3MultiForms(t *testing.T) {
	ids := trace.Map{"x-b3-traceid": id128, "x-b3-spanid": id64}
	with := func(kv ...string) trace.Map {
		m := trace.Map{}
		for k, v := range ids {
			m[k] = v
		}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, c := range []struct {
		m     trace.Map
		flags trace.Flags
		ok    bool
	}{
		{with(), trace.Deferred, true},
		{with("x-b3-sampled", "1"), trace.Sampled, true},
		{with("x-b3-sampled", "true"), trace.Sampled, true},
		{with("x-b3-sampled", "0"), 0, true},
		{with("x-b3-sampled", "false"), 0, true},
		{with("x-b3-flags", "1"), trace.Sampled | trace.Debug, true},
		{with("x-b3-flags", "1", "x-b3-sampled", "0"), trace.Sampled | trace.Debug, true},
		{trace.Map{"x-b3-sampled": "0"}, 0, true},
		{trace.Map{"x-b3-flags": "1"}, trace.Sampled | trace.Debug, true},
		{with("x-b3-sampled", "maybe"), 0, false},
		{with("x-b3-flags", "2"), 0, false},
		{with("x-b3-parentspanid", "xyz"), 0, false},
		{trace.Map{"x-b3-traceid": id128}, 0, false},
		{trace.Map{"x-b3-spanid": id64}, 0, false},
		{trace.Map{"x-b3-parentspanid": id64}, 0, false},
	} {
		sc, found, err := trace.B3Multi().Extract(c.m)
		if found != c.ok || (err == nil) != c.ok || c.ok && sc.Flags != c.flags {
			t.Errorf("%v: %+v found %v error %v", c.m, sc, found, err)
		}
	}
	if _, found, err := trace.B3Multi().Extract(trace.Map{"x-other": "1"}); found || err != nil {
		t.Errorf("without headers: found %v error %v", found, err)
	}
}

func TestMicroHeadersOfTheFirstPlatform(t *testing.T) {
	const uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	const other = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
	m := trace.Map{"X-Micro-Trace-Id": uuid, "X-Micro-Span-Id": other, "X-Micro-Parent-Id": "0", "X-Micro-Trace-Debug": "true"}
	a, found, err := trace.Micro().Extract(m)
	if err != nil || !found || a.TraceID.String() != strings.ReplaceAll(uuid, "-", "") || !a.ParentID.IsZero() || a.Flags&trace.Debug == 0 {
		t.Fatalf("%v: %+v found %v error %v", m, a, found, err)
	}
	child, _, err := trace.Micro().Extract(trace.Map{"x-micro-trace-id": uuid, "x-micro-span-id": uuid, "x-micro-parent-id": other})
	if err != nil || child.ParentID != a.SpanID || child.SpanID == a.SpanID || child.Flags != trace.Deferred {
		t.Errorf("child %+v of %+v: %v", child, a, err)
	}
	for _, bad := range []string{"x", uuid + "0", strings.Repeat("0", 32), "6ba7b810-9dad-11d1-80b4-00c04fd430cg"} {
		if _, found, err := trace.Micro().Extract(trace.Map{"x-micro-trace-id": bad, "x-micro-span-id": other}); err == nil || found {
			t.Errorf("trace id %q was taken", bad)
		}
	}
}

// What is written is read back the same, by each form.
func TestInjectExtractRoundTrip(t *testing.T) {
	for name, p := range map[string]trace.Propagator{"w3c": trace.W3C(), "b3": trace.B3Single(), "b3 multi": trace.B3Multi(), "micro": trace.Micro()} {
		for _, flags := range []trace.Flags{0, trace.Sampled, trace.Sampled | trace.Debug} {
			sc := trace.SpanContext{TraceID: trace.TraceID{1, 2, 15: 3}, SpanID: trace.SpanID{4, 7: 5}, ParentID: trace.SpanID{6}, Flags: flags}
			h := trace.Header{}
			p.Inject(sc, h)
			for k := range h {
				if !strings.Contains(strings.ToLower(fmt.Sprint(p.Fields())), strings.ToLower(k)) {
					t.Errorf("%s writes %s, which is not in Fields %v", name, k, p.Fields())
				}
			}
			got, found, err := p.Extract(h)
			if err != nil || !found || got.TraceID != sc.TraceID || got.SpanID != sc.SpanID {
				t.Errorf("%s: %v read back as %+v found %v error %v", name, h, got, found, err)
			}
			if name == "b3 multi" || name == "micro" {
				if got.ParentID != sc.ParentID {
					t.Errorf("%s: parent %v, want %v", name, got.ParentID, sc.ParentID)
				}
			}
			if name != "micro" && got.Sampled() != sc.Sampled() {
				t.Errorf("%s: flags %b read back as %b", name, sc.Flags, got.Flags)
			}
		}
	}
}

// A tracer, which shares one text among the forms, writes what each form does.
func TestTracerWritesWhatItsPropagatorsDo(t *testing.T) {
	forms := map[string]trace.Propagator{"w3c": trace.W3C(), "b3": trace.B3Single(), "b3 multi": trace.B3Multi(), "micro": trace.Micro()}
	for state, flags := range map[string]trace.Flags{"": 0, "a=b": trace.Random} {
		for _, sampled := range []trace.Flags{0, trace.Sampled, trace.Sampled | trace.Debug} {
			parent := trace.SpanContext{TraceID: trace.TraceID{1, 2, 15: 3}, SpanID: trace.SpanID{4, 7: 5}, Flags: flags | sampled, State: state}
			for name, p := range forms {
				tr, _ := newTracer(t, trace.WithInject(p), trace.WithSampler(trace.ParentOr(trace.Never())))
				ctx, s := tr.Start(trace.ContextWithRemote(t.Context(), parent), "call")
				got, want := trace.Header{}, trace.Header{}
				for range 2 { // the second time from what the first has kept
					tr.Inject(ctx, got)
				}
				p.Inject(s.Context(), want)
				if fmt.Sprint(got) != fmt.Sprint(want) || len(want) == 0 {
					t.Errorf("%s, flags %b: wrote %v, want %v", name, parent.Flags, got, want)
				}
				s.End()
			}
		}
	}
}

// Bad headers begin a new trace and are counted; none panics.
func TestHostileHeadersBeginANewTraceAndAreCounted(t *testing.T) {
	cases := map[string]trace.Header{
		"two traceparents":  {"Traceparent": {given + "-01", given + "-01"}},
		"10 kB tracestate":  {"Traceparent": {given + "-01"}, "Tracestate": {strings.Repeat("a", 10_000)}},
		"NUL traceparent":   {"Traceparent": {"00-" + givenTrace[:31] + "\x00-" + givenSpan + "-01"}},
		"NUL b3":            {"B3": {id128[:31] + "\x00-" + id64 + "-1"}},
		"NUL b3 multi":      {"X-B3-Traceid": {"\x00"}, "X-B3-Spanid": {id64}},
		"NUL micro":         {"X-Micro-Trace-Id": {"\x00"}, "X-Micro-Span-Id": {"\x00"}},
		"repeated b3":       {"B3": {id128 + "-" + id64 + "-1", id128 + "-" + id64 + "-1"}},
		"repeated b3 multi": {"X-B3-Traceid": {id128, id128}, "X-B3-Spanid": {id64}},
		"1 MB b3":           {"B3": {strings.Repeat("0", 1<<20)}},
		"umlaut":            {"Traceparent": {strings.Repeat("ä", 30)}},
	}
	for n := 33; n < 49; n++ { // the lengths at which zipkin-go 0.4.3 panics
		cases[fmt.Sprintf("b3 of %d", n)] = trace.Header{"B3": {(id128 + "-" + id64 + "-1")[:n]}}
		cases[fmt.Sprintf("b3 of %d digits", n)] = trace.Header{"B3": {strings.Repeat("1", n)}}
	}
	tr, _ := newTracer(t)
	before := uint64(0)
	for name, h := range cases {
		_, s := tr.Start(tr.Extract(t.Context(), h), "serve")
		s.End()
		sc := s.Context()
		if !sc.IsValid() || !sc.ParentID.IsZero() || sc.TraceID.String() == givenTrace || sc.TraceID.String() == id128 {
			t.Errorf("%s continued: %+v", name, sc)
		}
		if n := tr.Stats().BadContext; n != before+1 {
			t.Errorf("%s: BadContext went from %d to %d, want one more", name, before, n)
		}
		before = tr.Stats().BadContext
	}
}

// Headers of go-micro that are not whole: what stands for nothing is none, and what
// is not understood is an error.
func TestBadHeadersOfMicro(t *testing.T) {
	good := trace.Map{"x-micro-trace-id": id128, "x-micro-span-id": id64, "x-micro-parent-id": id64, "x-micro-trace-debug": "1"}
	for _, c := range []struct {
		key, value string
		found, ok  bool
	}{
		{"x-micro-trace-debug", "1", true, true}, {"x-micro-trace-debug", "TRUE", true, true}, {"x-micro-trace-debug", "0", true, true}, {"x-micro-trace-debug", "False", true, true},
		{"x-micro-trace-debug", "", true, true}, {"x-micro-trace-debug", "2", false, false},
		{"x-micro-parent-id", "", true, true}, {"x-micro-parent-id", "0", true, true}, {"x-micro-parent-id", "1", false, false}, {"x-micro-parent-id", "x" + id64[1:], false, false},
		{"x-micro-span-id", "", false, false}, {"x-micro-span-id", strings.Repeat("0", 16), false, false}, {"x-micro-span-id", "x" + id64[1:], false, false},
		{"x-micro-trace-id", "", false, false}, {"x-micro-trace-id", strings.Repeat("0", 32), false, false}, {"x-micro-trace-id", "x" + id128[1:], false, false},
	} {
		m := maps.Clone(good)
		m[c.key] = c.value
		sc, found, err := trace.Micro().Extract(m)
		if found != c.found || (err == nil) != c.ok || found == sc.TraceID.IsZero() {
			t.Errorf("%s %q: %+v, %v, %v", c.key, c.value, sc, found, err)
		}
	}
	if sc, found, err := trace.Micro().Extract(trace.Map{}); found || err != nil || !sc.TraceID.IsZero() {
		t.Errorf("no headers: %+v, %v, %v", sc, found, err)
	}
}

func TestABadFormDoesNotHideAGoodOne(t *testing.T) {
	tr, _ := newTracer(t)
	h := trace.Header{"Traceparent": {"garbage"}, "B3": {id128 + "-" + id64 + "-1"}}
	_, s := tr.Start(tr.Extract(t.Context(), h), "serve")
	s.End()
	if s.Context().TraceID.String() != id128 || tr.Stats().BadContext != 1 {
		t.Errorf("got %+v, %+v", s.Context(), tr.Stats())
	}
}

func TestBareDecisionGoesToTheNewRoot(t *testing.T) {
	for header, want := range map[string]struct {
		sampled bool
		b3      string
	}{"0": {false, "-0"}, "1": {true, "-1"}, "d": {true, "-d"}} {
		tr, _ := newTracer(t)
		ctx, s := tr.Start(tr.Extract(t.Context(), trace.Header{"B3": {header}}), "serve")
		s.End()
		out := trace.Header{}
		tr.Inject(ctx, out)
		if s.Context().Sampled() != want.sampled || !s.Context().ParentID.IsZero() || !strings.HasSuffix(out.Get("b3"), want.b3) {
			t.Errorf("b3: %s: %+v passed on as %s", header, s.Context(), out.Get("b3"))
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(given+"-01", "foo=1,bar=2", id128+"-"+id64+"-1", id128, id64, "1", "6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	f.Add("", ",,", "d", "", "", "true", "\x00")
	f.Fuzz(func(t *testing.T, parent, state, b3, b3trace, b3span, sampled, micro string) {
		forms := []trace.Propagator{trace.W3C(), trace.B3Single(), trace.B3Multi(), trace.Micro()}
		h := trace.Header{"Traceparent": {parent}, "Tracestate": {state, state}, "B3": {b3}, "X-B3-Traceid": {b3trace},
			"X-B3-Spanid": {b3span}, "X-B3-Sampled": {sampled}, "X-Micro-Trace-Id": {micro}, "X-Micro-Span-Id": {micro}}
		for i, p := range forms {
			sc, found, err := p.Extract(h)
			if found && err != nil {
				t.Fatalf("%d: found and %v", i, err)
			}
			if !found || !sc.IsValid() {
				continue
			}
			again := trace.Header{}
			p.Inject(sc, again)
			back, found, err := p.Extract(again)
			if !found || err != nil || back.TraceID != sc.TraceID || back.SpanID != sc.SpanID || back.State != sc.State {
				t.Fatalf("%d: %+v was written as %v and read as %+v, %v", i, sc, again, back, err)
			}
		}
	})
}
