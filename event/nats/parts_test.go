package nats

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A claim is read as it was written, and nothing else is one.
func TestClaimsAreReadAsTheyWereWritten(t *testing.T) {
	for _, c := range []claim{{word: "w", fence: 1, after: 2}, {word: "w", fence: 1<<64 - 1, after: 0, next: time.UnixMilli(5).UTC()}} {
		if got := parseClaim(c.String()); got == nil || *got != c {
			t.Errorf("%q is read as %+v, want %+v", c.String(), got, c)
		}
	}
	for _, text := range []string{"", "w", "w 1 2", "w 1 2 0 0", "w x 2 0", "w 1 x 0", "w 1 2 x", "w -1 2 0", "w 1 -2 0"} {
		if got := parseClaim(text); got != nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	k := keyOf("id")
	if got, ok := parseKey(k.String()); !ok || got != k {
		t.Errorf("%s is read as %s, %v", k, got, ok)
	}
	for _, text := range []string{"", "x", k.String()[:30], k.String()[:31], k.String() + "0", k.String() + "00", "x" + k.String()[1:], k.String()[:31] + "x"} {
		if got, ok := parseKey(text); ok {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

// Each message differs in one thing from an entry of the schedule.
func TestWhatIsNoEntry(t *testing.T) {
	d := newDriver(nil, nil, config{}, "ns")
	at := time.UnixMilli(7).UTC()
	e := &entry{Scheduled: event.Scheduled{ID: "id", Due: at, Recurrence: "hourly", Record: &event.Record{ID: "id", Type: "t", Time: at}}, key: keyOf("id")}
	e.data = encode(e.Scheduled)
	whole := d.planned(e)
	for name, c := range map[string]struct {
		change func(m *jetstream.RawStreamMsg)
		entry  bool
		broken bool // its record
	}{
		"an entry":        {func(*jetstream.RawStreamMsg) {}, true, false},
		"no due time":     {func(m *jetstream.RawStreamMsg) { m.Header.Del(dueHeader) }, false, false},
		"no number":       {func(m *jetstream.RawStreamMsg) { m.Header.Set(dueHeader, "x") }, false, false},
		"another subject": {func(m *jetstream.RawStreamMsg) { m.Subject = d.plan.subject + "x" }, false, false},
		"no data":         {func(m *jetstream.RawStreamMsg) { m.Data = nil }, false, false},
		"half an id":      {func(m *jetstream.RawStreamMsg) { m.Data = m.Data[:2] }, false, false},
		"no recurrence":   {func(m *jetstream.RawStreamMsg) { m.Data = m.Data[:3] }, false, false},
		"no record":       {func(m *jetstream.RawStreamMsg) { m.Data = m.Data[:3+7] }, true, true},
		"half a record":   {func(m *jetstream.RawStreamMsg) { m.Data = m.Data[:3+7+4] }, true, true},
	} {
		m := &jetstream.RawStreamMsg{Subject: whole.Subject, Sequence: 3, Header: gonats.Header{}, Data: slices.Clone(whole.Data)}
		for k, v := range whole.Header {
			m.Header[k] = slices.Clone(v)
		}
		c.change(m)
		got := d.decode(m)
		switch {
		case (got != nil) != c.entry:
			t.Errorf("%s: %+v", name, got)
		case got == nil:
		case (got.Err != nil) != c.broken || got.ID != "id" || got.Recurrence != "hourly" || !got.Due.Equal(at) || got.Version != "3" || got.gone || got.claim != nil:
			t.Errorf("%s: %+v", name, got)
		}
	}
	mark := d.planned(&entry{key: e.key, gone: true, Scheduled: event.Scheduled{Due: at}})
	if got := d.decode(&jetstream.RawStreamMsg{Subject: mark.Subject, Header: mark.Header}); got == nil || !got.gone {
		t.Errorf("a mark is read as %+v", got)
	}
}

// What a process remembers of the schedule, by due time and then by key.
func TestAgenda(t *testing.T) {
	d := newDriver(nil, nil, config{}, "ns")
	a := &d.plan.agenda
	add := func(id, due string) { a.add(d, d.plan.subject+keyOf(id).String(), due) }
	if _, next, ok := a.take(time.UnixMilli(100)); ok || !next.IsZero() {
		t.Error("an empty agenda has something")
	}
	for _, one := range [][2]string{{"c", "30"}, {"a", "10"}, {"b", "20"}, {"a", "10"}, {"odd", "x"}} {
		add(one[0], one[1])
	}
	a.add(d, d.plan.subject+"reach", "5")
	take := func(now int64) string {
		it, next, ok := a.take(time.UnixMilli(now))
		if !ok {
			return "next " + next.Format(".000")
		}
		return map[key]string{keyOf("a"): "a", keyOf("b"): "b", keyOf("c"): "c"}[it.key]
	}
	rest := func(from string) int {
		list, err := a.after(from)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; len(list) > 0; n++ {
			list.next()
		}
		return n
	}
	b := item{20, keyOf("b")}
	if all, some := rest(""), rest(b.String()); all != 3 || some != 1 {
		t.Errorf("%d are there, and %d after b, want 3 and 1", all, some)
	}
	for _, c := range []struct {
		now  int64
		want string
	}{{9, "next .010"}, {10, "a"}, {19, "next .020"}, {20, "b"}, {29, "next .030"}} {
		if got := take(c.now); got != c.want {
			t.Errorf("at %d: %s, want %s", c.now, got, c.want)
		}
	}
	if n := rest(""); n != 3 { // what is taken is listed too
		t.Errorf("%d are there, want 3", n)
	}
	a.drop() // b is over, and a comes back
	a.back()
	if got := take(25); got != "a" {
		t.Errorf("then %s, want a", got)
	}
	if got := take(25); got != "next .030" {
		t.Errorf("then %s, want c later", got)
	}
	for _, from := range []string{"x", "5", "x " + keyOf("a").String(), "5 x"} {
		if _, err := a.after(from); !errors.Is(err, fault.Invalid) {
			t.Errorf("from %q: %v, want fault.Invalid", from, err)
		}
	}
}

// An entry is fired only as it was when it was due.
func TestWhatIsNotFired(t *testing.T) {
	at := time.UnixMilli(7).UTC()
	for name, c := range map[string]struct {
		change func(e *entry)
		fired  bool
	}{
		"as it was":       {func(*entry) {}, true},
		"gone":            {func(e *entry) { e.gone = true }, false},
		"claimed":         {func(e *entry) { e.claim = &claim{} }, false},
		"due another day": {func(e *entry) { e.Due = at.Add(1) }, false},
	} {
		d := newDriver(nil, nil, config{}, "ns")
		e := &entry{Scheduled: event.Scheduled{ID: "id", Due: at, Version: "3"}}
		c.change(e)
		d.plan.due = map[string]*entry{"id": e}
		got, err := d.asOf(t.Context(), nil, eventdriver.Firing{ID: "id", Due: at, Version: "3"})
		if err != nil || (got == e) != c.fired || !c.fired && got != nil {
			t.Errorf("%s: %+v, %v, want it fired: %v", name, got, err, c.fired)
		}
	}
}

// A server takes no filters that overlap, unless one of them is left out for the other.
func TestFiltersThatOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b              string
		overlap           bool
		includes, reverse bool
	}{
		{"a", "a", true, true, true}, {"a", "b", false, false, false}, {"a", "a.b", false, false, false}, {"a.>", "a.b", true, true, false}, {"a.>", "a.b.c", true, true, false},
		{"a.>", "b.c", false, false, false}, {"a.>", "a.>", true, true, true}, {"a.*", "a.b", true, true, false}, {"a.*", "a.b.c", false, false, false}, {"a.*", "*.b", true, false, false},
		{"a.*", "a.>", true, false, true}, {"*", "a", true, true, false}, {">", "a.b", true, true, false}, {"a.*.c", "a.b.>", true, false, false},
	} {
		if overlap(c.a, c.b) != c.overlap || overlap(c.b, c.a) != c.overlap {
			t.Errorf("%s and %s overlap: %v, the other way %v, want %v", c.a, c.b, overlap(c.a, c.b), overlap(c.b, c.a), c.overlap)
		}
		if includes(c.a, c.b) != c.includes || includes(c.b, c.a) != c.reverse {
			t.Errorf("%s includes %s: %v, the other way %v, want %v and %v", c.a, c.b, includes(c.a, c.b), includes(c.b, c.a), c.includes, c.reverse)
		}
	}
}
