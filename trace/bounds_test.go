package trace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/traced"
	"github.com/micro/go-platform/trace"
	tracedriver "github.com/micro/go-platform/trace/driver"
)

// What becomes of a batch of ten, by what its driver says: how many were sent,
// refused and given up, and why.
func TestWhatADriverSays(t *testing.T) {
	for name, c := range map[string]struct {
		n                      int
		err                    error
		sent, rejected, failed uint64
		says                   string // the last error
	}{
		"all":                       {10, nil, 10, 0, 0, ""},
		"more than there are":       {11, nil, 10, 0, 0, ""},
		"fewer":                     {7, nil, 7, 3, 0, "refused by the backend"},
		"none":                      {0, nil, 0, 10, 0, "refused by the backend"},
		"fewer than none":           {-1, nil, 0, 10, 0, "refused by the backend"},
		"an error":                  {0, errors.New("400"), 0, 0, 10, "400"},
		"an error behind some":      {3, errors.New("400"), 3, 0, 7, "400"},
		"an error behind all":       {10, errors.New("400"), 10, 0, 0, "400"},
		"some rejected":             {10, tracedriver.Rejected(nil, 4, "too old"), 6, 4, 0, "refused by the backend: too old"},
		"some rejected for nothing": {10, tracedriver.Rejected(nil, 4, ""), 6, 4, 0, "refused by the backend"},
		"none rejected":             {10, tracedriver.Rejected(nil, 0, "odd"), 10, 0, 0, ""},
		"more rejected than sent":   {5, tracedriver.Rejected(nil, 9, "too old"), 0, 10, 0, "refused by the backend: too old"},
	} {
		b := &backend{report: func(context.Context, []trace.SpanData) (int, error) { return c.n, c.err }}
		tr, err := trace.New(b.option("x"), trace.WithBatch(10, time.Hour), trace.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		spans(t, tr, 10)
		err = tr.Close(t.Context())
		if s := tr.Stats().Reporters[0]; s.Sent != c.sent || s.Rejected != c.rejected || s.Failed != c.failed || s.LastError != c.says {
			t.Errorf("%s: %+v, want %d sent, %d rejected, %d failed, %q", name, s, c.sent, c.rejected, c.failed, c.says)
		}
		if lost := c.rejected + c.failed; (lost > 0) != errors.Is(err, trace.ErrDropped) || lost == 0 && err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

// The logger hears that spans wait when a backend is unavailable, and that they
// are lost when they are.
func TestWhatTheLoggerHears(t *testing.T) {
	for name, c := range map[string]struct {
		answer func() error
		want   string
	}{
		"unavailable": {func() error { return errDown }, "spans wait"},
		"too late":    {func() error { return context.DeadlineExceeded }, "spans wait"},
		"timeout":     {func() error { return fault.Markf(fault.Timeout, "slow") }, "spans wait"},
		"refuses":     {func() error { return errors.New("400") }, "spans lost"},
		"well":        {func() error { return nil }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) {
				if err := c.answer(); err != nil {
					return 0, err
				}
				return len(s), nil
			}}
			tr, err := trace.New(b.option("x"), trace.WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
			if err != nil {
				t.Fatal(err)
			}
			spans(t, tr, 3)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			waits, lost := strings.Count(out.String(), "spans wait"), strings.Count(out.String(), "spans lost")
			if c.want == "" && waits+lost > 0 || c.want != "" && strings.Count(out.String(), c.want) != 1 || waits+lost > 1 || lost > 0 && !strings.Contains(out.String(), "lost=3") {
				t.Errorf("%s: %s", name, out.String())
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			tr.Close(ctx)
		})
	}
}

// Spans leave the queue in the order in which they ended, with all of their tags,
// however often it grows and turns round.
func TestTheOrderOfTheQueue(t *testing.T) {
	for _, tags := range []int{0, 1, 11, 12, 13, 30} {
		synctest.Test(t, func(t *testing.T) {
			var got []trace.SpanData
			var up atomic.Bool
			b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) {
				if !up.Load() {
					return 0, errDown
				}
				n := min(7, len(s))
				got = append(got, s[:n]...)
				if n < len(s) {
					return n, errDown
				}
				return n, nil
			}}
			tr, err := trace.New(b.option("x"), trace.WithBatch(10, time.Second), trace.WithQueue(100, 1<<20), trace.WithRetryFor(time.Hour), trace.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			id := 0
			end := func(n int) {
				for range n {
					_, s := tr.Start(t.Context(), fmt.Sprint(id))
					for i := range tags {
						s.TagInt(fmt.Sprint("k", i), int64(id))
					}
					s.End()
					id++
				}
			}
			end(70) // it grows from 64
			time.Sleep(30 * time.Second)
			up.Store(true)
			time.Sleep(30 * time.Second)
			for range 10 {
				end(37)
				time.Sleep(time.Minute)
			}
			if err := tr.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if len(got) != id {
				t.Fatalf("%d of %d spans", len(got), id)
			}
			for i, s := range got {
				if s.Name != fmt.Sprint(i) || len(s.Tags) != tags {
					t.Fatalf("span %d is %s with %d tags", i, s.Name, len(s.Tags))
				}
				for _, tag := range s.Tags {
					if tag.Value.Int64() != int64(i) {
						t.Fatalf("span %d has %v", i, s.Tags)
					}
				}
			}
		})
	}
}

// A span that waits holds on to nothing of its context.
func TestAWaitingSpanFreesItsContext(t *testing.T) {
	for _, tags := range []int{0, 3, 12} {
		block := make(chan struct{})
		b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) { <-block; return len(s), nil }}
		tr, err := trace.New(b.option("x"), trace.WithBatch(1000, time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var freed atomic.Bool
		func() {
			type key struct{}
			large := new([1 << 20]byte)
			runtime.AddCleanup(large, func(int) { freed.Store(true) }, 0)
			_, s := tr.Start(context.WithValue(t.Context(), key{}, large), "x")
			for i := range tags {
				s.Tag(fmt.Sprint(i), "v")
			}
			s.End()
		}()
		for end := time.Now().Add(30 * time.Second); !freed.Load() && time.Now().Before(end); {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
		if !freed.Load() || tr.Stats().Reporters[0].Queued != 1 {
			t.Errorf("%d tags: freed %v, %+v", tags, freed.Load(), tr.Stats())
		}
		close(block)
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// What one span may hold, at each limit and one more.
func TestTheLimitsOfASpan(t *testing.T) {
	link := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}
	for _, c := range []struct {
		name    string
		do      func(s trace.Span)
		dropped int
		want    string // tags, events, tags of the first event, links, tags of the first link
	}{
		{"none", func(trace.Span) {}, 0, "0 0 0 0 0"},
		{"at the limits", func(s trace.Span) {
			s.Tag("a", "1")
			s.Tag("b", "1")
			s.Tag("a", "2")
			s.Event("e", slog.Int("1", 1), slog.Int("2", 2))
			s.Event("f")
			s.Link(link, slog.Int("1", 1), slog.Int("2", 2))
			s.Link(link)
		}, 0, "2 2 2 2 2"},
		{"a tag more", func(s trace.Span) { s.TagInt("a", 1); s.TagBool("b", true); s.TagFloat("c", 1); s.TagInt("a", 2) }, 1, "2 0 0 0 0"},
		{"an event more", func(s trace.Span) { s.Event("e"); s.Event("f"); s.Event("g") }, 1, "0 2 0 0 0"},
		{"a link more", func(s trace.Span) { s.Link(link); s.Link(link); s.Link(link) }, 1, "0 0 0 2 0"},
		{"a tag of an event more", func(s trace.Span) { s.Event("e", slog.Int("1", 1), slog.Int("2", 2), slog.Int("3", 3)) }, 1, "0 1 2 0 0"},
		{"a tag of a link more", func(s trace.Span) { s.Link(link, slog.Int("1", 1), slog.Int("2", 2), slog.Int("3", 3)) }, 1, "0 0 0 1 2"},
		{"links to nothing", func(s trace.Span) {
			s.Link(trace.SpanContext{TraceID: link.TraceID})
			s.Link(trace.SpanContext{SpanID: link.SpanID})
		}, 0, "0 0 0 0 0"},
	} {
		tr, store := newTracer(t, trace.WithLimits(trace.Limits{Tags: 2, Events: 2, Links: 2}))
		_, s := tr.Start(t.Context(), "x")
		c.do(s)
		s.End()
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, _ := store.Trace(s.Context().TraceID)
		d := got.Spans[0]
		ofEvent, ofLink := 0, 0
		if len(d.Events) > 0 {
			ofEvent = len(d.Events[0].Tags)
		}
		if len(d.Links) > 0 {
			ofLink = len(d.Links[0].Tags)
		}
		if text := fmt.Sprint(len(d.Tags), len(d.Events), ofEvent, len(d.Links), ofLink); text != c.want || d.Dropped != c.dropped {
			t.Errorf("%s: %s and %d dropped, want %s and %d", c.name, text, d.Dropped, c.want, c.dropped)
		}
	}
}

// Text is cut at the last character that fits as a whole: of tags, errors and
// events.
func TestTextThatIsTooLong(t *testing.T) {
	for in, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abcde", "abcdef": "abcde", "abcdä": "abcd", "abcä": "abcä", "abcdée": "abcd", "\x80\x80\x80\x80\x80\x80": "", "😀😀": "😀"} {
		tr, store := newTracer(t, trace.WithLimits(trace.Limits{ValueBytes: 5}))
		_, s := tr.Start(t.Context(), "x")
		s.Tag("k", in)
		s.Event(in)
		s.Error(errors.New(in))
		s.End()
		tr.Flush(t.Context())
		got, _ := store.Trace(s.Context().TraceID)
		d := got.Spans[0]
		failed := want
		if failed == "" {
			failed = "error" // an error without a text is one
		}
		if d.Tags[0].Value.String() != want || d.Events[0].Name != want || d.Err != failed || d.Dropped != 0 {
			t.Errorf("%q: tag %q, event %q, error %q", in, d.Tags[0].Value, d.Events[0].Name, d.Err)
		}
	}
}

// What a sampler gets to know of each parent, and what follows of its answer.
func TestWhatASamplerIsTold(t *testing.T) {
	id, span := trace.TraceID{1}, trace.SpanID{2}
	parent := func(f trace.Flags) trace.SpanContext { return trace.SpanContext{TraceID: id, SpanID: span, Flags: f} }
	for name, c := range map[string]struct {
		ctx     func(ctx context.Context) context.Context
		opts    []trace.SpanOption
		asked   bool
		decided bool
		parent  bool // is valid
	}{
		"nothing":           {func(ctx context.Context) context.Context { return ctx }, nil, true, false, false},
		"not sampled":       {func(ctx context.Context) context.Context { return trace.ContextWithRemote(ctx, parent(0)) }, nil, true, true, true},
		"sampled":           {func(ctx context.Context) context.Context { return trace.ContextWithRemote(ctx, parent(trace.Sampled)) }, nil, true, true, true},
		"deferred":          {func(ctx context.Context) context.Context { return trace.ContextWithRemote(ctx, parent(trace.Deferred)) }, nil, true, false, true},
		"debug":             {func(ctx context.Context) context.Context { return trace.ContextWithRemote(ctx, parent(trace.Debug)) }, nil, false, false, true},
		"a decision alone":  {func(ctx context.Context) context.Context { return trace.ContextWithRemote(ctx, trace.SpanContext{}) }, nil, true, true, false},
		"begins a new one":  {func(ctx context.Context) context.Context { return trace.ContextWithRemote(ctx, parent(trace.Sampled)) }, []trace.SpanOption{trace.Root()}, true, false, false},
		"continues another": {func(ctx context.Context) context.Context { return ctx }, []trace.SpanOption{trace.ChildOf(parent(trace.Sampled))}, true, true, true},
		"continues nothing": {func(ctx context.Context) context.Context { return ctx }, []trace.SpanOption{trace.ChildOf(trace.SpanContext{})}, true, false, false},
		"another implementation": {func(ctx context.Context) context.Context {
			return trace.ContextWithSpan(ctx, theirs{trace.FromContext(ctx), parent(trace.Sampled)})
		}, nil, true, true, true},
		"no span": {func(ctx context.Context) context.Context { return trace.ContextWithSpan(ctx, nil) }, nil, true, false, false},
	} {
		for _, answer := range []bool{true, false} {
			var told []trace.Params
			tr, _ := newTracer(t, trace.WithSampler(trace.SamplerFunc(func(p trace.Params) bool { told = append(told, p); return answer })))
			_, s := tr.Start(c.ctx(t.Context()), "x", append(c.opts, trace.OfKind(trace.Client))...)
			s.End()
			if asked := len(told) == 1; asked != c.asked || asked && (told[0].Decided != c.decided || told[0].Parent.IsValid() != c.parent || told[0].Name != "x" || told[0].Kind != trace.Client || told[0].TraceID != s.Context().TraceID) {
				t.Errorf("%s: told %+v", name, told)
			}
			sc := s.Context()
			if sampled := answer || !c.asked; sc.Sampled() != sampled || (sc.TraceID == id) != c.parent || c.parent && sc.ParentID != span || !c.parent && !sc.ParentID.IsZero() {
				t.Errorf("%s, answer %v: %+v", name, answer, sc)
			}
			if st := tr.Stats(); st.Started != 1 || (st.Sampled == 1) != sc.Sampled() {
				t.Errorf("%s: %+v", name, st)
			}
		}
	}
}

// theirs is a span of another implementation, with a context of its own.
type theirs struct {
	trace.Span
	sc trace.SpanContext
}

func (s theirs) Context() trace.SpanContext { return s.sc }

// Every span has an id of its own, and its parent's beside it.
func TestWhoseSpanIDAServerHas(t *testing.T) {
	remote := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, ParentID: trace.SpanID{3}, Flags: trace.Sampled, State: "a=b"}
	for _, kind := range []trace.Kind{trace.Server, trace.Client} {
		for _, from := range []string{"elsewhere", "here", "nowhere"} {
			tr, store := newTracer(t)
			ctx, before := context.Background(), remote
			switch from {
			case "elsewhere":
				ctx = trace.ContextWithRemote(ctx, remote)
			case "here":
				var outer trace.Span
				ctx, outer = tr.Start(ctx, "outer")
				before = outer.Context()
			default:
				before = trace.SpanContext{}
			}
			_, s := tr.Start(ctx, "x", trace.OfKind(kind))
			s.End()
			tr.Flush(t.Context())
			got, _ := store.Trace(s.Context().TraceID)
			d := got.Spans[0]
			if d.Shared || d.Context.SpanID == before.SpanID || d.Context.ParentID != before.SpanID || d.Inbound != (from == "elsewhere") || d.Context.State != before.State {
				t.Errorf("kind %v, from %s: %+v", kind, from, d)
			}
		}
	}
}

// Samplers at the ends of what they take.
func TestTheEndsOfSamplers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := func(s trace.Sampler, n int) (yes int) {
			for range n {
				if s.Sample(trace.Params{}) {
					yes++
				}
			}
			return yes
		}
		for rate, want := range map[float64]int{0: 0, -1: 0, math.NaN(): 0, math.Inf(-1): 0, .5: 1, 1: 1, 2: 2, 2.5: 2} {
			if got := count(trace.RateLimit(rate), 10); got != want {
				t.Errorf("RateLimit(%v) sampled %d at once, want %d", rate, got, want)
			}
		}
		s := trace.RateLimit(2)
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{0, 2}, {499 * time.Millisecond, 0}, {time.Millisecond, 1}, {time.Second, 2}, {time.Hour, 2}} {
			time.Sleep(c.after)
			if got := count(s, 10); got != c.want {
				t.Errorf("%v later: %d, want %d", c.after, got, c.want)
			}
		}
	})
	always, never := trace.Always(), trace.Never()
	for _, c := range []struct {
		decided, sampled, want bool
	}{{false, false, true}, {true, false, false}, {true, true, true}, {false, true, true}} {
		p := trace.Params{Decided: c.decided}
		if c.sampled {
			p.Parent.Flags = trace.Sampled
		}
		if got := trace.ParentOr(always).Sample(p); got != c.want {
			t.Errorf("ParentOr(Always): %+v is %v", c, got)
		}
	}
	byName := trace.ByName(never, trace.Rule{Name: "a*", Sampler: never}, trace.Rule{Name: "*", Sampler: always})
	for name, want := range map[string]bool{"a": false, "ab": false, "b": true, "b/c": false} {
		if got := byName.Sample(trace.Params{Name: name}); got != want {
			t.Errorf("ByName, %s: %v", name, got)
		}
	}
	id := func(low uint64) trace.Params {
		var p trace.Params
		for i := range 7 {
			p.TraceID[15-i] = byte(low >> (8 * i))
		}
		p.TraceID[8] = 0xff // is not random
		return p
	}
	for low, want := range map[uint64]bool{0: false, 1<<55 - 1: false, 1 << 55: true, 1<<56 - 1: true} {
		if got := trace.Ratio(.5).Sample(id(low)); got != want {
			t.Errorf("Ratio(.5) of %x: %v", low, got)
		}
	}
}

// Trees as they are drawn, also of what is odd.
func TestTreesAsText(t *testing.T) {
	ms := time.Millisecond
	at := time.Unix(1e9, 0)
	span := func(id, parent byte, name string, started, took time.Duration, change func(s *trace.SpanData)) trace.SpanData {
		s := trace.SpanData{Name: name, Start: at.Add(started), Duration: took, Context: trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{id}, ParentID: trace.SpanID{parent}}}
		if change != nil {
			change(&s)
		}
		return s
	}
	shared := func(s *trace.SpanData) { s.Shared, s.Kind = true, trace.Server }
	client := func(s *trace.SpanData) { s.Kind = trace.Client }
	for name, c := range map[string]struct {
		spans []trace.SpanData
		want  string
	}{
		"nothing": {nil, ""},
		"times": {[]trace.SpanData{
			span(1, 0, "a", 0, 9999*time.Microsecond, nil), span(2, 1, "b", 1, 10*ms, nil), span(3, 1, "c", 2, 10*ms+49*time.Microsecond, nil), span(4, 1, "d", 3, 1234*time.Nanosecond, nil), span(5, 1, "e", 4, 12345678, nil),
		}, "a     9.999ms\n├─ b  10ms\n├─ c  10ms\n├─ d  1µs\n└─ e  12.3ms\n"},
		"levels": {[]trace.SpanData{span(1, 0, "a", 0, ms, nil), span(2, 1, "b", 1, ms, nil), span(3, 2, "c", 2, ms, nil), span(4, 1, "d", 3, ms, func(s *trace.SpanData) { s.Err, s.Local.Service = "bad", "shop" })},
			"a          1ms\n├─ b       1ms\n│  └─ c    1ms\n└─ shop d  1ms  error: bad\n"},
		"halves of a call": {[]trace.SpanData{span(1, 0, "call", 0, ms, client), span(1, 0, "serve", 1, ms, shared), span(2, 1, "query", 2, ms, nil)},
			"call (client)      1ms\n├─ serve (server)  1ms\n└─ query           1ms\n"},
		"one half alone": {[]trace.SpanData{span(1, 9, "serve", 0, ms, shared), span(2, 1, "query", 1, ms, nil)},
			"serve (server)  1ms\n└─ query        1ms\n"},
		"two halves of the callee": {[]trace.SpanData{span(1, 0, "serve", 0, ms, shared), span(1, 0, "again", 1, ms, shared), span(2, 1, "query", 2, ms, nil)},
			"serve (server)  1ms\n└─ query        1ms\nagain (server)  1ms\n"},
		"a clock that is behind": {[]trace.SpanData{span(2, 1, "b", 0, ms, nil), span(3, 2, "c", 1, ms, nil), span(1, 0, "a", 2, ms, nil)}, "a        1ms\n└─ b     1ms\n   └─ c  1ms\n"},
		"orphans":                {[]trace.SpanData{span(1, 8, "a", 0, ms, nil), span(2, 9, "b", 1, ms, nil), span(3, 3, "self", 2, ms, nil)}, "a     1ms\nb     1ms\nself  1ms\n"},
		"a circle":               {[]trace.SpanData{span(1, 2, "a", 0, ms, nil), span(2, 1, "b", 1, ms, nil)}, "a     1ms\n└─ b  1ms\n"},
		"kinds":                  {[]trace.SpanData{span(1, 0, "ä", 0, ms, func(s *trace.SpanData) { s.Kind = trace.Producer }), span(2, 0, "b", 1, ms, func(s *trace.SpanData) { s.Kind = trace.Consumer })}, "ä (producer)  1ms\nb (consumer)  1ms\n"},
	} {
		if got := trace.NewTrace(trace.TraceID{1}, c.spans).Tree(); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// Where each condition of a search begins and ends.
func TestTheLimitsOfASearch(t *testing.T) {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := trace.NewStore(0, 0)
	fill(t, m, 3, func(i int) trace.SpanData { // one, two and three seconds
		return trace.SpanData{Name: fmt.Sprint(i), Start: day.Add(time.Duration(i) * time.Hour), Duration: time.Duration(i+1) * time.Second, Local: trace.Endpoint{Service: "S"}, Tags: []trace.Tag{slog.Int("n", i), slog.String("k", "v")}}
	})
	for name, c := range map[string]struct {
		q    trace.Query
		want string // names, newest first
	}{
		"least, at":         {trace.Query{MinDuration: 2 * time.Second}, "21"},
		"least, above":      {trace.Query{MinDuration: 2*time.Second + 1}, "2"},
		"most, at":          {trace.Query{MaxDuration: 2 * time.Second}, "10"},
		"most, below":       {trace.Query{MaxDuration: 2*time.Second - 1}, "0"},
		"since, at":         {trace.Query{Since: day.Add(time.Hour)}, "21"},
		"since, after":      {trace.Query{Since: day.Add(time.Hour + 1)}, "2"},
		"until, at":         {trace.Query{Until: day.Add(time.Hour)}, "0"},
		"until, after":      {trace.Query{Until: day.Add(time.Hour + 1)}, "10"},
		"between":           {trace.Query{Since: day.Add(time.Hour), Until: day.Add(2 * time.Hour), MinDuration: 1, MaxDuration: time.Hour}, "1"},
		"a tag":             {trace.Query{Tags: map[string]string{"n": "1"}}, "1"},
		"two tags":          {trace.Query{Tags: map[string]string{"n": "1", "k": "v"}}, "1"},
		"another value":     {trace.Query{Tags: map[string]string{"n": "1", "k": "w"}}, ""},
		"another key":       {trace.Query{Tags: map[string]string{"v": "v"}}, ""},
		"a service's name":  {trace.Query{Service: "s", Name: "2"}, "2"},
		"no such service":   {trace.Query{Service: "s2"}, ""},
		"fewer than all":    {trace.Query{Limit: 2}, "21+"},
		"just all":          {trace.Query{Limit: 3}, "210"},
		"more than all":     {trace.Query{Limit: 4}, "210"},
		"failed ones":       {trace.Query{Errors: true}, ""},
		"one that is there": {trace.Query{TraceID: trace.TraceID{1, 2}, Service: "S"}, "2"},
	} {
		page, err := m.Search(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, tr := range page.Traces {
			got += tr.Spans[0].Name
		}
		if page.Next != "" {
			got += "+"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	id := strings.Repeat("0a", 16)
	for cursor, good := range map[string]bool{"1-" + id: true, "-1-" + id: false, "x-" + id: false, "-" + id: false, id: false, "1-" + id[1:]: false, "1-" + id + "0": false, "1-" + id[:31] + "g": false, "99999999999999999999-" + id: false, "1": false} {
		if _, err := m.Search(t.Context(), trace.Query{After: cursor}); (err == nil) != good || err != nil && !errors.Is(err, trace.ErrInvalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// A caller stands before what it called, though both start together.
func TestSpansThatStartTogether(t *testing.T) {
	at := time.Unix(1e9, 0)
	got := trace.NewTrace(trace.TraceID{1}, []trace.SpanData{{Name: "c", Start: at.Add(1), Duration: 9}, {Name: "b", Start: at, Duration: 1}, {Name: "a", Start: at, Duration: 2}, {Name: "b2", Start: at, Duration: 1}})
	names := ""
	for _, s := range got.Spans {
		names += s.Name + " "
	}
	if names != "a b b2 c " {
		t.Errorf("%s", names)
	}
}

// A store has at most its number of spans: whole traces leave it, and of one that
// has all of them the oldest spans. What is of its age just stays.
func TestTheBoundsOfAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := func(m *trace.Store, id byte, n int) {
			for i := range n {
				m.Report(t.Context(), []trace.SpanData{{Name: fmt.Sprint(i), Context: trace.SpanContext{TraceID: trace.TraceID{id}}}})
			}
		}
		has := func(m *trace.Store) string {
			all := ""
			for id := range byte(9) {
				if tr, ok := m.Trace(trace.TraceID{id}); ok {
					all += fmt.Sprintf("%d:%d ", id, len(tr.Spans))
				}
			}
			return fmt.Sprint(all, m.Len())
		}
		for _, c := range []struct {
			reports [][2]int // id and number
			want    string
		}{
			{[][2]int{{1, 4}}, "1:4 4"}, {[][2]int{{1, 5}}, "1:5 5"}, {[][2]int{{1, 6}}, "1:5 5"}, {[][2]int{{1, 3}, {2, 2}}, "1:3 2:2 5"}, {[][2]int{{1, 3}, {2, 3}}, "2:3 3"},
			{[][2]int{{1, 2}, {2, 2}, {1, 1}, {3, 1}}, "1:3 3:1 4"}, {[][2]int{{1, 1}, {2, 7}}, "2:5 5"},
		} {
			m := trace.NewStore(5, 0)
			for _, r := range c.reports {
				report(m, byte(r[0]), r[1])
			}
			if got := has(m); got != c.want {
				t.Errorf("%v: %s, want %s", c.reports, got, c.want)
			}
			if tr, ok := m.Trace(trace.TraceID{1}); ok && c.reports[0][1] == 6 && tr.Spans[0].Name != "1" {
				t.Errorf("the first of six is %s", tr.Spans[0].Name)
			}
		}
		m := trace.NewStore(0, time.Minute)
		report(m, 1, 1)
		time.Sleep(30 * time.Second)
		report(m, 2, 1)
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{30 * time.Second, "1:1 2:1 2"}, {1, "2:1 1"}, {30 * time.Second, "0"}} {
			time.Sleep(c.after)
			if got := has(m); got != c.want {
				t.Errorf("%v later: %s, want %s", c.after, got, c.want)
			}
		}
		if def := trace.NewStore(-1, -1); true {
			report(def, 1, 1)
			time.Sleep(1000 * time.Hour)
			if has(def) != "1:1 1" {
				t.Errorf("of the defaults: %s", has(def))
			}
		}
	})
}

// What is held until it is known whether it is kept: at most so many, of all traces
// together, and what is decided makes room.
func TestHowManySpansAreHeld(t *testing.T) {
	for _, c := range []struct {
		most, children, sent int
	}{{1, 1, 2}, {1, 2, 2}, {3, 2, 3}, {3, 3, 4}, {3, 4, 4}} {
		tr, store := newTracer(t, trace.WithSampler(trace.Never()), trace.WithKeep(c.most, trace.Failed))
		for round := range 3 {
			ctx, root := tr.Start(t.Context(), "root")
			for range c.children {
				_, s := tr.Start(ctx, "child")
				s.End()
			}
			if round != 1 { // the second is thrown away, and makes room too
				root.Error(errors.New("x"))
			}
			root.End()
		}
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := store.Len(); n != 2*c.sent || int(tr.Stats().Kept) != n {
			t.Errorf("%d children of %d that may be held: %d were sent, want twice %d; %+v", c.children, c.most, n, c.sent, tr.Stats())
		}
	}
	if slow := trace.SlowerThan(time.Second); slow(trace.SpanData{Duration: time.Second}) || !slow(trace.SpanData{Duration: time.Second + 1}) {
		t.Error("SlowerThan at its limit")
	}
}

// A trace whose root never ends gives way to newer ones, and holds nothing more. Of those
// that are left, each is kept as a whole.
func TestATraceThatNeverEndsGivesWay(t *testing.T) {
	tr, store := newTracer(t, trace.WithSampler(trace.Never()), trace.WithKeep(3, trace.Failed))
	begin := func(children int) (context.Context, trace.Span) {
		ctx, root := tr.Start(t.Context(), "root")
		for range children {
			_, s := tr.Start(ctx, "child")
			s.End()
		}
		return ctx, root
	}
	failed := func(s trace.Span) {
		s.Error(errors.New("x"))
		s.End()
	}
	sent := func(what string, want int) {
		t.Helper()
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := store.Len(); n != want {
			t.Errorf("%s: %d spans were sent, want %d", what, n, want)
		}
	}
	endless, first := begin(5) // holds all three places
	for range 3 {
		_, root := begin(3)
		failed(root)
	}
	sent("three traces beside an endless one", 12)
	_, s := tr.Start(endless, "child")
	s.End()
	_, one := begin(1)
	_, two := begin(2)
	failed(one)
	failed(two)
	sent("two traces that fit, beside one that gave way", 17)
	_, s = tr.Start(endless, "child") // what is worth keeping by then is kept
	failed(s)
	sent("a child of one that gave way", 18)
	first.End()
	sent("its root", 19)
	known, third := begin(1)
	_, s = tr.Start(known, "child")
	failed(s)
	_, fourth := begin(2)
	sent("a trace that was worth keeping when it gave way", 21)
	fourth.End()
	third.End()
	sent("its root", 22)
}

// Spans of messages say where these go, as long as somebody records it.
func TestSpansOfMessages(t *testing.T) {
	for _, sampled := range []bool{true, false} {
		tr, store := newTracer(t, trace.WithSampler(map[bool]trace.Sampler{true: trace.Always(), false: trace.Never()}[sampled]))
		m := trace.Map{}
		ctx, p := trace.StartPublish(t.Context(), tr, "orders", m)
		_, c := trace.StartConsume(t.Context(), tr, "orders", m)
		_, b := trace.StartBatch(ctx, tr, "orders", m, trace.Map{})
		for _, s := range []trace.Span{b, c, p} {
			if s.Context().TraceID != p.Context().TraceID || s != p && s.Context().ParentID != p.Context().SpanID {
				t.Errorf("%+v does not continue %+v", s.Context(), p.Context())
			}
			s.End()
		}
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, ok := store.Trace(p.Context().TraceID)
		if ok != sampled {
			t.Fatalf("sampled %v: %+v", sampled, got)
		}
		for i, s := range got.Spans {
			want := []string{
				"publish orders producer [messaging.destination=orders] 0", "consume orders consumer [messaging.destination=orders] 0",
				"consume orders consumer [messaging.destination=orders messaging.batch.message_count=2] 1",
			}[i]
			if text := fmt.Sprint(s.Name, " ", s.Kind, " ", s.Tags, " ", len(s.Links)); text != want {
				t.Errorf("span %d: %s, want %s", i, text, want)
			}
		}
	}
}

// What the log says of a span: a root has no parent, what is unknown is left out.
func TestWhatTheLogSaysOfASpan(t *testing.T) {
	var out strings.Builder
	tr, err := trace.New(trace.ToLog(slog.New(slog.NewTextHandler(&out, nil))))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ctx, root := tr.Start(t.Context(), "root", trace.StartAt(at))
	_, child := tr.Start(ctx, "child", trace.StartAt(at), trace.OfKind(trace.Client), trace.Remote(trace.Endpoint{Service: "bank"}))
	child.Error(errors.New("bad"))
	child.Tag("k", "v")
	child.EndAt(at.Add(time.Second))
	root.EndAt(at.Add(2 * time.Second))
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := func(s trace.Span) string {
		return " trace_id=" + s.Context().TraceID.String() + " span_id=" + s.Context().SpanID.String()
	}
	const start = " start=2026-01-02T03:04:05.000Z"
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		_, line, _ = strings.Cut(line, " ")
		want := []string{
			"level=WARN msg=child" + ids(child) + " parent_id=" + root.Context().SpanID.String() + " kind=client remote=bank" + start + " duration=1s error=bad tags.k=v",
			"level=INFO msg=root" + ids(root) + " kind=internal" + start + " duration=2s",
		}[i]
		if line != want {
			t.Errorf("got  %s\nwant %s", line, want)
		}
	}
}

// A store that was reset knows nothing of before, and fills again.
func TestAStoreThatWasReset(t *testing.T) {
	m := trace.NewStore(3, 0)
	add := func(ids ...byte) {
		for _, id := range ids {
			m.Report(t.Context(), []trace.SpanData{{Context: trace.SpanContext{TraceID: trace.TraceID{id}}}})
		}
	}
	add(1, 2, 3)
	m.Reset()
	for step, ids := range [][]byte{{}, {4}, {5, 6}, {7}} {
		add(ids...)
		page, err := m.Search(t.Context(), trace.Query{})
		if want := []int{0, 1, 3, 3}[step]; err != nil || len(page.Traces) != want || m.Len() != want {
			t.Errorf("step %d: %d traces, %d spans, want %d; %v", step, len(page.Traces), m.Len(), want, err)
		}
	}
	if _, ok := m.Trace(trace.TraceID{4}); ok {
		t.Error("the oldest is still there")
	}
}

// A span of another implementation is the one that its context has, and its ids
// are known if it is sampled.
func TestSpansOfAnotherImplementation(t *testing.T) {
	for flags, want := range map[trace.Flags]bool{0: false, trace.Sampled: true} {
		s := theirs{trace.FromContext(t.Context()), trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Flags: flags}}
		ctx := trace.ContextWithSpan(t.Context(), s)
		id, span, ok := traced.IDs(ctx)
		if trace.FromContext(ctx) != trace.Span(s) || ok != want || ok && (id != s.sc.TraceID || span != s.sc.SpanID) {
			t.Errorf("flags %b: %v, %v, %v", flags, id, span, ok)
		}
		if got := len(trace.ContextAttrs(ctx, nil)); got != 3 {
			t.Errorf("flags %b: %d attributes for the log", flags, got)
		}
	}
}

// What comes after the end of a span changes nothing of what a reporter has, also
// where a span has many tags.
func TestNothingChangesASpanThatEnded(t *testing.T) {
	for _, tags := range []int{1, 12, 13} {
		tr, store := newTracer(t)
		_, s := tr.Start(t.Context(), "x")
		for i := range tags {
			s.Tag(fmt.Sprint(i), "before")
		}
		s.End()
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Tag("0", "after")
		s.TagInt("new", 1)
		got, _ := store.Trace(s.Context().TraceID)
		if all := got.Spans[0].Tags; len(all) != tags || all[0].Value.String() != "before" {
			t.Errorf("%d tags: %v", tags, all)
		}
	}
}

// A context that is not there is an empty one.
func TestASpanWithoutAContext(t *testing.T) {
	tr, _ := newTracer(t)
	var none context.Context
	for _, opts := range [][]trace.SpanOption{nil, {trace.OfKind(trace.Server)}} {
		ctx, s := tr.Start(none, "x", opts...)
		s.End()
		if ctx == nil || ctx.Err() != nil || trace.FromContext(ctx) != s || !s.Context().ParentID.IsZero() {
			t.Errorf("%v, %+v", ctx, s.Context())
		}
	}
	if attrs := trace.ContextAttrs(none, nil); attrs != nil {
		t.Errorf("%v", attrs)
	}
}

// What is too old leaves a store when something new comes, though nobody looks.
func TestAStoreForgetsWhenItIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := trace.NewStore(0, time.Minute)
		fill(t, m, 5, func(int) trace.SpanData { return trace.SpanData{} })
		time.Sleep(time.Minute + 1)
		if n := m.Len(); n != 5 {
			t.Errorf("%d spans before, want 5", n)
		}
		m.Report(t.Context(), []trace.SpanData{{Context: trace.SpanContext{TraceID: trace.TraceID{9}}}})
		if n := m.Len(); n != 1 {
			t.Errorf("%d spans are left, want the new one", n)
		}
	})
}
