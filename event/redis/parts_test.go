package redis

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// Entry ids, as they are compared here and as scripts sort them.
func TestOrderOfEntries(t *testing.T) {
	ids := []string{"0-0", "0-1", "1-0", "1-9", "1-10", "2-0", "9-18446744073709551615", "10-0", "1700000000000-0", "1700000000000-1"}
	for i, a := range ids {
		for j, b := range ids {
			if got := less(a, b); got != (i < j) {
				t.Errorf("%s before %s: %v", a, b, got)
			}
			if got := strings.Compare(sorted(a), sorted(b)); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s and %s are sorted %d", a, b, got)
			}
		}
	}
	for id, ok := range map[string]bool{"1-2": true, "0-0": true, "1": false, "": false, "-": false, "1-": false, "-1": false, "a-1": false, "1-a": false, "1-2-3": false, "+1-2": false, "18446744073709551616-0": false} {
		if err := checkID(id); (err == nil) != ok || err != nil && !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want it to be well: %v", id, err, ok)
		}
	}
}

// A time is the place after the last entry that can be before it.
func TestWhereReadingBegins(t *testing.T) {
	for at, want := range map[int64]string{-1: "0-0", 0: "0-0", 1: "0-18446744073709551615", 1700000000000: "1699999999999-18446744073709551615"} {
		got, err := (&driver{}).locate(t.Context(), event.At(time.UnixMilli(at)))
		if got != want || err != nil {
			t.Errorf("%d ms: %q, %v, want %q", at, got, err, want)
		}
	}
	for id, ok := range map[string]bool{"5-1": true, "5": false} {
		got, err := (&driver{}).locate(t.Context(), event.After(id))
		if got != id || (err == nil) != ok || !ok && !errors.Is(err, fault.Invalid) {
			t.Errorf("after %q: %q, %v", id, got, err)
		}
	}
}

// A filter with any condition looks at more than it returns.
func TestNarrowFilters(t *testing.T) {
	for name, c := range map[string]struct {
		f    event.Filter
		want bool
	}{
		"nothing": {event.Filter{}, false}, "id": {event.Filter{ID: "1"}, true}, "source": {event.Filter{Source: "s"}, true}, "root": {event.Filter{RootID: "r"}, true},
		"subject": {event.Filter{Subject: "s"}, true}, "since": {event.Filter{Since: time.Unix(1, 0)}, true}, "until": {event.Filter{Until: time.Unix(1, 0)}, true},
	} {
		if got := narrow(c.f); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestEntriesOfOthersAreNoRecords(t *testing.T) {
	encoded := string(eventdriver.AppendRecord(nil, &event.Record{ID: "1", Type: "t", Time: time.Unix(1, 0)}))
	for name, c := range map[string]struct {
		values map[string]any
		ok     bool
	}{
		"a record": {map[string]any{fieldType: "t", fieldRecord: encoded}, true}, "no field": {map[string]any{"x": "y"}, false}, "another value": {map[string]any{fieldRecord: 7}, false}, "half of it": {map[string]any{fieldRecord: encoded[:5]}, false},
	} {
		m := goredis.XMessage{ID: "5-1", Values: c.values}
		r, err := decode(m)
		if (err == nil) != c.ok || r.Position != "5-1" || c.ok && r.ID != "1" || !c.ok && len(r.Data) == 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		var log bytes.Buffer
		d := &driver{log: slog.New(slog.NewTextHandler(&log, nil))}
		if got := d.decode(m); (got != nil) != c.ok {
			t.Errorf("%s: %+v", name, got)
		}
		if said := strings.Contains(log.String(), "entry is no record"); said == c.ok {
			t.Errorf("%s: the log says %q", name, log.String())
		}
	}
}

// What the schedule's scripts return: three texts for each entry.
func TestEntriesOfTheSchedule(t *testing.T) {
	encoded := string(eventdriver.AppendRecord(nil, &event.Record{ID: "1", Type: "t", Time: time.Unix(1, 0)}))
	for name, c := range map[string]struct {
		got  []string
		n    int
		fail bool
	}{
		"nothing": {nil, 0, false}, "one": {[]string{"a", "1000", "\x00" + encoded}, 1, false}, "two": {[]string{"a", "1000", "\x00" + encoded, "b", "2e3", "daily\x00" + encoded}, 2, false},
		"one that is gone": {[]string{"a", "1000", "", "b", "2000", "daily\x00" + encoded}, 1, false}, "half of one": {[]string{"a", "1000"}, 0, false}, "no number": {[]string{"a", "x", "\x00" + encoded}, 0, true},
	} {
		list, err := plans(c.got)
		if len(list) != c.n || (err != nil) != c.fail {
			t.Errorf("%s: %+v, %v, want %d", name, list, err, c.n)
		}
		for _, e := range list {
			if e.Err != nil || e.Record.ID != "1" || e.Version == "" || (e.Recurrence == "daily") != (e.ID == "b") || e.Due.Unix() != map[string]int64{"a": 1, "b": 2}[e.ID] {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	if list, err := plans([]string{"a", "1000", "\x00nonsense"}); err != nil || len(list) != 1 || list[0].Err == nil || list[0].ID != "a" {
		t.Errorf("an entry that holds no record: %+v, %v", list, err)
	}
}

// A turn is over when its time is, and is not held again without asking.
func TestATurnEndsByTheClock(t *testing.T) {
	l := &lease{ttl: 10 * time.Second}
	if l.holds() || l.margin() != time.Second {
		t.Errorf("a lease that was never taken is held, or has a margin of %v", l.margin())
	}
	l.turn.Store(3)
	l.until.Store(math.MaxInt64)
	if !l.holds() || l.turn.Load() != 3 {
		t.Error("it is not held in its time")
	}
	l.until.Store(now())
	if l.holds() || l.turn.Load() != -3 {
		t.Errorf("it is held after its time, or the turn is %d, want -3", l.turn.Load())
	}
	l.until.Store(math.MaxInt64)
	if l.holds() {
		t.Error("it is held again without asking")
	}
}

// What is handed out is a record as it is stored, or says why it is none.
func TestWhatIsHandedOut(t *testing.T) {
	for name, c := range map[string]struct {
		values  map[string]any
		encoded string
		err     string
	}{
		"a record": {map[string]any{fieldType: "t", fieldRecord: "r"}, "r", ""}, "gone": {nil, "", "removed before it was handled"}, "somebody else's": {map[string]any{"x": "y"}, "", "not an encoded record"},
	} {
		m := &member{}
		d := m.delivered([]goredis.XMessage{{ID: "5-1", Values: c.values}})[0]
		if d.Position != "5-1" || d.Attempt != 1 || d.Encoded != c.encoded || (d.Err == nil) != (c.err == "") || d.Err != nil && !strings.Contains(d.Err.Error(), c.err) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
