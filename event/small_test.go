package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The text of a BatchErrors has the first three, by index, and says if there are more.
func TestTheTextOfBatchErrors(t *testing.T) {
	for want, n := range map[string]int{
		"0 records failed":                         0,
		"1 records failed, 1: e1":                  1,
		"3 records failed, 1: e1, 2: e2, 3: e3":    3,
		"4 records failed, 1: e1, 2: e2, 3: e3, …": 4,
	} {
		e := BatchErrors{}
		for i := n; i > 0; i-- {
			e[i] = fmt.Errorf("e%d", i)
		}
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	a, b := errors.New("a"), errors.New("b")
	e := BatchErrors{2: b, 1: nil, 0: a}
	if got := e.Unwrap(); !slices.Equal(got, []error{a, b}) {
		t.Errorf("unwrapped %v, want those that are errors, by index", got)
	}
	for n, ok := range map[int]bool{2: false, 3: true, 4: true} {
		list, err := e.of(n)
		if (err == nil) != ok || ok && (len(list) != n || list[0] != a || list[1] != nil || list[2] != b) {
			t.Errorf("of %d records: %v, %v", n, list, err)
		}
	}
	if _, err := (BatchErrors{-1: a}).of(3); err == nil {
		t.Error("a record before the first is one")
	}
	for err, ok := range map[error]bool{fmt.Errorf("x: %w", e.pointless()): true, errors.Join(a): false, a: false} {
		if _, got := partialOf(err); got != ok {
			t.Errorf("%v is partial: %v, want %v", err, got, ok)
		}
	}
}

// pointless is the error in a value that can be the key of a map.
func (e BatchErrors) pointless() error { return fmt.Errorf("y: %w", e) }

func TestWhatAHandlersErrorSays(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		says string
	}{{Terminate(cause), "cause"}, {Terminate(nil), "handler failed"}, {Retry(cause, 0), "cause"}, {Retry(nil, 1), "handler failed"}} {
		if c.err.Error() != c.says || c.says == "cause" && !errors.Is(c.err, cause) {
			t.Errorf("%q, want %q", c.err, c.says)
		}
	}
	for after, want := range map[time.Duration]time.Duration{-1: 1, 0: 1, 1: 1, 2: 2} {
		var v *verdict
		if err := Retry(cause, after); !errors.As(err, &v) || v.after != want || v.terminate {
			t.Errorf("after %v: %+v", after, v)
		}
	}
}

// What a context says of the story and the delivery, and a context of nobody's.
func TestWhatAContextSays(t *testing.T) {
	s := &subscription{o: &subscribeOptions{group: "g"}}
	h := &handling{s: s, root: "r", id: "i", position: "p", attempt: 3}
	for _, c := range []struct {
		name     string
		ctx      context.Context
		cause    Cause
		has      bool
		delivery Delivery
		handled  bool
	}{
		{"nobody's", t.Context(), Cause{}, false, Delivery{}, false},
		{"one that was given", ContextWithCause(t.Context(), Cause{"a", "b"}), Cause{"a", "b"}, true, Delivery{}, false},
		{"a handler's", h, Cause{"r", "i"}, true, Delivery{"g", 3, "p"}, true},
		{"below it", context.WithValue(h, smallKey{}, "v"), Cause{"r", "i"}, true, Delivery{"g", 3, "p"}, true},
		{"another story in it", ContextWithCause(h, Cause{"a", "b"}), Cause{"a", "b"}, true, Delivery{"g", 3, "p"}, true},
		{"of a batch", &handling{s: s, id: "i", position: "p", attempt: 1, several: true}, Cause{}, false, Delivery{"g", 1, "p"}, true},
	} {
		if cause, ok := CauseFromContext(c.ctx); cause != c.cause || ok != c.has {
			t.Errorf("%s: the cause is %+v, %v", c.name, cause, ok)
		}
		if d, ok := DeliveryFromContext(c.ctx); d != c.delivery || ok != c.handled {
			t.Errorf("%s: the delivery is %+v, %v", c.name, d, ok)
		}
	}
	if h.Value("another") != nil {
		t.Error("it has a value of another key")
	}
}

// A handler's context ends once, and what was to follow follows, unless it was taken back.
func TestTheEndOfAHandlersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handling{s: &subscription{o: &subscribeOptions{limit: time.Second}}}
		if err := h.Err(); err != nil {
			t.Errorf("nobody asked, and it has ended: %v", err)
		}
		ran := make(chan string, 10)
		stop := h.AfterFunc(func() { ran <- "taken back" })
		h.AfterFunc(func() { ran <- "first" })
		if err := h.Err(); err != nil {
			t.Errorf("it has ended: %v", err)
		}
		if !stop() || stop() {
			t.Error("what waits is taken back once")
		}
		late := h.AfterFunc(func() { ran <- "second" })
		select {
		case <-h.Done():
			t.Error("it is done")
		default:
		}
		h.end()
		h.end()
		synctest.Wait()
		<-h.Done()
		if late() {
			t.Error("what has run was taken back")
		}
		if h.AfterFunc(func() { ran <- "after the end" })() {
			t.Error("what runs was taken back")
		}
		synctest.Wait()
		close(ran)
		var got []string
		for s := range ran {
			got = append(got, s)
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"after the end", "first", "second"}) || !errors.Is(h.Err(), context.DeadlineExceeded) {
			t.Errorf("then %q followed, and %v", got, h.Err())
		}
		if _, ok := h.Deadline(); ok {
			t.Error("it names a deadline")
		}
		if (&handling{s: &subscription{o: &subscribeOptions{}}}).Done() != nil {
			t.Error("without a limit it can end")
		}
	})
}

// Each pattern with what it matches and the nearest that it does not.
func TestPatternsAndTheirNeighbours(t *testing.T) {
	for _, c := range []struct {
		patterns string
		yes, no  string
	}{
		{"", "a a.b deadly _replyx", "dead dead.a _reply.x"},
		{"**", "a a.b", "dead dead.a _reply.x"},
		{"a.b", "a.b", "a a.b.c a.c b.b"},
		{"a.*", "a.b a.c", "a a.b.c b.b"},
		{"a.**", "a.b a.b.c", "a b.a"},
		{"*", "a b", "a.b dead"},
		{"*.b", "a.b .b", "a b a.b.c dead.b"},
		{"*.*", "a.b", "a a.b.c dead.b _reply.b"},
		{"a.*.c", "a.b.c", "a.c a.b a.b.d a.b.b.c"},
		{".a", ".a", "a a.a"},
		{".*", ".a", "a"},
		{"dead.**", "dead.a dead.a.b", "dead a"},
		{"dead.*", "dead.a", "dead.a.b"},
		{"dead", "dead", "dead.a"},
		{"** dead.**", "a dead.a", "_reply.a"},
		{"_reply.*", "_reply.a", "a dead.a"},
		{"a b.*", "a b.c", "b a.c"},
	} {
		p, err := parsePatterns(strings.Fields(c.patterns)...)
		if err != nil {
			t.Errorf("%q: %v", c.patterns, err)
			continue
		}
		for _, typ := range strings.Fields(c.yes) {
			if !p.Match(typ) {
				t.Errorf("%q does not match %q", c.patterns, typ)
			}
		}
		for _, typ := range strings.Fields(c.no) {
			if p.Match(typ) {
				t.Errorf("%q matches %q", c.patterns, typ)
			}
		}
		if all := c.patterns == "" || strings.HasPrefix(c.patterns, "**"); p.All() != all {
			t.Errorf("%q is everything: %v", c.patterns, p.All())
		}
	}
	for _, bad := range []string{"", "a*", "*a", "***", "a.b*", "a.**.b", "**.a", "a*.b", "\x00", "a.\x7f"} {
		if _, err := parsePatterns("a", bad); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "pattern") {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
}

// A filter with each of its fields alone, for a record of just these and of others.
func TestFiltersAndTheirNeighbours(t *testing.T) {
	at := time.Unix(100, 0)
	r := &Record{ID: "i", Type: "t", Source: "s", RootID: "r", Subject: "b", Time: at}
	dead := r.Clone()
	dead.Type = "dead.t"
	typed := func(f Filter, types string) Filter {
		f.Types = must(parsePatterns(types))
		return f
	}
	for name, c := range map[string]struct {
		f        Filter
		ok, dead bool
	}{
		"none":                  {Filter{}, true, false},
		"ID":                    {Filter{ID: "i"}, true, true},
		"ID ":                   {Filter{ID: "x"}, false, false},
		"source":                {Filter{Source: "s"}, true, false},
		"source ":               {Filter{Source: "x"}, false, false},
		"root":                  {Filter{RootID: "r"}, true, true},
		"root ":                 {Filter{RootID: "x"}, false, false},
		"root and its type":     {typed(Filter{RootID: "r"}, "t"), true, false},
		"root and another type": {typed(Filter{RootID: "r"}, "u"), false, false},
		"subject":               {Filter{Subject: "b"}, true, false},
		"subject ":              {Filter{Subject: "x"}, false, false},
		"type":                  {typed(Filter{}, "t"), true, false},
		"type ":                 {typed(Filter{}, "u"), false, false},
		"since":                 {Filter{Since: at}, true, false},
		"since before":          {Filter{Since: at.Add(-1)}, true, false},
		"since after":           {Filter{Since: at.Add(1)}, false, false},
		"until":                 {Filter{Until: at}, false, false},
		"until before":          {Filter{Until: at.Add(-1)}, false, false},
		"until after":           {Filter{Until: at.Add(1)}, true, false},
		"all of them":           {Filter{ID: "i", Source: "s", RootID: "r", Subject: "b", Since: at, Until: at.Add(1)}, true, true},
		"all but one":           {Filter{ID: "i", Source: "s", RootID: "r", Subject: "x", Since: at, Until: at.Add(1)}, false, false},
	} {
		if c.f.Match(r) != c.ok || c.f.Match(dead) != c.dead {
			t.Errorf("%s: %v and of a dead letter %v", name, c.f.Match(r), c.f.Match(dead))
		}
	}
	for _, c := range []struct {
		since, until time.Time
		ok           bool
	}{{at, at, true}, {at, at.Add(-1), false}, {at, at.Add(1), true}, {time.Time{}, at, true}, {at, time.Time{}, true}} {
		_, err := newQueryOptions([]QueryOption{Since(c.since), Until(c.until)})
		if (err == nil) != c.ok {
			t.Errorf("from %v until %v: %v", c.since, c.until, err)
		}
	}
}

// The limits of options, at them and above.
func TestTheLimitsOfOptions(t *testing.T) {
	for _, c := range []struct {
		good, bad SubscribeOption
	}{
		{Concurrency(1 << 16), Concurrency(1<<16 + 1)},
		{Concurrency(1), Concurrency(0)},
		{Batch(1 << 16), Batch(1<<16 + 1)},
		{Batch(1), Batch(0)},
		{Partitions(256), Partitions(257)},
		{Partitions(2), Partitions(1)},
		{MaxAttempts(0), MaxAttempts(-1)},
		{HandlerTimeout(10 * time.Millisecond), HandlerTimeout(1)},
	} {
		if _, err := newSubscribeOptions([]SubscribeOption{c.good}); err != nil {
			t.Error(err)
		}
		if _, err := newSubscribeOptions([]SubscribeOption{c.bad}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
	}
	for _, c := range []struct{ group, dead, want string }{{"", "", ""}, {"g", "", "dead.g"}, {"g", "dead.x", "dead.x"}, {"", "dead.x", "dead.x"}} {
		var opts []SubscribeOption
		if c.group != "" {
			opts = append(opts, Group(c.group))
		}
		if c.dead != "" {
			opts = append(opts, DeadLetter(c.dead))
		}
		o, err := newSubscribeOptions(opts)
		if err != nil || o.dead != c.want {
			t.Errorf("%+v: %q, %v", c, o.dead, err)
		}
	}
}

// What a dead letter says, and the record that it gives back.
func TestADeadLetterAndItsOriginal(t *testing.T) {
	o := &subscribeOptions{group: "g", dead: "dead.g"}
	r := &Record{ID: "i", Type: "t", RootID: "root", ParentID: "parent", Subject: "s", Metadata: map[string]string{"k": "v", "dead-end": "x"}, Data: []byte("data"), Position: "7"}
	for _, parent := range []string{"parent", ""} {
		r.ParentID = parent
		d := deadLetter(r, o, errors.New("why"), 3)
		if d.ID == r.ID || d.Type != "dead.g" || d.ParentID != "i" || d.RootID != "root" || d.Position != "" || d.Subject != "s" || string(d.Data) != "data" {
			t.Errorf("%+v", d)
		}
		want := map[string]string{"k": "v", "dead-end": "x", DeadID: "i", DeadType: "t", DeadGroup: "g", DeadError: "why", DeadAttempts: "3", DeadPosition: "7"}
		if parent != "" {
			want[DeadParent] = parent
		}
		if fmt.Sprint(d.Metadata) != fmt.Sprint(want) || r.Metadata[DeadID] != "" {
			t.Errorf("metadata %v, want %v", d.Metadata, want)
		}
		back, ok := Original(d)
		if !ok || back.ID != "i" || back.Type != "t" || back.ParentID != parent || back.Position != "" || string(back.Data) != "data" || fmt.Sprint(back.Metadata) != "map[k:v]" {
			t.Errorf("%+v, %v, want the record", back, ok)
		}
		d.cut()
		if _, ok := Original(d); ok || d.Data != nil || d.Metadata["k"] != "" || d.Metadata[DeadCut] != "4" || d.Metadata[DeadID] != "i" {
			t.Errorf("%+v, want a cut one to give no record back", d)
		}
	}
	if d := deadLetter(&Record{ID: "i", Type: "t"}, o, errors.New("why"), 1); d.Metadata[DeadError] != "why" {
		t.Errorf("of a record without metadata: %+v", d)
	}
	if _, ok := Original(r); ok {
		t.Error("a record that is no dead letter gives another")
	}
	for n, want := range map[int]int{1023: 1023, 1024: 1024, 1025: 1024} {
		if got := cutText(strings.Repeat("x", n)); len(got) != want {
			t.Errorf("%d bytes are cut to %d, want %d", n, len(got), want)
		}
	}
	if got := cutText(strings.Repeat("x", 1023) + "é"); got != strings.Repeat("x", 1023) {
		t.Errorf("a character is cut in the middle: %q", got[1000:])
	}
	if got := cutText("a\xffb"); got != "a�b" {
		t.Errorf("what is no text is %q", got)
	}
}

// The groups of the parts are one: what is pending of all, and how far the slowest is
// behind.
func TestTheGroupsOfPartsAreFolded(t *testing.T) {
	lag := func(name string, pending, behind int64) GroupInfo {
		return GroupInfo{Name: name, Lag: Lag{Pending: pending, Behind: behind}}
	}
	for _, c := range []struct {
		name string
		list []GroupInfo
		want []GroupInfo
	}{
		{"none", nil, nil},
		{"undivided", []GroupInfo{lag("b", 1, 2), lag("a", 0, 0)}, []GroupInfo{lag("a", 0, 0), lag("b", 1, 2)}},
		{"the second is slower", []GroupInfo{lag("g [1/2]", 1, 2), lag("g [2/2]", 3, 4)}, []GroupInfo{lag("g", 4, 4)}},
		{"the first is slower", []GroupInfo{lag("g [1/2]", 1, 4), lag("g [2/2]", 3, 2)}, []GroupInfo{lag("g", 4, 4)}},
		{"as slow as each other", []GroupInfo{lag("g [1/2]", 1, 4), lag("g [2/2]", 3, 4)}, []GroupInfo{lag("g", 4, 4)}},
		{"the first is not known", []GroupInfo{lag("g [1/2]", 1, -1), lag("g [2/2]", 3, 4)}, []GroupInfo{lag("g", 4, -1)}},
		{"the second is not known", []GroupInfo{lag("g [1/2]", 1, 0), lag("g [2/2]", 3, -1)}, []GroupInfo{lag("g", 4, -1)}},
		{"two of them", []GroupInfo{lag("h [1/2]", 1, 1), lag("g [1/2]", 2, 2), lag("h [2/2]", 1, 1)}, []GroupInfo{lag("g", 2, 2), lag("h", 2, 1)}},
	} {
		got := foldGroups(c.list)
		for i := range c.want {
			if c.name != "undivided" {
				c.want[i].Partitions = 2
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestCountsOfPartsAddUp(t *testing.T) {
	cause, other := errors.New("cause"), errors.New("other")
	one := Stats{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, nil}
	st := one
	st.add(Stats{10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, cause})
	if want := (Stats{11, 22, 33, 44, 55, 66, 77, 88, 99, 110, 121, 132, cause}); st != want {
		t.Errorf("%+v, want %+v", st, want)
	}
	st.add(Stats{Err: other})
	if st.Err != cause {
		t.Errorf("%v, want the first", st.Err)
	}
}

// A due time is in whole milliseconds, and never before what was asked for.
func TestDueTimes(t *testing.T) {
	for nanos, want := range map[int64]int64{0: 0, 1: 1e6, 999_999: 1e6, 1e6: 1e6, 1_000_001: 2e6} {
		due, err := dueTime(time.Unix(5, nanos))
		if err != nil || !due.Equal(time.Unix(5, want)) || due.Location() != time.UTC {
			t.Errorf("%d ns: %v, %v", nanos, due, err)
		}
	}
	for s, ok := range map[int64]bool{firstSecond: true, firstSecond - 1: false, lastSecond: true, lastSecond + 1: false} {
		if _, err := dueTime(time.Unix(s, 0)); (err == nil) != ok {
			t.Errorf("second %d: %v", s, err)
		}
	}
	if _, err := dueTime(time.Time{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("the zero time: %v", err)
	}
}

// The parts of an aggregation's time, before and after 1970.
func TestSpansOfTime(t *testing.T) {
	a := Aggregation{Every: 10}
	for ns, want := range map[int64]int64{0: 0, 9: 0, 10: 10, 11: 10, -1: -10, -10: -10, -11: -20} {
		if b := a.bucketOf(&Record{Time: time.Unix(0, ns)}); !b.Start.Equal(time.Unix(0, want)) {
			t.Errorf("%d is in the span from %d, want %d", ns, b.Start.UnixNano(), want)
		}
	}
	r := &Record{Type: "t", Source: "s", RootID: "r", Subject: "b", Time: time.Unix(0, 5)}
	for d, want := range map[Dimension]Bucket{PerType: {Type: "t"}, PerSource: {Source: "s"}, PerRoot: {RootID: "r"}, PerSubject: {Subject: "b"}} {
		if got := (Aggregation{Per: []Dimension{d}}).bucketOf(r); got != want {
			t.Errorf("%s: %+v", d, got)
		}
	}
}

// An aggregation counts, adds up and keeps the first and the last time, in order.
func TestAnAggregationAddsUp(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for _, r := range []struct {
		subject string
		at      int64
		data    string
	}{{"b", 20, "12"}, {"a", 30, "1"}, {"a", 10, "123"}, {"a", 25, ""}, {"b", 20, "1"}} {
		if err := s.Publish(t.Context(), &Record{Type: "t", Subject: r.subject, Time: time.Unix(r.at, 0), Data: []byte(r.data)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Aggregate(t.Context(), Aggregation{Per: []Dimension{PerSubject}})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	for i, want := range []Bucket{
		{Subject: "a", Count: 3, Bytes: 4, First: time.Unix(10, 0).UTC(), Last: time.Unix(30, 0).UTC()},
		{Subject: "b", Count: 2, Bytes: 3, First: time.Unix(20, 0).UTC(), Last: time.Unix(20, 0).UTC()},
	} {
		if got[i] != want {
			t.Errorf("%+v, want %+v", got[i], want)
		}
	}
}

type smallKey struct{}
