package kafka

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A partition that moves before a handler has begun with its next record does not
// count as an attempt at that: else a deployment that moves it often enough would
// make a dead letter of it.
func TestAMoveIsNoAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		tried bool
		want  int
	}{"tried": {true, 2}, "not tried": {false, 1}} {
		first := &turn{}
		first.begin(5, "")
		first.records = []*kgo.Record{{Offset: 5}}
		if attempt, wanted := first.hand(); attempt != 1 || !wanted {
			t.Fatalf("%s: handed out the first time with attempt %d, wanted %v", name, attempt, wanted)
		}
		if c.tried {
			first.tried[5] = true
		}
		first.giveBack()
		next := &turn{}
		next.begin(first.floor, first.text())
		next.records = []*kgo.Record{{Offset: 5}}
		if attempt, _ := next.hand(); attempt != c.want {
			t.Errorf("%s: the next member's attempt is %d, want %d", name, attempt, c.want)
		}
	}
}

// at is a turn that began where a commit says, and has fetched some offsets.
func at(floor int64, metadata string, next int64, offsets ...int64) *turn {
	t := &turn{}
	t.begin(floor, metadata)
	g := part{next: next}
	for _, o := range offsets {
		g.records = append(g.records, &kgo.Record{Offset: o})
	}
	t.read(g)
	return t
}

// What a turn tells the next one: where it is, how often the first record was handed
// out, and what is acknowledged behind it.
func TestWhatATurnWritesDown(t *testing.T) {
	hand := func(n int) func(*turn) {
		return func(t *turn) {
			for range n {
				t.hand()
			}
		}
	}
	ack := func(offsets ...int64) func(*turn) {
		return func(t *turn) {
			for _, o := range offsets {
				t.ack(o)
			}
		}
	}
	for _, c := range []struct {
		name  string
		turn  *turn
		do    []func(*turn)
		floor int64
		text  string
	}{
		{"nothing is there", at(5, "", 5), nil, 5, "0"},
		{"nothing but what is no record", at(5, "", 7), nil, 7, "0"},
		{"nothing is handed out", at(5, "", 8, 5, 6, 7), nil, 5, "0"},
		{"one is", at(5, "", 8, 5, 6, 7), []func(*turn){hand(1)}, 5, "1"},
		{"one is again", at(5, "2", 8, 5, 6, 7), []func(*turn){hand(1)}, 5, "3"},
		{"it was before, and is not now", at(5, "2", 8, 5, 6, 7), nil, 5, "2"},
		{"it is given back", at(5, "2", 8, 5, 6, 7), []func(*turn){hand(1), func(t *turn) { t.release(5) }}, 5, "2"},
		{"another is given back", at(5, "2", 8, 5, 6, 7), []func(*turn){hand(2), func(t *turn) { t.release(6) }}, 5, "3"},
		{"the second is done", at(5, "", 8, 5, 6, 7), []func(*turn){hand(3), ack(6)}, 5, "1;6-6"},
		{"the third too", at(5, "", 8, 5, 6, 7), []func(*turn){hand(3), ack(6, 7)}, 5, "1;6-7"},
		{"every other", at(5, "", 10, 5, 6, 7, 8, 9), []func(*turn){hand(5), ack(6, 8)}, 5, "1;6-6,8-8"},
		{"the first is done", at(5, "2", 8, 5, 6, 7), []func(*turn){hand(2), ack(5)}, 6, "1"},
		{"the first, and the next is given back", at(5, "2", 8, 5, 6, 7), []func(*turn){hand(2), ack(5), func(t *turn) { t.release(6) }}, 6, "0"},
		{"the first two, the first last", at(5, "", 8, 5, 6, 7), []func(*turn){hand(3), ack(6, 5)}, 7, "1"},
		{"the first, before what is no record", at(5, "", 10, 5, 9), []func(*turn){hand(2), ack(5)}, 9, "1"},
		{"the first, and no other is handed out", at(5, "", 10, 5, 9), []func(*turn){hand(1), ack(5)}, 6, "0"},
		{"all, before what is no record", at(5, "", 10, 5, 6), []func(*turn){hand(2), ack(5, 6)}, 10, "0"},
		{"one twice, and one that nobody has", at(5, "", 8, 5, 6, 7), []func(*turn){hand(2), ack(6, 6, 7, 9)}, 5, "1;6-6"},
		{"an earlier turn has done more", at(5, "1;7-8", 7, 5, 6), []func(*turn){hand(1)}, 5, "2;7-8"},
		{"which has been come to", at(5, "1;6-6", 7, 5, 6), []func(*turn){hand(2)}, 5, "2;6-6"},
		{"which is behind", at(5, "1;6-6", 8, 5, 7), []func(*turn){hand(1)}, 5, "2"},
		{"it jumps", at(5, "1;7-8", 5), []func(*turn){func(t *turn) { t.jump(9) }}, 9, "0"},
		{"it jumps from what is handed out", at(5, "1;7-8", 6, 5), []func(*turn){hand(1), func(t *turn) { t.jump(9) }}, 5, "2"},
	} {
		for _, do := range c.do {
			do(c.turn)
		}
		if text := c.turn.text(); c.turn.floor != c.floor || text != c.text {
			t.Errorf("%s: %q at %d, want %q at %d", c.name, text, c.turn.floor, c.text, c.floor)
		}
	}
}

func TestWhatATurnReads(t *testing.T) {
	for text, want := range map[string]struct {
		attempt int
		wanted  []int64
	}{
		"": {1, []int64{5, 6, 7, 8}}, "2": {3, []int64{5, 6, 7, 8}}, "2;7-8": {3, []int64{5, 6}}, "2;6-6": {3, []int64{5, 7, 8}}, "2;6-6,8-8": {3, []int64{5, 7}},
		"2;8-7": {3, []int64{5, 6, 7, 8}}, "x;y-7,7-z,8-8": {1, []int64{5, 6, 7}}, "2;9-9": {3, []int64{5, 6, 7, 8}},
	} {
		turn := at(5, text, 9, 5, 6, 7, 8)
		var wanted []int64
		for i := range 4 {
			attempt, ok := turn.hand()
			if !ok {
				continue
			}
			wanted = append(wanted, 5+int64(i))
			if i == 0 && attempt != want.attempt || i > 0 && attempt != 1 {
				t.Errorf("%q: attempt %d at the record %d", text, attempt, i)
			}
		}
		if !slices.Equal(wanted, want.wanted) {
			t.Errorf("%q: %d are handed out, want %d", text, wanted, want.wanted)
		}
	}
}

// What a broker does not take is left out, and comes again.
func TestATurnWritesDownNoMoreThanABrokerTakes(t *testing.T) {
	const n = 2000
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	turn := at(0, "", n, all...)
	for range all {
		turn.hand()
	}
	for i := 1; i < n; i += 2 {
		turn.ack(int64(i))
	}
	text := turn.text()
	if len(text) > maxText || len(text) < maxText-100 {
		t.Fatalf("%d bytes", len(text))
	}
	next := at(0, text, n, all...)
	for i := range all[:300] {
		if _, wanted := next.hand(); wanted != (i%2 == 0) {
			t.Fatalf("%d is handed out again: %v", i, wanted)
		}
	}
}

func TestTheEarliestTurnIsNext(t *testing.T) {
	one := func(p int32, sec int64) *turn {
		return &turn{p: p, records: []*kgo.Record{{Timestamp: time.Unix(sec, 0)}}}
	}
	leaving := one(9, 0)
	leaving.leaving = true
	for name, c := range map[string]struct {
		turns []*turn
		want  int32
	}{
		"none": {nil, -1}, "one": {[]*turn{one(3, 7)}, 3}, "of two": {[]*turn{one(3, 7), one(4, 6)}, 4}, "the other way": {[]*turn{one(3, 6), one(4, 7)}, 3},
		"of one time": {[]*turn{one(4, 7), one(3, 7)}, 3}, "one that leaves": {[]*turn{leaving, one(3, 7)}, 3}, "an empty one": {[]*turn{{p: 1}, one(3, 7)}, 3}, "nothing is there": {[]*turn{leaving, {p: 1}}, -1},
	} {
		turns := map[int32]*turn{}
		for _, t := range c.turns {
			turns[t.p] = t
		}
		got := int32(-1)
		if best := earliestTurn(turns); best != nil {
			got = best.p
		}
		if got != c.want {
			t.Errorf("%s: partition %d, want %d", name, got, c.want)
		}
	}
}

// A turn waits for the handlers of the one before it.
func TestATurnWaitsForHandlers(t *testing.T) {
	busy, idle := &turn{running: 1}, &turn{}
	for name, c := range map[string]struct {
		turn turn
		want bool
	}{
		"the first": {turn{}, true}, "after an idle one": {turn{former: idle}, true}, "after a busy one": {turn{former: busy}, false},
		"after a busy one before that": {turn{former: &turn{former: busy}}, false}, "it has begun": {turn{begun: true}, false}, "it leaves": {turn{leaving: true}, false},
	} {
		if got := c.turn.awaits(); got != c.want {
			t.Errorf("%s: it awaits its beginning: %v", name, got)
		}
	}
}
