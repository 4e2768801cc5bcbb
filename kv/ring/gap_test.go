package ring

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
)

// TestWhatANodeWasWhileAnotherWasCutOff: it may have deleted something and forgotten
// that, or it may not, with default options: deletes are remembered for an hour.
func TestWhatANodeWasWhileAnotherWasCutOff(t *testing.T) {
	const (
		gap    = 3 * time.Hour
		spread = 2 * (30*time.Second + time.Second) // of the last comparisons of nodes that were cut off together
		longer = 9 * time.Hour
	)
	for _, c := range []struct {
		name                string
		heard, since, broke time.Duration // ago; 0: never
		want                byte
	}{
		{"in touch all the time", 10 * time.Second, longer, 0, wasInTouch},
		{"never in touch", 0, 0, 0, wasElse},
		{"it began lately", 10 * time.Second, 29 * time.Minute, 0, wasElse},
		{"it began longer ago than deletes live", 10 * time.Second, 31 * time.Minute, 0, wasInTouch},
		{"cut off before", gap + time.Minute, longer, 0, wasCutOff},
		{"cut off at the same time", gap - spread, longer, 0, wasCutOff},
		{"cut off later", gap - spread - time.Millisecond, longer, 0, wasInTouch},
		{"cut off much later", 40 * time.Minute, longer, 0, wasInTouch},
		{"cut off at the same time, until lately", 10 * time.Second, 29 * time.Minute, gap - spread, wasCutOff},
		{"cut off later, until lately", 10 * time.Second, 29 * time.Minute, gap - spread - time.Millisecond, wasInTouch},
		{"cut off at the same time, for a part of it", 10 * time.Second, 31 * time.Minute, gap, wasInTouch},
		{"cut off before, and in touch since", 10 * time.Second, gap + time.Minute, longer, wasInTouch},
	} {
		now := time.Now()
		n := &Node{o: defaults()}
		for at, ago := range map[*atomic.Int64]time.Duration{&n.heard: c.heard, &n.since: c.since, &n.broke: c.broke} {
			if ago > 0 {
				at.Store(now.Add(-ago).UnixMilli())
			}
		}
		if got := n.was(now.Add(-gap)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestAGapBeginsWhereTheLastComparisonWas: below, at and above the time that a node in
// touch may be without one.
func TestAGapBeginsWhereTheLastComparisonWas(t *testing.T) {
	n := &Node{o: defaults(), self: "a"}
	alone := &view{up: []string{"a"}}
	lapse := time.Duration(n.lapse()) * time.Millisecond
	begin := time.UnixMilli(1_800_000_000_000)
	n.met(alone, begin, nil)
	n.met(alone, begin.Add(lapse-time.Millisecond), nil)
	n.met(alone, begin.Add(2*lapse-time.Millisecond), nil)
	if since, broke := n.since.Load(), n.broke.Load(); since != begin.UnixMilli() || broke != 0 {
		t.Errorf("without a gap: since %d, broke %d, want %d and 0", since, broke, begin.UnixMilli())
	}
	again := begin.Add(3 * lapse)
	n.met(alone, again, nil)
	if since, broke := n.since.Load(), n.broke.Load(); since != again.UnixMilli() || broke != begin.Add(2*lapse-time.Millisecond).UnixMilli() {
		t.Errorf("after a gap: since %d, broke %d, want %d and %d", since, broke, again.UnixMilli(), begin.Add(2*lapse-time.Millisecond).UnixMilli())
	}
	if heard := n.heard.Load(); heard != again.UnixMilli() {
		t.Errorf("heard %d, want %d", heard, again.UnixMilli())
	}
}

// TestANodeReachesWhoAnsweredLately: within half the time of detection, over a
// connection that is there.
func TestANodeReachesWhoAnsweredLately(t *testing.T) {
	n := &Node{o: defaults(), links: map[string]*link{}}
	n.o.detection = time.Hour
	for _, c := range []struct {
		name      string
		ago       time.Duration
		connected bool
		want      bool
	}{
		{"answered lately", 29 * time.Minute, true, true},
		{"answered long ago", 31 * time.Minute, true, false},
		{"not connected any more", time.Minute, false, false},
	} {
		l := &link{}
		l.heard.Store(time.Now().Add(-c.ago).UnixMilli())
		if c.connected {
			l.conn.Store(&conn{})
		}
		n.links["b"] = l
		if got := n.reaches("b"); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if n.reaches("nobody") {
		t.Error("reaches who is not registered")
	}
}

// TestOfTwoSidesOneIsMost: more than half, or the half with the first name.
func TestOfTwoSidesOneIsMost(t *testing.T) {
	for _, c := range []struct {
		all, in string
		want    bool
	}{
		{"", "", false}, {"a", "", false}, {"a", "a", true}, {"a", "b", false},
		{"ab", "a", true}, {"ab", "b", false}, {"ab", "ab", true},
		{"abc", "a", false}, {"abc", "bc", true},
		{"abcd", "ad", true}, {"abcd", "bcd", true}, {"abcd", "cd", false}, {"abcd", "a", false},
		{"abcde", "cde", true}, {"abcde", "ab", false}, {"abcde", "abxy", false},
	} {
		if got := most(strings.Split(c.all, ""), func(id string) bool { return strings.Contains(c.in, id) }); got != c.want {
			t.Errorf("%q of %q: %v, want %v", c.in, c.all, got, c.want)
		}
	}
}

// TestWhoIsLeftByItsCompany: whom the registry shows less than most of it, and nobody
// that is new and may have been elsewhere.
func TestWhoIsLeftByItsCompany(t *testing.T) {
	for _, c := range []struct {
		company, up string
		want        bool
	}{
		{"", "a", false}, {"b", "b", false}, {"abcde", "abcde", false}, {"abcde", "bcd", false},
		{"abcde", "bc", true}, {"abcde", "b", true}, {"abcde", "bx", false}, {"abcd", "ab", false}, {"abcd", "cd", true},
	} {
		n := &Node{company: strings.Split(c.company, "")}
		if got := n.leftBy(strings.Split(c.up, "")); got != c.want {
			t.Errorf("%q of %q are up: %v, want %v", c.up, c.company, got, c.want)
		}
	}
}

// TestWhoCountsAsMet: a node has heard of every delete if it compared with most of its
// company, or with all that there are and who are not only the rest of it.
func TestWhoCountsAsMet(t *testing.T) {
	begin := time.UnixMilli(1_800_000_000_000)
	for _, c := range []struct {
		name                  string
		company, up, answered string
		want                  bool
	}{
		{"all of its company", "abcde", "abcde", "acde", true},
		{"most of its company", "abcde", "abcde", "ac", true},
		{"nobody, and it is all that there is", "b", "b", "", true},
		{"nobody, where there were five", "abcde", "b", "", false},
		{"the rest of its company", "abcde", "bc", "c", false},
		{"the rest of its company and one that is new", "abcde", "bcx", "cx", true},
		{"half of those, the rest does not answer", "abcde", "bcxy", "xy", false},
		{"the second half of its company", "ab", "b", "", false},
	} {
		n := &Node{o: defaults(), self: "b", company: strings.Split(c.company, "")}
		n.heard.Store(begin.UnixMilli())
		v := &view{up: strings.Split(c.up, ""), peers: strings.Split(strings.ReplaceAll(c.up, "b", ""), "")}
		v.deserted = n.leftBy(v.up)
		n.v.Store(v)
		at := begin.Add(time.Minute)
		n.met(v, at, strings.Split(c.answered, ""))
		if got := n.heard.Load() == at.UnixMilli(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := n.recent.Load() == at.UnixMilli(); !got {
			t.Errorf("%s: it was not noted at all", c.name)
		}
		want := c.company
		if c.want {
			want = c.up
		}
		if got := strings.Join(n.company, ""); got != want {
			t.Errorf("%s: the company is %q, want %q", c.name, got, want)
		}
	}
}

// TestWhoIsNewHereMayHaveBeenElsewhere: a node that was alone meets one that it never
// knew. If that one goes by the same members, nobody else is there, and what this node
// has stays. If it knows others, they may have deleted that: this node waits for them.
func TestWhoIsNewHereMayHaveBeenElsewhere(t *testing.T) {
	leak.Check(t)
	n := &Node{o: defaults(), self: "a"}
	n.o.detection = time.Minute // how long answers may take
	n.store = newStore(1<<20, n.o.tombs)
	defer n.store.close()
	for name, c := range map[string]struct {
		agrees byte
		ends   bool
	}{
		"goes by the same members": {stOK, true},
		"knows others":             {stMoved, false},
	} {
		long := time.Now().Add(-3 * n.o.tombs).UnixMilli()
		n.company = []string{"a", "b", "c", "d", "e"}
		n.heard.Store(long)
		n.deserted.Store(long)
		n.store.merge("k", record{version: 1 << 22, value: []byte("v")})
		x := linkTo(t, n, "x", func(op byte) (byte, []byte) {
			if op == opGap {
				return stOK, []byte{wasElse}
			}
			return c.agrees, nil
		})
		v := n.newView(place([]member{{id: "a"}, {id: "x"}}, 2), true, []string{"x"}, map[string]*link{"x": x}, nil)
		v.all = 2
		v.agree(t.Context(), time.Minute)
		n.endGap(t.Context(), v)
		if ended := n.heard.Load() != long; ended != c.ends {
			t.Errorf("%s: the gap ended: %v, want %v", name, ended, c.ends)
		}
		if n.store.latest("k").version == 0 {
			t.Errorf("%s: what only this node had is gone", name)
		}
	}
}
