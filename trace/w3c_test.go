package trace_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/micro/go-platform/trace"
)

const (
	givenTrace = "12345678901234567890123456789012"
	givenSpan  = "1234567890123456"
	given      = "00-" + givenTrace + "-" + givenSpan
)

// pass sends headers through a service that starts a span and calls on, and
// returns the headers of that call.
func pass(t *testing.T, tr trace.Tracer, lines [][2]string) http.Header {
	t.Helper()
	in := http.Header{}
	for _, l := range lines {
		in.Add(l[0], l[1]) // as net/http does: canonical names
		k := http.CanonicalHeaderKey(l[0])
		in[k][len(in[k])-1] = strings.Trim(l[1], " \t")
	}
	ctx, span := tr.Start(tr.Extract(t.Context(), trace.Header(in)), "serve", trace.OfKind(trace.Server))
	defer span.End()
	ctx, call := tr.Start(ctx, "call", trace.OfKind(trace.Client))
	defer call.End()
	out := http.Header{}
	tr.Inject(ctx, trace.Header(out))
	return out
}

func newTracer(t testing.TB, opts ...trace.Option) (trace.Tracer, *trace.Store) {
	t.Helper()
	m := trace.NewStore(0, 0)
	tr, err := trace.New(append([]trace.Option{trace.Memory(m)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close(context.Background()) })
	return tr, m
}

// The cases of https://github.com/w3c/trace-context/tree/main/test at level 2,
// by the names that they have there.
func TestW3CTraceContext(t *testing.T) {
	tr, _ := newTracer(t)
	parent := [2]string{"traceparent", given + "-00"}
	state := func(lines ...string) [][2]string {
		all := [][2]string{parent}
		for _, l := range lines {
			all = append(all, [2]string{"tracestate", l})
		}
		return all
	}
	tp := func(v string) [][2]string { return [][2]string{{"traceparent", v}} }
	bars := func(n int) []string {
		var lines []string
		for i := 1; i <= n; {
			var m []string
			for ; i <= n && len(m) < 10; i++ {
				d := string(rune('0'+i/10)) + string(rune('0'+i%10))
				m = append(m, "bar"+d+"="+d)
			}
			lines = append(lines, strings.Join(m, ","))
		}
		return lines
	}
	allKey := "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
	var allValue string
	for c := ' '; c <= '~'; c++ {
		if c != ',' && c != '=' {
			allValue += string(c)
		}
	}
	const same, fresh = true, false
	for _, c := range []struct {
		name    string
		headers [][2]string
		trace   bool   // the trace goes on
		state   string // what is passed on
	}{
		{"both_missing", nil, fresh, ""},
		{"traceparent_included_tracestate_missing", tp(given + "-01"), same, ""},
		{"traceparent_duplicated", [][2]string{{"traceparent", given + "-01"}, {"traceparent", given + "-01"}}, fresh, ""},
		{"traceparent_header_name dash", [][2]string{{"trace-parent", given + "-01"}}, fresh, ""},
		{"traceparent_header_name dot", [][2]string{{"trace.parent", given + "-01"}}, fresh, ""},
		{"traceparent_header_name_valid_casing 1", [][2]string{{"TraceParent", given + "-01"}}, same, ""},
		{"traceparent_header_name_valid_casing 2", [][2]string{{"TrAcEpArEnT", given + "-01"}}, same, ""},
		{"traceparent_header_name_valid_casing 3", [][2]string{{"TRACEPARENT", given + "-01"}}, same, ""},
		{"traceparent_version_0x00 dot", tp(given + "-01."), fresh, ""},
		{"traceparent_version_0x00 more", tp(given + "-01-what-the-future-will-be-like"), fresh, ""},
		{"traceparent_version_0xcc", tp("cc" + given[2:] + "-01"), same, ""},
		{"traceparent_version_0xcc more", tp("cc" + given[2:] + "-01-what-the-future-will-be-like"), same, ""},
		{"traceparent_version_0xcc dot", tp("cc" + given[2:] + "-01.what-the-future-will-be-like"), fresh, ""},
		{"traceparent_version_0xff", tp("ff" + given[2:] + "-01"), fresh, ""},
		{"traceparent_version_illegal_characters 1", tp(".0" + given[2:] + "-01"), fresh, ""},
		{"traceparent_version_illegal_characters 2", tp("0." + given[2:] + "-01"), fresh, ""},
		{"traceparent_version_too_long 1", tp("000" + given[2:] + "-01"), fresh, ""},
		{"traceparent_version_too_long 2", tp("0000" + given[2:] + "-01"), fresh, ""},
		{"traceparent_version_too_short", tp("0" + given[2:] + "-01"), fresh, ""},
		{"traceparent_trace_id_all_zero", tp("00-00000000000000000000000000000000-" + givenSpan + "-01"), fresh, ""},
		{"traceparent_trace_id_illegal_characters 1", tp("00-." + givenTrace[1:] + "-" + givenSpan + "-01"), fresh, ""},
		{"traceparent_trace_id_illegal_characters 2", tp("00-" + givenTrace[:31] + ".-" + givenSpan + "-01"), fresh, ""},
		{"traceparent_trace_id_too_long", tp("00-" + givenTrace + "3-" + givenSpan + "-01"), fresh, ""},
		{"traceparent_trace_id_too_short", tp("00-" + givenTrace[:31] + "-" + givenSpan + "-01"), fresh, ""},
		{"traceparent_parent_id_all_zero", tp("00-" + givenTrace + "-0000000000000000-01"), fresh, ""},
		{"traceparent_parent_id_illegal_characters 1", tp("00-" + givenTrace + "-." + givenSpan[1:] + "-01"), fresh, ""},
		{"traceparent_parent_id_illegal_characters 2", tp("00-" + givenTrace + "-" + givenSpan[:15] + ".-01"), fresh, ""},
		{"traceparent_parent_id_too_long", tp("00-" + givenTrace + "-" + givenSpan + "7-01"), fresh, ""},
		{"traceparent_parent_id_too_short", tp("00-" + givenTrace + "-" + givenSpan[:15] + "-01"), fresh, ""},
		{"traceparent_trace_flags_illegal_characters 1", tp(given + "-.0"), fresh, ""},
		{"traceparent_trace_flags_illegal_characters 2", tp(given + "-0."), fresh, ""},
		{"traceparent_trace_flags_too_long", tp(given + "-001"), fresh, ""},
		{"traceparent_trace_flags_too_short", tp(given + "-1"), fresh, ""},
		{"traceparent_ows_handling 1", tp(" " + given + "-01"), same, ""},
		{"traceparent_ows_handling 2", tp("\t" + given + "-01"), same, ""},
		{"traceparent_ows_handling 3", tp(given + "-01 "), same, ""},
		{"traceparent_ows_handling 4", tp(given + "-01\t"), same, ""},
		{"traceparent_ows_handling 5", tp("\t " + given + "-01 \t"), same, ""},
		{"tracestate_included_traceparent_missing 1", [][2]string{{"tracestate", "foo=1"}}, fresh, ""},
		{"tracestate_included_traceparent_missing 2", [][2]string{{"tracestate", "foo=1,bar=2"}}, fresh, ""},
		{"tracestate_included_traceparent_included", state("foo=1,bar=2"), same, "foo=1,bar=2"},
		{"tracestate_header_name dash", [][2]string{parent, {"trace-state", "foo=1"}}, same, ""},
		{"tracestate_header_name dot", [][2]string{parent, {"trace.state", "foo=1"}}, same, ""},
		{"tracestate_header_name_valid_casing 1", [][2]string{parent, {"TraceState", "foo=1"}}, same, "foo=1"},
		{"tracestate_header_name_valid_casing 2", [][2]string{parent, {"TrAcEsTaTe", "foo=1"}}, same, "foo=1"},
		{"tracestate_header_name_valid_casing 3", [][2]string{parent, {"TRACESTATE", "foo=1"}}, same, "foo=1"},
		{"tracestate_empty_header 1", state(""), same, ""},
		{"tracestate_empty_header 2", state("foo=1", ""), same, "foo=1"},
		{"tracestate_empty_header 3", state("", "foo=1"), same, "foo=1"},
		{"tracestate_multiple_headers_different_keys", state("foo=1,bar=2", "rojo=1,congo=2", "baz=3"), same, "foo=1,bar=2,rojo=1,congo=2,baz=3"},
		{"tracestate_duplicated_keys 1", state("foo=1,foo=1"), same, "foo=1,foo=1"},
		{"tracestate_duplicated_keys 2", state("foo=1,foo=2"), same, "foo=1,foo=2"},
		{"tracestate_duplicated_keys 3", state("foo=1", "foo=1"), same, "foo=1,foo=1"},
		{"tracestate_duplicated_keys 4", state("foo=1", "foo=2"), same, "foo=1,foo=2"},
		{"tracestate_all_allowed_characters 1", state(allKey + "=" + allValue), same, allKey + "=" + allValue},
		{"tracestate_all_allowed_characters 2", state(allKey + "@a-z0-9_-*/=" + allValue), same, allKey + "@a-z0-9_-*/=" + allValue},
		{"tracestate_ows_handling 1", state("foo=1 \t , \t bar=2, \t baz=3"), same, "foo=1,bar=2,baz=3"},
		{"tracestate_ows_handling 2", state("foo=1\t \t,\t \tbar=2,\t \tbaz=3"), same, "foo=1,bar=2,baz=3"},
		{"tracestate_ows_handling 3", state(" foo=1"), same, "foo=1"},
		{"tracestate_ows_handling 4", state("\tfoo=1"), same, "foo=1"},
		{"tracestate_ows_handling 5", state("foo=1 "), same, "foo=1"},
		{"tracestate_ows_handling 6", state("foo=1\t"), same, "foo=1"},
		{"tracestate_ows_handling 7", state("\t foo=1 \t"), same, "foo=1"},
		{"tracestate_key_illegal_characters 1", state("foo =1"), same, ""},
		{"tracestate_key_illegal_characters 2", state("FOO=1"), same, ""},
		{"tracestate_key_illegal_characters 3", state("foo.bar=1"), same, ""},
		{"tracestate_key_illegal_vendor_format 1", state("foo@=1,bar=2"), same, "foo@=1,bar=2"},
		{"tracestate_key_illegal_vendor_format 2", state("@foo=1,bar=2"), same, ""},
		{"tracestate_key_illegal_vendor_format 3", state("foo@@bar=1,bar=2"), same, "foo@@bar=1,bar=2"},
		{"tracestate_key_illegal_vendor_format 4", state("foo@bar@baz=1,bar=2"), same, "foo@bar@baz=1,bar=2"},
		{"tracestate_member_count_limit 32", state(bars(32)...), same, strings.Join(bars(32), ",")},
		{"tracestate_member_count_limit 33", state(bars(33)...), same, ""},
		{"tracestate_key_length_limit 256", state("foo=1", strings.Repeat("z", 256)+"=1"), same, "foo=1," + strings.Repeat("z", 256) + "=1"},
		{"tracestate_key_length_limit 257", state("foo=1", strings.Repeat("z", 257)+"=1"), same, ""},
		{"tracestate_key_length_limit at", state("foo=1", strings.Repeat("t", 242)+"@v=1"), same, "foo=1," + strings.Repeat("t", 242) + "@v=1"},
		{"tracestate_value_illegal_characters 1", state("foo=bar=baz"), same, ""},
		{"tracestate_value_illegal_characters 2", state("foo=,bar=3"), same, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := pass(t, tr, c.headers)
			got := out.Values("traceparent")
			if len(got) != 1 || len(got[0]) != 55 || !strings.HasPrefix(got[0], "00-") {
				t.Fatalf("traceparent passed on as %q, want one valid", got)
			}
			if goesOn := strings.HasPrefix(got[0], "00-"+givenTrace); goesOn != c.trace {
				t.Errorf("%q gave %q, want same trace %v", c.headers, got[0], c.trace)
			}
			if got[0][36:52] == givenSpan {
				t.Errorf("%q gave %q, want a span id of our own", c.headers, got[0])
			}
			if s := out.Get("tracestate"); s != c.state {
				t.Errorf("%q gave tracestate %q, want %q", c.headers, s, c.state)
			}
		})
	}
}

func TestW3CAdvanced(t *testing.T) {
	tr, _ := newTracer(t)
	for _, c := range []struct {
		name, header string
		goesOn       bool
	}{
		{"multiple_requests_with_valid_traceparent", given + "-01", true},
		{"multiple_requests_without_traceparent", "", false},
		{"multiple_requests_with_illegal_traceparent", "00-00000000000000000000000000000000-" + givenSpan + "-01", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := trace.Header{}
			if c.header != "" {
				in.Set("traceparent", c.header)
			}
			ctx, span := tr.Start(tr.Extract(t.Context(), in), "serve")
			defer span.End()
			ids, traces := map[string]bool{}, map[string]bool{}
			for range 3 {
				ctx, call := tr.Start(ctx, "call")
				out := trace.Header{}
				tr.Inject(ctx, out)
				call.End()
				ids[out.Get("traceparent")[36:52]] = true
				traces[out.Get("traceparent")[3:35]] = true
			}
			if len(ids) != 3 || len(traces) != 1 || traces[givenTrace] != c.goesOn || traces["00000000000000000000000000000000"] {
				t.Errorf("three calls have spans %v in traces %v", ids, traces)
			}
		})
	}
	t.Run("propagates_random_flag", func(t *testing.T) {
		for flags, want := range map[string]string{"00": "00", "01": "01", "02": "02", "03": "03", "ff": "03", "04": "00"} {
			out := pass(t, tr, [][2]string{{"traceparent", given + "-" + flags}})
			if got := out.Get("traceparent")[53:]; got != want {
				t.Errorf("flags %s passed on as %s, want %s", flags, got, want)
			}
		}
		if got := pass(t, tr, nil).Get("traceparent")[53:]; got != "03" {
			t.Errorf("a new trace has flags %s, want 03: sampled, random", got)
		}
	})
}
