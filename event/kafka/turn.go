package kafka

import (
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// turn is a member's time with one partition. Everything before floor is
// acknowledged; of what is after it, the metadata of the commit says what is, and
// how often the first one was handed out, so that a record that kills who handles
// it ends in the dead letters.
type turn struct {
	p       int32
	begun   bool
	floor   int64
	next    int64         // to fetch
	records []*kgo.Record // fetched and not handed out
	handed  []int64       // from floor on, in order
	acked   map[int64]bool
	tried   map[int64]bool // of handed, those that a handler has begun with
	first   int64          // floor at the beginning
	times   int            // that a record at first was handed out before this turn
	back    bool           // the record at floor was released without an attempt
	done    []span

	running int   // handlers
	leaving bool  // the partition is being given up: nothing more is handed out
	former  *turn // of the same partition, which had handlers that ran
}

// busy reports whether handlers run on records of this turn, or of one before it.
func (t *turn) busy() bool {
	for ; t != nil; t = t.former {
		if t.running > 0 {
			return true
		}
	}
	return false
}

// awaits reports whether the turn can begin and has not: the same record is not
// handled twice at a time.
func (t *turn) awaits() bool { return !t.begun && !t.leaving && !t.former.busy() }

// span is offsets that an earlier turn has acknowledged, both included.
type span struct{ first, last int64 }

// begin reads what a commit says.
func (t *turn) begin(floor int64, metadata string) {
	t.begun, t.floor, t.next, t.first, t.acked = true, floor, floor, floor, map[int64]bool{}
	t.tried = map[int64]bool{}
	times, done, _ := strings.Cut(metadata, ";")
	t.times, _ = strconv.Atoi(times)
	for s := range strings.SplitSeq(done, ",") {
		a, b, _ := strings.Cut(s, "-")
		first, err1 := strconv.ParseInt(a, 10, 64)
		last, err2 := strconv.ParseInt(b, 10, 64)
		if err1 == nil && err2 == nil && first <= last {
			t.done = append(t.done, span{first, last})
		}
	}
}

// maxText is below offset.metadata.max.bytes, whose default is 4096.
const maxText = 4000

// text is what begin reads.
func (t *turn) text() string {
	times := 0
	switch {
	case t.floor == t.first && !t.back && len(t.handed) > 0: // else nothing was tried
		times = t.times + 1
	case t.floor == t.first:
		times = t.times
	case len(t.handed) > 0 && !t.back:
		times = 1
	}
	b := strconv.AppendInt(nil, int64(times), 10)
	sep := byte(';')
	add := func(s span) {
		if len(b) > maxText-50 {
			return // what is left out comes again
		}
		b = append(b, sep)
		b = strconv.AppendInt(b, s.first, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, s.last, 10)
		sep = ','
	}
	var run span
	open := false
	for _, offset := range t.handed {
		switch {
		case !t.acked[offset]:
			if open {
				add(run)
			}
			open = false
		case open:
			run.last = offset
		default:
			run, open = span{offset, offset}, true
		}
	}
	if open {
		add(run)
	}
	for _, s := range t.done {
		if s.last >= t.next { // not come to yet
			add(s)
		}
	}
	return string(b)
}

// jump goes on somewhere else: what was to come next is no longer there.
func (t *turn) jump(to int64) {
	t.next, t.done = to, nil
	if len(t.handed) == 0 {
		t.floor = to
	}
}

// read takes what a fetch brought from next on.
func (t *turn) read(g part) {
	t.records, t.next = g.records, g.next
	if len(g.records) == 0 && len(t.handed) == 0 {
		t.floor = t.next
	}
}

// hand takes the first of the records. It reports how often that one was handed
// out, and false if it was acknowledged in an earlier turn.
func (t *turn) hand() (attempt int, wanted bool) {
	r := t.records[0]
	t.records = t.records[1:]
	t.handed = append(t.handed, r.Offset)
	if slices.ContainsFunc(t.done, func(s span) bool { return s.first <= r.Offset && r.Offset <= s.last }) {
		t.ack(r.Offset)
		return 0, false
	}
	if t.floor == t.first && len(t.handed) == 1 {
		return t.times + 1, true
	}
	return 1, true
}

// ack notes that a record is done, and reports whether that is worth a commit.
func (t *turn) ack(offset int64) (moved bool) {
	i, ok := slices.BinarySearch(t.handed, offset)
	if !ok || t.acked[offset] {
		return false
	}
	t.acked[offset] = true
	if i > 0 {
		return false
	}
	n := 0
	for n < len(t.handed) && t.acked[t.handed[n]] {
		delete(t.acked, t.handed[n])
		delete(t.tried, t.handed[n])
		n++
	}
	t.floor = t.handed[n-1] + 1
	t.handed, t.back = t.handed[n:], false
	if len(t.handed) > 0 {
		t.floor = t.handed[0] // over what is no record
	} else if len(t.records) == 0 {
		t.floor = t.next
	}
	return true
}

// release notes that a record was given back without an attempt.
func (t *turn) release(offset int64) {
	if offset == t.floor {
		t.back = true
	}
}

// giveBack notes that the turn ends: if no handler has begun with the first record
// that was handed out, it was given back without an attempt.
func (t *turn) giveBack() {
	if len(t.handed) > 0 && !t.tried[t.handed[0]] {
		t.back = true
	}
}
