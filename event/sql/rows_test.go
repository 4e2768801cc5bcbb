package sql

import (
	dbsql "database/sql"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// counted is a driver whose calls of the database are counted.
func counted(t *testing.T) (*driver, func() int) {
	t.Helper()
	lite, err := dbsql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	lite.Close()
	b := &broken{of: lite.Driver()}
	pool := dbsql.OpenDB(b)
	pool.SetMaxOpenConns(1)
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, DB: pool})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{db: db, kind: sql.SQLite, table: `"events"`, writer: make(chan struct{}, 1)}
	d.tail.d = d
	t.Cleanup(func() { d.Close(t.Context()); pool.Close() })
	return d, func() int { return len(b.calls) }
}

// full is a driver whose tables all have rows, and a member that was handed the first
// of three records.
func full(t *testing.T) (*driver, *member) {
	t.Helper()
	d := inMemory(t)
	put(t, d, "a", "b", "c")
	m := joinTo(t, d, event.GroupConfig{Consumer: "c", AckWait: time.Hour})
	if got := fetched(t, m, 1); got != "a1" {
		t.Fatalf("handed %q", got)
	}
	if _, err := d.Attend(t.Context(), "g", "c", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := d.Schedule(t.Context(), []event.Scheduled{{ID: "s", Due: time.UnixMilli(1000), Record: scheduled}}); err != nil {
		t.Fatal(err)
	}
	return d, m
}

var scheduled = &event.Record{ID: "s", Type: "t", Time: time.Unix(1, 0)}

// callOf is a call by its name.
func callOf(t *testing.T, d *driver, m *member, what string) error {
	t.Helper()
	ctx := t.Context()
	var err error
	switch what {
	case "append":
		_, err = d.Append(ctx, []*event.Record{{ID: "x", Type: "t", Time: time.Unix(1, 0)}})
	case "append two":
		_, err = d.Append(ctx, []*event.Record{{ID: "x", Type: "t", Time: time.Unix(1, 0)}, {ID: "y", Type: "t", Time: time.Unix(1, 0)}})
	case "read":
		_, err = d.Read(ctx, event.ReadRequest{From: event.Beginning(), Max: 10})
	case "read back":
		_, err = d.Read(ctx, event.ReadRequest{From: event.Beginning(), Reverse: true, Max: 10})
	case "read since":
		_, err = d.Read(ctx, event.ReadRequest{From: event.At(time.Unix(5, 0)), Max: 10})
	case "behind":
		_, err = d.Behind(ctx, "1")
	case "join":
		_, err = d.Join(ctx, event.GroupConfig{Name: "g", Consumer: "d"})
	case "fetch":
		_, _, err = m.fetch(ctx, 10)
	case "ack":
		err = m.Ack(ctx, []event.Delivered{{Tag: int64(1)}})
	case "leave":
		err = m.Close(ctx)
	case "lag":
		_, err = m.Lag(ctx)
	case "groups":
		_, err = d.Groups(ctx)
	case "trim":
		_, err = d.Trim(ctx, event.Retention{Age: time.Hour})
	case "attend":
		_, err = d.Attend(ctx, "g", "d", time.Hour)
	case "schedule":
		err = d.Schedule(ctx, []event.Scheduled{{ID: "s", Due: time.UnixMilli(1000), Record: scheduled}})
	case "unschedule":
		err = d.Unschedule(ctx, "s")
	case "scheduled":
		_, _, err = d.Scheduled(ctx, "", 10)
	case "due":
		_, err = d.Due(ctx, 10)
	case "fire":
		_, err = d.Fire(ctx, []eventdriver.Firing{{ID: "s", Due: time.UnixMilli(1000)}})
	default:
		t.Fatalf("what is %q", what)
	}
	return err
}

// What can't be read is an error, of all who read it and of nobody else, and it changes
// nothing.
func TestRowsThatAreNone(t *testing.T) {
	for spoil, calls := range map[string][]string{
		"":                                 {"append", "read", "read back", "read since", "behind", "join", "fetch", "lag", "groups", "trim", "attend", "scheduled", "due", "fire"},
		"UPDATE events SET metadata = 'x'": {"read", "read back", "fetch"},
		"UPDATE events SET size = 'x'":     {"read", "read back", "fetch"},
		"UPDATE events SET stored = 'x'":   {"read since"},
		"DELETE FROM event_pending; UPDATE event_groups SET handed = 3; UPDATE events SET stored = 'x'": {"trim"},
		"DELETE FROM event_pending; UPDATE event_groups SET handed = 3; UPDATE events SET size = 'x'":   {"trim"},
		"UPDATE events SET size = 'x' WHERE seq = 3":                                                    {"read", "read back", "fetch"},
		"UPDATE event_streams SET trimmed = 'x'":                                                        {"read", "read back", "behind", "trim"},
		"UPDATE event_groups SET types = 'x'":                                                           {"join", "lag", "groups"},
		"UPDATE event_groups SET handed = 'x'":                                                          {"fetch", "trim"},
		"UPDATE event_pending SET attempts = 'x', until = 0":                                            {"fetch"},
		"UPDATE event_pending SET seq = 'x'":                                                            {"trim"},
		"UPDATE event_pending SET until = 0; UPDATE events SET time = 'x' WHERE seq = 1":                {"fetch", "read"},
		"UPDATE event_scheduled SET due = 'x'":                                                          {"scheduled", "due", "fire"},
	} {
		for _, what := range calls {
			d, m := full(t)
			if spoil != "" {
				do(t, d, spoil)
			}
			before := number(t, d, "SELECT COUNT(*) + (SELECT COUNT(*) FROM event_pending) + (SELECT COUNT(*) FROM event_scheduled) FROM events")
			err := callOf(t, d, m, what)
			if (err == nil) != (spoil == "") {
				t.Errorf("after %q: %s: %v", spoil, what, err)
			}
			if got := number(t, d, "SELECT COUNT(*) + (SELECT COUNT(*) FROM event_pending) + (SELECT COUNT(*) FROM event_scheduled) FROM events"); spoil != "" && got != before {
				t.Errorf("after %q, %s has changed something", spoil, what)
			}
		}
	}
}

// A table that was lost is an error once, or nothing where nothing is the answer; then
// it is made again.
func TestTablesThatAreLost(t *testing.T) {
	for table, calls := range map[string]map[string]bool{ // whether the first call fails
		"events":          {"append": true, "append two": true, "fetch": true, "trim": true},
		"event_streams":   {"append": true, "append two": true, "trim": true},
		"event_groups":    {"join": true, "leave": true},
		"event_pending":   {"fetch": true, "ack": true, "leave": true},
		"event_members":   {"attend": true},
		"event_scheduled": {"schedule": true, "unschedule": true, "fire": true, "scheduled": false, "due": false},
	} {
		for what, fails := range calls {
			d, m := full(t)
			do(t, d, "DROP TABLE "+table)
			if err := callOf(t, d, m, what); (err != nil) != fails {
				t.Errorf("without %s: %s: %v, want an error: %v", table, what, err, fails)
			}
			err := callOf(t, d, m, what)
			if what == "unschedule" && errors.Is(err, fault.NotFound) {
				err = nil
			}
			if err != nil {
				t.Errorf("without %s: %s again: %v", table, what, err)
			}
			if table == "event_scheduled" {
				if err := callOf(t, d, m, "schedule"); err != nil {
					t.Errorf("after %s: %v", what, err)
				}
			}
		}
	}
}

// How many entries go into one statement, by their number and by their bytes: below each
// limit, at it and above.
func TestEntriesOfOneStatement(t *testing.T) {
	size := func(n int) *event.Record { // encoded it has n bytes
		r := &event.Record{ID: "x", Type: "t", Time: time.Unix(1, 0), Data: make([]byte, n)}
		r.Data = r.Data[:n-(len(eventdriver.AppendRecord(nil, r))-n)]
		if got := len(eventdriver.AppendRecord(nil, r)); got != n {
			t.Fatalf("a record of %d bytes, want %d", got, n)
		}
		return r
	}
	const half = plannedBytes / 2
	many := func(n int) []*event.Record {
		list := make([]*event.Record, n)
		for i := range list {
			list[i] = scheduled
		}
		return list
	}
	for name, c := range map[string]struct {
		records    []*event.Record
		statements int
	}{
		"none": {nil, 0}, "one": {many(1), 1}, "as many as go": {many(rows), 1}, "one more": {many(rows + 1), 2}, "twice as many": {many(2 * rows), 2},
		"as many bytes": {[]*event.Record{size(half), size(half)}, 1}, "a byte less": {[]*event.Record{size(half), size(half - 1)}, 1}, "a byte more": {[]*event.Record{size(half), size(half + 1)}, 2},
		"one alone": {[]*event.Record{size(3 * half), size(1000)}, 2}, "three": {[]*event.Record{size(half), size(half), size(half)}, 2},
	} {
		d, asked := counted(t)
		if err := d.planned(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries := make([]event.Scheduled, len(c.records))
		for i, r := range c.records {
			entries[i] = event.Scheduled{ID: format(int64(i)), Due: time.UnixMilli(1000), Record: r}
		}
		before := asked()
		err := d.Schedule(t.Context(), entries)
		if n := asked() - before - 2; n != c.statements || err != nil { // beside begin and commit
			t.Errorf("%s: %d statements, %v, want %d", name, n, err, c.statements)
		}
		if n := number(t, d, "SELECT COUNT(*) FROM event_scheduled"); int(n) != len(entries) {
			t.Errorf("%s: %d are stored, want %d", name, n, len(entries))
		}
	}
}

// Only what is still there as it was is fired: it is appended if there is a record, and
// stays for the next time if there is one.
func TestWhatIsFired(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *eventdriver.Firing)
		fired  int
		stored string // beside a, b and c
		due    int64  // of what is left; 0: nothing is
	}{
		{"as it was", func(*eventdriver.Firing) {}, 1, "s", 0},
		{"without a record", func(f *eventdriver.Firing) { f.Record = nil }, 1, "", 0},
		{"for the next time", func(f *eventdriver.Firing) { f.Next = time.UnixMilli(5000) }, 1, "s", 5000},
		{"another time", func(f *eventdriver.Firing) { f.Due = f.Due.Add(time.Millisecond) }, 0, "", 1000},
		{"another version", func(f *eventdriver.Firing) { f.Version += "x" }, 0, "", 1000},
		{"another name", func(f *eventdriver.Firing) { f.ID = "x" }, 0, "", 1000},
	} {
		d, _ := full(t)
		due, err := d.Due(t.Context(), 10)
		if err != nil || len(due.Entries) != 1 {
			t.Fatal(due, err)
		}
		e := due.Entries[0]
		f := eventdriver.Firing{ID: e.ID, Due: e.Due, Version: e.Version, Record: e.Record}
		c.change(&f)
		if n, err := d.Fire(t.Context(), []eventdriver.Firing{f}); n != c.fired || err != nil {
			t.Errorf("%s: Fire = %d, %v, want %d", c.name, n, err, c.fired)
		}
		if got := left(t, d); got != "abc"+c.stored {
			t.Errorf("%s: %q is stored, want %q", c.name, got, "abc"+c.stored)
		}
		if got := number(t, d, "SELECT COALESCE(SUM(due), 0) FROM event_scheduled"); got != c.due {
			t.Errorf("%s: due at %d, want %d", c.name, got, c.due)
		}
		if d.tail.last != int64(3+len(c.stored)) {
			t.Errorf("%s: who waits knows of %d", c.name, d.tail.last)
		}
	}
}

// The schedule in pages, of which several entries have the same time.
func TestPagesOfTheSchedule(t *testing.T) {
	d := inMemory(t)
	var entries []event.Scheduled
	for i, ms := range []int64{1, 2, 2, 2, 3} {
		entries = append(entries, event.Scheduled{ID: format(int64(i)), Due: time.UnixMilli(ms), Record: scheduled})
	}
	if err := d.Schedule(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	for limit, pages := range map[int]int{1: 6, 2: 3, 3: 2, 4: 2, 5: 2, 6: 1} {
		seen, from, n := map[string]bool{}, "", 0
		for n < 10 {
			list, next, err := d.Scheduled(t.Context(), from, limit)
			if err != nil {
				t.Fatal(err)
			}
			n++
			for _, e := range list {
				if seen[e.ID] {
					t.Errorf("pages of %d: %s comes twice", limit, e.ID)
				}
				seen[e.ID] = true
			}
			if next == "" {
				break
			}
			from = next
		}
		if len(seen) != 5 || n != pages {
			t.Errorf("pages of %d: %d entries in %d, want 5 in %d", limit, len(seen), n, pages)
		}
	}
	if _, _, err := d.Scheduled(t.Context(), "x", 1); !errors.Is(err, fault.Invalid) {
		t.Errorf("after no place: %v", err)
	}
}
