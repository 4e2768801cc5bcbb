package event

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// kept is what a memory still has.
func kept(t *testing.T, m *memory) []string {
	t.Helper()
	page, err := m.Read(t.Context(), ReadRequest{From: Beginning(), Max: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return idsOfRecords(page.Records)
}

func idsOfRecords(rs []*Record) []string {
	ids := []string{}
	for _, r := range rs {
		ids = append(ids, r.ID)
	}
	return ids
}

func appendIDs(t *testing.T, m *memory, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := m.Append(t.Context(), []*Record{{ID: id, Type: "t", RootID: "root" + id[:1]}}); err != nil {
			t.Fatal(err)
		}
	}
}

// A memory is trimmed to its limit when it is an eighth above it, and not before.
func TestAMemoryIsTrimmedAboveItsLimits(t *testing.T) {
	size := func() int64 {
		m := newMemory(Retention{Count: 100})
		appendIDs(t, m, "x")
		return m.log.bytes
	}()
	for name, keep := range map[string]Retention{"count": {Count: 16}, "bytes": {Bytes: 16 * size}, "both": {Count: 16, Bytes: 1000 * size}} {
		m := newMemory(keep)
		for n := range 18 {
			appendIDs(t, m, string(rune('a'+n)))
		}
		if n := len(kept(t, m)); n != 18 {
			t.Errorf("%s: %d are kept of 18, want all, an eighth above the limit", name, n)
		}
		appendIDs(t, m, "s")
		if got, want := strings.Join(kept(t, m), ""), "defghijklmnopqrs"; got != want {
			t.Errorf("%s: kept are %q, want the newest 16", name, got)
		}
		if m.log.bytes != 16*size || m.log.count() != 16 {
			t.Errorf("%s: it counts %d bytes and %d records, want %d and 16", name, m.log.bytes, m.log.count(), 16*size)
		}
	}
	if got := newMemory(Retention{}).keep; got.Count != 100_000 || got.Bytes != 64<<20 || got.Age != 0 {
		t.Errorf("the default keeps %+v", got)
	}
	if got := newMemory(Retention{Age: 1}).keep; got != (Retention{Age: 1}) {
		t.Errorf("with an age it keeps %+v", got)
	}
}

// What is trimmed: each limit below, at and above it, and never what a group needs.
func TestWhatIsTrimmed(t *testing.T) {
	for _, c := range []struct {
		name  string
		keep  Retention
		group int // records that one has acknowledged; negative: no group
		want  string
	}{
		{"no limit", Retention{}, -1, "abcdef"},
		{"a count that is not reached", Retention{Count: 7}, -1, "abcdef"},
		{"a count that is reached", Retention{Count: 6}, -1, "abcdef"},
		{"a count", Retention{Count: 5}, -1, "bcdef"},
		{"an age that is not reached", Retention{Age: 6 * time.Second}, -1, "abcdef"},
		{"an age that is reached", Retention{Age: 5 * time.Second}, -1, "abcdef"},
		{"an age", Retention{Age: 5*time.Second - 1}, -1, "bcdef"},
		{"an age and a count", Retention{Age: 4 * time.Second, Count: 2}, -1, "ef"},
		{"bytes", Retention{Bytes: 1}, -1, ""},
		{"a group that has read nothing", Retention{Count: 1}, 0, "abcdef"},
		{"a group that has read some", Retention{Count: 1}, 4, "ef"},
		{"a group that has read all", Retention{Count: 1}, 6, "f"},
		{"a group that needs less than is kept", Retention{Count: 3}, 5, "def"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(Retention{})
			for _, id := range strings.Split("abcdef", "") { // a second apart
				if id != "a" {
					time.Sleep(time.Second)
				}
				appendIDs(t, m, id)
			}
			if c.group >= 0 {
				g, err := m.Join(t.Context(), GroupConfig{Name: "g", Start: Beginning()})
				if err == nil && c.group > 0 {
					var ds []Delivered
					ds, err = g.Fetch(t.Context(), c.group)
					if err == nil {
						err = g.Ack(t.Context(), ds)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			removed, err := m.Trim(t.Context(), c.keep)
			got := strings.Join(kept(t, m), "")
			if err != nil || got != c.want || removed != int64(6-len(c.want)) {
				t.Errorf("%s: %q is kept, %d removed, %v, want %q", c.name, got, removed, err, c.want)
			}
		})
	}
}

// The memory of segments that are empty is given back.
func TestEmptySegmentsGo(t *testing.T) {
	m := newMemory(Retention{Count: 1 << 30})
	for i := range minSegment + 2*minSegment + 1 { // the third one begins
		appendIDs(t, m, fmt.Sprint("x", i))
	}
	for _, c := range []struct {
		keep     int64
		segments int
	}{{2*minSegment + 2, 3}, {2*minSegment + 1, 2}, {2, 2}, {1, 1}} {
		if _, err := m.Trim(t.Context(), Retention{Count: c.keep}); err != nil {
			t.Fatal(err)
		}
		if n := len(m.log.segments); n != c.segments || m.log.count() != c.keep || cap(m.log.segments) > 2*max(n, 2) {
			t.Errorf("%d records are in %d segments, want %d in %d", m.log.count(), n, c.keep, c.segments)
		}
		if got := kept(t, m); len(got) != int(c.keep) {
			t.Errorf("%d are found, want %d", len(got), c.keep)
		}
	}
}

// Reading from each kind of place, forwards and back, with and without an index, at and
// around its limits.
func TestReadingAMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Retention{})
		start := time.Now()
		for i, id := range []string{"a1", "b1", "a2", "b2", "a3"} { // at 0, 1, 2, 3 and 4 s
			if i > 0 {
				time.Sleep(time.Second)
			}
			appendIDs(t, m, id)
		}
		at := func(d time.Duration) Position { return At(start.Add(d)) }
		a := Filter{RootID: "roota"}
		for _, c := range []struct {
			name string
			q    ReadRequest
			want string
			next string
			more bool
		}{
			{"all", ReadRequest{From: Beginning(), Max: 5}, "a1 b1 a2 b2 a3", "5", false},
			{"some", ReadRequest{From: Beginning(), Max: 4}, "a1 b1 a2 b2", "4", true},
			{"from now", ReadRequest{From: Now(), Max: 5}, "", "5", false},
			{"from a time", ReadRequest{From: at(2 * time.Second), Max: 5}, "a2 b2 a3", "5", false},
			{"from just before it", ReadRequest{From: at(2*time.Second - 1), Max: 5}, "a2 b2 a3", "5", false},
			{"from just after it", ReadRequest{From: at(2*time.Second + 1), Max: 5}, "b2 a3", "5", false},
			{"from a time to come", ReadRequest{From: at(time.Hour), Max: 5}, "", "5", false},
			{"behind a position", ReadRequest{From: After("3"), Max: 5}, "b2 a3", "5", false},
			{"behind one to come", ReadRequest{From: After("9"), Max: 5}, "", "9", false},
			{"only the place", ReadRequest{From: After("3"), Filter: a}, "", "3", true},
			{"back", ReadRequest{Reverse: true, Max: 5}, "a3 b2 a2 b1 a1", "1", false},
			{"some back", ReadRequest{Reverse: true, Max: 4}, "a3 b2 a2 b1", "2", true},
			{"back from a time", ReadRequest{Reverse: true, From: at(2 * time.Second), Max: 5}, "b1 a1", "1", false},
			{"back from just after it", ReadRequest{Reverse: true, From: at(2*time.Second + 1), Max: 5}, "a2 b1 a1", "1", false},
			{"back from a position", ReadRequest{Reverse: true, From: After("3"), Max: 5}, "b1 a1", "1", false},
			{"back from one to come", ReadRequest{Reverse: true, From: After("9"), Max: 1}, "a3", "5", true},
			{"a story", ReadRequest{From: Beginning(), Filter: a, Max: 4}, "a1 a2 a3", "5", false},
			{"just a story", ReadRequest{From: Beginning(), Filter: a, Max: 3}, "a1 a2 a3", "5", false},
			{"some of it", ReadRequest{From: Beginning(), Filter: a, Max: 2}, "a1 a2", "3", true},
			{"behind its first", ReadRequest{From: After("1"), Filter: a, Max: 4}, "a2 a3", "5", false},
			{"a story back", ReadRequest{Reverse: true, Filter: a, Max: 4}, "a3 a2 a1", "1", false},
			{"some of it back", ReadRequest{Reverse: true, Filter: a, Max: 2}, "a3 a2", "3", true},
			{"back from its last", ReadRequest{Reverse: true, From: After("5"), Filter: a, Max: 4}, "a2 a1", "1", false},
			{"one by its ID", ReadRequest{From: Beginning(), Filter: Filter{ID: "b2"}, Max: 4}, "b2", "5", false},
			{"behind it", ReadRequest{From: After("4"), Filter: Filter{ID: "b2"}, Max: 4}, "", "5", false},
			{"of another source", ReadRequest{From: Beginning(), Filter: Filter{ID: "b2", Source: "x"}, Max: 4}, "", "5", false},
			{"of a type", ReadRequest{From: Beginning(), Filter: Filter{Types: must(parsePatterns("u"))}, Max: 4}, "", "5", false},
		} {
			page, err := m.Read(t.Context(), c.q)
			if got := strings.Join(idsOfRecords(page.Records), " "); err != nil || got != c.want || page.Next != c.next || page.More != c.more || page.Missed != 0 {
				t.Errorf("%s: %q, next %q, more %v, missed %d, %v; want %q, %q, %v", c.name, got, page.Next, page.More, page.Missed, err, c.want, c.next, c.more)
			}
		}
		if _, err := m.Trim(t.Context(), Retention{Count: 3}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			q      ReadRequest
			want   string
			missed int64
			more   bool
		}{
			{"behind what is gone", ReadRequest{From: After("1"), Max: 5}, "a2 b2 a3", 1, false},
			{"behind the last that is gone", ReadRequest{From: After("2"), Max: 5}, "a2 b2 a3", 0, false},
			{"a story behind what is gone", ReadRequest{From: After("0"), Filter: a, Max: 5}, "a2 a3", 2, false},
			{"back to what is gone", ReadRequest{Reverse: true, Max: 3}, "a3 b2 a2", 0, false},
			{"back, and not so far", ReadRequest{Reverse: true, Max: 2}, "a3 b2", 0, true},
			{"back from what is gone", ReadRequest{Reverse: true, From: After("2"), Max: 2}, "", 0, false},
		} {
			page, err := m.Read(t.Context(), c.q)
			if got := strings.Join(idsOfRecords(page.Records), " "); err != nil || got != c.want || page.Missed != c.missed || page.More != c.more {
				t.Errorf("%s: %q, missed %d, more %v, %v; want %q and %d", c.name, got, page.Missed, page.More, err, c.want, c.missed)
			}
		}
		for after, want := range map[string]int64{"": 3, "1": 3, "2": 3, "3": 2, "5": 0, "9": 0} {
			if n, err := m.Behind(t.Context(), after); err != nil || n != want {
				t.Errorf("%d are behind %q, %v, want %d", n, after, err, want)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A read looks at a bounded part of the log, however little it finds.
func TestAReadLooksAtSomeOfTheLog(t *testing.T) {
	m := newMemory(Retention{})
	for i := range 2*window + 1 {
		appendIDs(t, m, fmt.Sprint("x", i))
	}
	rare := Filter{Types: must(parsePatterns("rare"))}
	for _, reverse := range []bool{false, true} {
		var looks []string
		from := Position{Kind: AtBeginning}
		for more := true; more; {
			page, err := m.Read(t.Context(), ReadRequest{From: from, Filter: rare, Max: 1, Reverse: reverse})
			if err != nil || len(page.Records) != 0 {
				t.Fatal(page, err)
			}
			looks, more, from = append(looks, page.Next), page.More, After(page.Next)
		}
		want := []string{fmt.Sprint(window), fmt.Sprint(2 * window), fmt.Sprint(2*window + 1)}
		if reverse {
			want = []string{fmt.Sprint(window + 2), "2", "1"}
		}
		if !slices.Equal(looks, want) {
			t.Errorf("reverse %v: it went on at %v, want %v", reverse, looks, want)
		}
	}
}

// Who waits for what is behind a position is woken by it, and does not wait for what is
// there.
func TestWaitingForARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Retention{})
		appendIDs(t, m, "1")
		if err := m.Wait(t.Context(), "0"); err != nil {
			t.Error(err)
		}
		done := make(chan error, 1)
		go func() { done <- m.Wait(t.Context(), "1") }()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("there is nothing behind the last one")
		}
		appendIDs(t, m, "2")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Who attends is on the roll until its time is over, or it leaves.
func TestTheRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Retention{})
		for _, c := range []struct {
			sleep           time.Duration
			group, consumer string
			ttl             time.Duration
			want            []string
		}{
			{0, "g", "b", time.Second, []string{"b"}},
			{0, "h", "c", time.Second, []string{"c"}},
			{0, "g", "a", 2 * time.Second, []string{"a", "b"}},
			{time.Second - 1, "g", "a", 2 * time.Second, []string{"a", "b"}},
			{1, "g", "c", 0, []string{"a"}},
			{0, "g", "a", 0, nil},
		} {
			time.Sleep(c.sleep)
			got, err := m.Attend(t.Context(), c.group, c.consumer, c.ttl)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%+v: %q, %v", c, got, err)
			}
		}
		if len(m.roster) != 1 || m.roster["h"] == nil {
			t.Errorf("the roll keeps %v, want only the group that somebody attends", m.roster)
		}
	})
}

// A group knows what is pending and how much is behind, whatever order things end in.
func TestTheLagOfAGroup(t *testing.T) {
	m, a, b := joined(t, 5, false)
	lag := func(pending, behind int64) {
		t.Helper()
		for _, g := range []Member{a, b} {
			if l, err := g.Lag(t.Context()); err != nil || l != (Lag{Pending: pending, Behind: behind}) {
				t.Errorf("lag %+v, %v, want %d and %d", l, err, pending, behind)
			}
		}
	}
	done := func(want uint64) {
		t.Helper()
		if g := m.groups["g"]; g.done != want {
			t.Errorf("all is done up to %d, want %d", g.done, want)
		}
	}
	lag(0, 5)
	ds, err := a.Fetch(t.Context(), 3)
	if err != nil || len(ds) != 3 {
		t.Fatal(ds, err)
	}
	ds = slices.Clone(ds)
	lag(3, 2)
	if err := b.Ack(t.Context(), ds); err != nil {
		t.Error(err)
	}
	lag(3, 2) // they are not its own
	if err := b.Release(t.Context(), ds); err != nil {
		t.Error(err)
	}
	lag(3, 2)
	for _, c := range []struct {
		ack     int
		pending int64
		done    uint64
	}{{1, 2, 0}, {1, 2, 0}, {0, 1, 2}, {0, 1, 2}, {2, 0, 3}} { // again makes no difference
		if err := a.Ack(t.Context(), ds[c.ack:c.ack+1]); err != nil {
			t.Error(err)
		}
		lag(c.pending, 2)
		done(c.done)
	}
	rest, err := b.Fetch(t.Context(), 10)
	if err != nil || len(rest) != 2 {
		t.Fatal(rest, err)
	}
	rest = slices.Clone(rest)
	if err := b.Release(t.Context(), []Delivered{rest[1], rest[0]}); err != nil {
		t.Error(err)
	}
	lag(2, 0)
	again, err := a.Fetch(t.Context(), 1)
	if err != nil || len(again) != 1 || again[0].position() != 4 || again[0].Attempt != 1 {
		t.Errorf("%+v, %v, want the older one as if for the first time", again, err)
	}
	if err := b.Ack(t.Context(), rest); err != nil {
		t.Error(err)
	}
	lag(2, 0)
	groups, err := m.Groups(t.Context())
	if err != nil || len(groups) != 1 || groups[0].Lag != (Lag{Pending: 2}) {
		t.Errorf("groups %+v, %v", groups, err)
	}
}

// A group moves over what is not for it, also when nothing else is there.
func TestAGroupMovesOverOtherTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Retention{})
		g, err := m.Join(t.Context(), GroupConfig{Name: "g", Start: Beginning(), Types: must(parsePatterns("u"))})
		if err != nil {
			t.Fatal(err)
		}
		appendIDs(t, m, "1", "2")
		got := make(chan int, 1)
		go func() { ds, _ := g.Fetch(t.Context(), 10); got <- len(ds) }()
		synctest.Wait()
		if m.groups["g"].done != 2 || len(m.groups["g"].states) != 0 {
			t.Errorf("done up to %d, want 2", m.groups["g"].done)
		}
		if _, err := m.Append(t.Context(), []*Record{{ID: "3", Type: "u"}}); err != nil {
			t.Fatal(err)
		}
		if n := <-got; n != 1 {
			t.Errorf("%d were handed out, want the one of its type", n)
		}
	})
}
