package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/trace"
)

const id64b = "05e3ac9a4f6e3b90"

// What each form writes, by the flags and the parent of a context.
func TestWhatEachFormWrites(t *testing.T) {
	sc := trace.SpanContext{
		TraceID: trace.TraceID{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
		SpanID:  trace.SpanID{0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7},
	}
	parent := trace.SpanID{0x05, 0xe3, 0xac, 0x9a, 0x4f, 0x6e, 0x3b, 0x90}
	const sampled, debug = trace.Sampled, trace.Sampled | trace.Debug
	w3c := func(flags, state string) string {
		return strings.TrimSuffix("traceparent=00-"+id128+"-"+id64+"-"+flags+" tracestate="+state, " tracestate=")
	}
	b3 := func(rest string) string { return "b3=" + id128 + "-" + id64 + rest }
	multi := func(rest string) string {
		return strings.TrimSpace("x-b3-traceid=" + id128 + " x-b3-spanid=" + id64 + " " + rest)
	}
	micro := func(parent, debug string) string {
		return "x-micro-trace-id=" + id128 + " x-micro-span-id=" + id64 + " x-micro-parent-id=" + parent + " x-micro-trace-debug=" + debug
	}
	const child = "x-b3-parentspanid=" + id64b + " "
	for _, c := range []struct {
		p      trace.Propagator
		flags  trace.Flags
		parent bool
		state  string
		want   string
	}{
		{trace.W3C(), 0, true, "", w3c("00", "")}, {trace.W3C(), sampled, false, "a=b", w3c("01", "a=b")}, {trace.W3C(), trace.Random, false, "", w3c("02", "")},
		{trace.W3C(), debug | trace.Random, false, "", w3c("03", "")}, {trace.W3C(), trace.Deferred, false, "", w3c("00", "")},
		{trace.B3Single(), 0, false, "", b3("-0")}, {trace.B3Single(), 0, true, "", b3("-0")}, {trace.B3Single(), trace.Deferred, true, "", b3("")},
		{trace.B3Single(), sampled, false, "", b3("-1")}, {trace.B3Single(), sampled, true, "", b3("-1-" + id64b)},
		{trace.B3Single(), debug, false, "", b3("-d")}, {trace.B3Single(), debug, true, "a=b", b3("-d-" + id64b)}, {trace.B3Single(), trace.Debug, true, "", b3("-d-" + id64b)},
		{trace.B3Multi(), 0, false, "", multi("x-b3-sampled=0")}, {trace.B3Multi(), 0, true, "", multi(child + "x-b3-sampled=0")}, {trace.B3Multi(), trace.Deferred, false, "", multi("")},
		{trace.B3Multi(), sampled, true, "", multi(child + "x-b3-sampled=1")}, {trace.B3Multi(), debug, false, "", multi("x-b3-flags=1")},
		{trace.Micro(), 0, false, "", micro("0", "false")}, {trace.Micro(), sampled, true, "", micro(id64b, "false")}, {trace.Micro(), debug, true, "", micro(id64b, "true")},
	} {
		sc := sc
		sc.Flags, sc.State = c.flags, c.state
		if c.parent {
			sc.ParentID = parent
		}
		got := trace.Map{}
		c.p.Inject(sc, got)
		want := trace.Map{}
		for _, pair := range strings.Fields(c.want) {
			k, v, _ := strings.Cut(pair, "=")
			want[k] = v
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("flags %04b, parent %v: %v, want %v", c.flags, c.parent, got, want)
		}
	}
}

// Each part of a header may be wrong alone: nothing is taken of it then. What is
// not there is no header, and no error.
func TestOneWrongPartOfAHeader(t *testing.T) {
	const zero64, zero128 = "0000000000000000", "00000000000000000000000000000000"
	const none, good, bad = "none", "good", "bad"
	header := func(kv ...string) trace.Header {
		h := trace.Header{}
		for i := 0; i < len(kv); i += 2 {
			k := trace.Header{}
			k.Set(kv[i], kv[i+1])
			for key, values := range k {
				h[key] = append(h[key], values...)
			}
		}
		return h
	}
	multi := func(traceID, span string, more ...string) trace.Header {
		return header(append([]string{"x-b3-traceid", traceID, "x-b3-spanid", span}, more...)...)
	}
	parent := func(s string) trace.Header { return header("traceparent", s) }
	micro := func(traceID, span string) trace.Header {
		return header("x-micro-trace-id", traceID, "x-micro-span-id", span)
	}
	uuid := "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736"
	for form, c := range map[string]struct {
		p     trace.Propagator
		cases map[string][]trace.Header
	}{
		"w3c": {trace.W3C(), map[string][]trace.Header{
			none: {header(), header("tracestate", "a=b")},
			good: {parent(given + "-01"), parent("01" + given[2:] + "-01-more"), parent("fe" + given[2:] + "-01"), parent("01" + given[2:] + "-01-")},
			bad: {
				parent(""), parent(given), parent(given + "-0"), parent("00_" + given[3:] + "-01"), parent(given[:35] + "_" + given[36:] + "-01"), parent(given + "_01"),
				parent("0g" + given[2:] + "-01"), parent("00-" + strings.ToUpper(id128) + "-" + id64 + "-01"), parent("00-" + id128 + "-" + strings.ToUpper(id64) + "-01"), parent(given + "-0g"),
				parent("00-" + zero128 + "-" + id64 + "-01"), parent("00-" + id128 + "-" + zero64 + "-01"), parent("ff" + given[2:] + "-01"), parent(given + "-01-more"), parent("01" + given[2:] + "-01more"), parent("01" + given[2:] + "-01."),
				header("traceparent", given+"-01", "traceparent", given+"-01"),
			},
		}},
		"b3": {trace.B3Single(), map[string][]trace.Header{
			none: {header(), header("b3", "")},
			good: {header("b3", id64+"-"+id64), header("b3", id64+"-"+id64+"-d-"+id64b), header("b3", id128+"-"+id64+"-0-"+id64b), header("b3", "d")},
			bad: {
				header("b3", "", "b3", ""), header("b3", "1", "b3", "1"), header("b3", "", "b3", "1"), header("b3", "D"), header("b3", "10"), header("b3", id64), header("b3", id64+"-"), header("b3", "-"),
				header("b3", id128+"_"+id64+"-1"), header("b3", id128+"-"+id64+"_1"), header("b3", id128+"-"+id64+"-1_"+id64b), header("b3", id128+"-"+id64+"-x-"+id64b), header("b3", id128+"-"+id64+"-1-"+strings.ToUpper(id64b)),
				header("b3", "x"+id128[1:]+"-"+id64+"-1"), header("b3", id128+"-x"+id64[1:]+"-1"), header("b3", zero64+"-"+id64+"-1"), header("b3", id64+"-"+zero64+"-1"), header("b3", id64+"-"+id64+"-1-"+id64b+"0"),
				header("b3", id128[:31]+"-"+id64+"-1"), header("b3", id128+"0-"+id64+"-1"), header("b3", id64[:15]+"-"+id64+"-1"),
			},
		}},
		"b3 multi": {trace.B3Multi(), map[string][]trace.Header{
			none: {header(), header("x-b3-other", "1")},
			good: {
				multi(id128, id64), multi(id64, id64), multi(id128, id64, "x-b3-sampled", "TRUE"), multi(id128, id64, "x-b3-sampled", "True"), multi(id128, id64, "x-b3-sampled", "FALSE"), multi(id128, id64, "x-b3-sampled", "False"),
				multi(id128, id64, "x-b3-flags", "0"), multi(id128, id64, "x-b3-parentspanid", id64b), header("x-b3-sampled", "1"), header("x-b3-sampled", "0", "x-b3-flags", "0"),
			},
			bad: {
				multi("x"+id128[1:], id64), multi(id128, "x"+id64[1:]), multi(zero128, id64), multi(zero64, id64), multi(id128, zero64), multi(id128[:30], id64), multi(id128, id64[:15]), multi("", id64), multi(id128, ""),
				multi(id128, id64, "x-b3-spanid", id64), multi(id128, id64, "x-b3-traceid", id128), multi(id128, id64, "x-b3-parentspanid", "x"+id64[1:]), multi(id128, id64, "x-b3-parentspanid", id64[1:]),
				multi(id128, id64, "x-b3-sampled", "2"), multi(id128, id64, "x-b3-sampled", "tRUE"), multi(id128, id64, "x-b3-flags", "d"), header("x-b3-flags", "0"), header("x-b3-parentspanid", id64, "x-b3-sampled", "1"), header("x-b3-sampled", "d"),
			},
		}},
		"micro": {trace.Micro(), map[string][]trace.Header{
			none: {header(), header("x-micro-parent-id", id64), header("x-micro-trace-debug", "true")},
			good: {micro(id128, id64), micro(id64, id128), micro(uuid, id64), micro(strings.ToLower(uuid), uuid), micro("ABCDEFabcdef0123456789ABCDEFabcd", id64), micro(strings.ReplaceAll(uuid, "-", ""), id64)},
			bad: {
				micro(id128, ""), micro("", id64), micro(zero128, id64), micro(zero64, id64), micro(id128, zero128), micro(id128, zero64), micro("@"+id128[1:], id64), micro("G"+id128[1:], id64), micro("g"+id128[1:], id64), micro("`"+id128[1:], id64),
				micro(id128+"0", id64), micro(id128[1:], id64), micro(id64+"0", id64), micro(id64[1:], id64), micro(uuid+"0", id64), micro(uuid[:35], id64), micro("4BF92F3-577B3-4DA6-A3CE-929D0E0E4736", id64), micro(uuid[:8]+"0"+uuid[9:], id64),
				micro(id128, uuid[:13]+"0"+uuid[14:]), micro(id128+"-----", id64), micro(id64+"-", id64),
			},
		}},
	} {
		for want, headers := range c.cases {
			for _, h := range headers {
				sc, found, err := c.p.Extract(h)
				got := map[bool]string{true: good, false: none}[found]
				if err != nil {
					got = bad
				}
				if got != want || found && err != nil || !found && sc != (trace.SpanContext{}) {
					t.Errorf("%s, %v: %s, want %s: %+v, found %v, %v", form, h, got, want, sc, found, err)
				}
			}
		}
	}
}

// A tracestate member has a key and a value of bounded lengths and characters; of
// a list that has a wrong one nothing is passed on, with spaces around or without.
func TestMembersOfATracestate(t *testing.T) {
	long := strings.Repeat("z", 256)
	for member, good := range map[string]bool{
		"a=b": true, "0=b": true, "9=b": true, "z=b": true, "a_-*/@z09=b": true, long + "=b": true, "a=" + long: true, "a=!~": true, "a=b c": true,
		long + "z=b": false, "a=" + long + "z": false, "a": false, "=b": false, "a=": false, "A=b": false, "`=b": false, "{=b": false, "/=b": false, ":=b": false, "_=b": false, "-=b": false, "*=b": false, "@=b": false,
		"aB=c": false, "a.=c": false, "a+=c": false, "a^=b": false, "a=b=c": false, "a=\x1f": false, "a=\x7f": false, "a=ä": false, "a=b\tc": false, "ä=b": false,
	} {
		for _, c := range []struct{ before, between, behind string }{{"", "x=y,", ""}, {" ", "x=y ,\t", "\t "}, {"", ",x=y,,", ","}} {
			sc, found, err := trace.W3C().Extract(trace.Header{"Traceparent": {given + "-01"}, "Tracestate": {c.before + c.between + member + c.behind}})
			want := "x=y," + member
			if !good {
				want = ""
			}
			if !found || err != nil || sc.State != want {
				t.Errorf("%q is passed on as %q, want %q; %v, %v", c.before+c.between+member+c.behind, sc.State, want, found, err)
			}
		}
	}
}

// A tracestate has at most 8 KiB, in all of its lines.
func TestTheLengthOfATracestate(t *testing.T) {
	for n, good := range map[int]bool{8<<10 - 1: true, 8 << 10: true, 8<<10 + 1: false} {
		for _, lines := range [][]string{{strings.Repeat(",", n)}, {strings.Repeat(",", n-100), strings.Repeat(" ", 100)}} {
			_, found, err := trace.W3C().Extract(trace.Header{"Traceparent": {given + "-01"}, "Tracestate": lines})
			if found != good || (err == nil) != good {
				t.Errorf("%d bytes in %d lines: %v, %v", n, len(lines), found, err)
			}
		}
	}
}

// Carriers find a key in any spelling; of two spellings in a map the one in lower
// case counts.
func TestSpellingsOfAKey(t *testing.T) {
	for range 20 { // the order of a map
		m := trace.Map{"B3": "1", "b3": "0", "X-Other": "x"}
		if m.Get("B3") != "0" || len(m.Values("B3")) != 1 || m.Values("B3")[0] != "0" {
			t.Fatalf("%v", m)
		}
		m.Set("B3", "d")
		m.Set("x-other", "y")
		m.Set("New", "z")
		if m["b3"] != "d" || m["B3"] != "1" || m["X-Other"] != "y" || m["new"] != "z" || len(m) != 4 || m.Values("none") != nil || m.Get("none") != "" {
			t.Fatalf("%v", m)
		}
	}
	md := trace.Metadata{"b3": {"1", "0"}}
	if md.Get("B3") != "1" || len(md.Values("B3")) != 2 || md.Get("none") != "" || md.Values("none") != nil {
		t.Errorf("%v", md)
	}
	md.Set("B3", "d")
	if len(md) != 1 || md.Get("b3") != "d" {
		t.Errorf("%v", md)
	}
	h := trace.Header{}
	h.Set("b3", "1")
	if h.Get("B3") != "1" || len(h.Values("b3")) != 1 || len(h["B3"]) != 1 {
		t.Errorf("%v", h)
	}
}

// discard is a carrier that keeps nothing.
type discard struct{}

func (discard) Get(string) string      { return "" }
func (discard) Values(string) []string { return nil }
func (discard) Set(string, string)     {}

// What a span's context looks like in headers is made once.
func TestInjectAgainDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tr, _ := newTracer(t, trace.WithSampler(trace.Never()))
	ctx, s := tr.Start(t.Context(), "x")
	defer s.End()
	var c trace.Carrier = discard{}
	if n := testing.AllocsPerRun(100, func() { tr.Inject(ctx, c) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
