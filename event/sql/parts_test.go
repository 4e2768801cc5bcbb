package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// inMemory is a driver on a database of its own.
func inMemory(t *testing.T) *driver {
	t.Helper()
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{db: db, kind: sql.SQLite, table: `"events"`, writer: make(chan struct{}, 1)}
	d.tail.d = d
	t.Cleanup(func() { d.Close(context.Background()) })
	return d
}

func put(t *testing.T, d *driver, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := d.Append(t.Context(), []*event.Record{{ID: id, Type: "t", Time: time.Unix(1, 0), Data: make([]byte, 100)}}); err != nil {
			t.Fatal(err)
		}
	}
}

func left(t *testing.T, d *driver) string {
	t.Helper()
	page, err := d.Read(t.Context(), event.ReadRequest{From: event.Beginning(), Max: 100})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, r := range page.Records {
		text += r.ID
	}
	return text
}

// What retention takes, just below each limit, at it and above it. What a group
// still needs stays.
func TestLimitsOfRetention(t *testing.T) {
	const size = 64 + 1 + 1 + 100 // of one record in the books
	for _, c := range []struct {
		name  string
		keep  event.Retention
		setUp string // of a database that has the five records a to e
		want  string
	}{
		{"nothing", event.Retention{}, "", "abcde"},
		{"more", event.Retention{Count: 6}, "", "abcde"},
		{"all", event.Retention{Count: 5}, "", "abcde"},
		{"one less", event.Retention{Count: 4}, "", "bcde"},
		{"one", event.Retention{Count: 1}, "", "e"},
		{"their bytes", event.Retention{Bytes: 5 * size}, "", "abcde"},
		{"one byte less", event.Retention{Bytes: 5*size - 1}, "", "bcde"},
		{"bytes of four", event.Retention{Bytes: 4 * size}, "", "bcde"},
		{"a byte", event.Retention{Bytes: 1}, "", ""},
		{"an hour", event.Retention{Age: time.Hour}, "UPDATE events SET stored = stored - 3500000", "abcde"},
		{"less than an hour", event.Retention{Age: time.Hour}, "UPDATE events SET stored = stored - 3700000", ""},
		{"a part of them", event.Retention{Age: time.Hour}, "UPDATE events SET stored = stored - 3700000 WHERE seq <= 2", "cde"},
		{"in order", event.Retention{Age: time.Hour}, "UPDATE events SET stored = stored - 3700000 WHERE seq = 2", "abcde"},
		{"a group has none", event.Retention{Count: 1}, "INSERT INTO event_groups VALUES ('', 'g', '', 0, '', 0)", "abcde"},
		{"a group has two", event.Retention{Count: 1}, "INSERT INTO event_groups VALUES ('', 'g', '', 2, '', 0)", "cde"},
		{"groups have two and three", event.Retention{Count: 1}, "INSERT INTO event_groups VALUES ('', 'g', '', 3, '', 0), ('', 'h', '', 2, '', 0)", "cde"},
		{"a group works on the second", event.Retention{Count: 1}, "INSERT INTO event_groups VALUES ('', 'g', '', 4, '', 0); INSERT INTO event_pending VALUES ('', 'g', 2, 'c', 0, 1), ('', 'g', 3, 'c', 0, 1)", "bcde"},
		{"another stream's", event.Retention{Count: 1}, "INSERT INTO event_groups VALUES ('x', 'g', '', 0, '', 0); INSERT INTO event_pending VALUES ('x', 'g', 1, 'c', 0, 1)", "e"},
	} {
		d := inMemory(t)
		put(t, d, "a", "b", "c", "d", "e")
		if c.setUp != "" {
			if _, err := d.db.ExecContext(t.Context(), c.setUp); err != nil {
				t.Fatal(err)
			}
		}
		n, err := d.Trim(t.Context(), c.keep)
		if got := left(t, d); got != c.want || int(n) != 5-len(c.want) || err != nil {
			t.Errorf("%s: %q is left of %d removed, %v, want %q", c.name, got, n, err, c.want)
		}
		var bytes, trimmed int
		if err := d.db.QueryRowContext(t.Context(), "SELECT bytes, trimmed FROM event_streams").Scan(&bytes, &trimmed); err != nil || trimmed != int(n) || n > 0 && bytes != len(c.want)*size {
			t.Errorf("%s: the books have %d bytes and %d trimmed, %v, want %d and %d", c.name, bytes, trimmed, err, len(c.want)*size, n)
		}
		put(t, d, "f")
		if got := left(t, d); got != c.want+"f" || d.tail.last != 6 {
			t.Errorf("%s: then there is %q, and who waits knows of %d", c.name, got, d.tail.last)
		}
	}
}

// More than one transaction removes at once.
func TestRetentionOfMany(t *testing.T) {
	for _, n := range []int{trimBatch - 1, trimBatch, trimBatch + 1, 2*trimBatch + 1} {
		d := inMemory(t)
		put(t, d, "a")
		if _, err := d.db.ExecContext(t.Context(), "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO events SELECT i, 'x', 't', '', '', '', '', 0, 0, 1, NULL, '', NULL FROM n", n+1); err != nil {
			t.Fatal(err)
		}
		if removed, err := d.Trim(t.Context(), event.Retention{Count: 1}); int(removed) != n || err != nil {
			t.Errorf("%d removed, %v, want %d", removed, err, n)
		}
	}
}

// Calls that share a transaction have at most so many records, but for one call that
// has more.
func TestCallsThatShareATransaction(t *testing.T) {
	for _, c := range []struct {
		calls []int
		want  int
	}{{nil, 0}, {[]int{1}, 1}, {[]int{500, 499}, 2}, {[]int{500, 500}, 2}, {[]int{500, 501}, 1}, {[]int{1000, 1}, 1}, {[]int{1001, 1}, 1}, {[]int{1, 1001}, 1}, {[]int{0, 1000, 1}, 2}} {
		d := &driver{}
		for _, n := range c.calls {
			d.queue = append(d.queue, &entry{records: make([]*event.Record, n)})
		}
		if batch := d.take(); len(batch) != c.want || len(d.queue) != len(c.calls)-c.want {
			t.Errorf("of calls with %v records %d go together, %d are left, want %d", c.calls, len(batch), len(d.queue), c.want)
		}
	}
	a, b, c := &entry{}, &entry{}, &entry{}
	d := &driver{queue: []*entry{a, b, c}}
	if !d.leave(b) || d.leave(b) || len(d.queue) != 2 || d.queue[0] != a || d.queue[1] != c {
		t.Errorf("after the second has left: %v", d.queue)
	}
}

// The length of a row as SQL is never less than what is sent.
func TestPacketsOfMySQL(t *testing.T) {
	for s, want := range map[string]int{"": 9, "abc": 12, "a'b": 13, "\x00\n\r\x1a'\"\\": 23, "\x01\t": 11} {
		if got := escaped(s); got != want {
			t.Errorf("%q has %d bytes as SQL, want %d", s, got, want)
		}
	}
	r := &event.Record{Data: make([]byte, 1000), Metadata: map[string]string{"k": "v"}}
	size := int64(1024 + 7*9 + 9 + 2000 + 2*(10+10) + 8)
	for packet, refused := range map[int64]bool{0: false, size + 1: false, size: false, size - 1: true} {
		d := &driver{}
		d.packet.Store(packet)
		if err := d.limits([]*event.Record{{}, r}); errors.Is(err, fault.TooLarge) != refused {
			t.Errorf("a packet of %d: %v, refused: %v", packet, err, refused)
		}
	}
	list := make([]row, 100)
	for i := range list {
		list[i].size = 488 // 2000 as SQL
	}
	for _, c := range []struct {
		packet int64
		list   []row
		want   int
	}{{0, list, rows}, {0, list[:rows-1], rows - 1}, {0, list[:rows+1], rows}, {1, list, 1}, {2000, list, 1}, {3999, list, 1}, {4000, list, 2}, {4001, list, 2}, {1 << 20, list, rows}, {1 << 20, list[:3], 3}} {
		d := &driver{}
		d.packet.Store(c.packet)
		if got := d.fit(c.list); got != c.want {
			t.Errorf("%d rows in packets of %d: %d, want %d", len(c.list), c.packet, got, c.want)
		}
	}
}

func TestErrorsOfLoneStatements(t *testing.T) {
	for name, c := range map[string]struct {
		err, kind error
		made      bool // the tables are believed to be there after it
	}{
		"none": {nil, nil, true}, "no row": {dbsql.ErrNoRows, fault.Unavailable, false}, "lost": {io.EOF, fault.UnknownOutcome, true},
		"missing": {code("42P01"), fault.Unavailable, false}, "large": {code("54000"), fault.TooLarge, true}, "denied": {code("42501"), fault.Denied, true},
	} {
		d := &driver{}
		d.made.Store(true)
		if err := d.alone(c.err); fault.KindOf(err) != c.kind || (err == nil) != (c.err == nil) || d.made.Load() != c.made {
			t.Errorf("%s: %v, want %v; the tables are there: %v, want %v", name, err, c.kind, d.made.Load(), c.made)
		}
	}
}

// code is an answer of PostgreSQL's.
type code string

func (c code) Error() string    { return "code " + string(c) }
func (c code) SQLState() string { return string(c) }

func TestPositions(t *testing.T) {
	for position, want := range map[string]int64{"": 0, "0": 0, "1": 1, "9223372036854775807": math.MaxInt64, "-1": -1, "x": -1, "9223372036854775808": -1, "1.0": -1} {
		n, err := parse(position)
		if want >= 0 && (n != want || err != nil) || want < 0 && !errors.Is(err, fault.Invalid) {
			t.Errorf("%q is %d, %v, want %d", position, n, err, want)
		}
	}
	year := func(y int) time.Time { return time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC) }
	for y, want := range map[int]int64{1: math.MinInt64, 1677: math.MinInt64, 1678: year(1678).UnixNano(), 1970: year(1970).UnixNano(), 2261: year(2261).UnixNano(), 2262: math.MaxInt64, 9999: math.MaxInt64} {
		if got := nanos(year(y)); got != want {
			t.Errorf("%d is %d, want %d", y, got, want)
		}
	}
	for ns, want := range map[string]string{"": "events", "a": "events_a", "az09": "events_az09", strings.Repeat("a", 40): "events_" + strings.Repeat("a", 40)} {
		if got := tableName(ns); got != want {
			t.Errorf("%q is in %q, want %q", ns, got, want)
		}
	}
	seen := map[string]string{}
	for _, ns := range []string{"a_b", "a-b", "a.b", "A", "a", strings.Repeat("a", 41), strings.Repeat("a", 42), "`", "{", "/", ":"} {
		got := tableName(ns)
		if other, ok := seen[got]; ok || len(got) > 63 || strings.ContainsFunc(got, func(r rune) bool { return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
			t.Errorf("%q is in %q, as %q", ns, got, other)
		}
		seen[got] = ns
	}
}

// What of a filter the database decides.
func TestConditionsOfFilters(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    sql.Kind
		f       event.Filter
		text    string
		args    int
		indexed bool
	}{
		{"nothing", sql.SQLite, event.Filter{}, "", 0, false},
		{"id", sql.SQLite, event.Filter{ID: "1"}, " AND id = ?", 1, true},
		{"id on PostgreSQL", sql.Postgres, event.Filter{ID: "1"}, " AND id = ? AND left(id, 255) = left(?, 255)", 2, true},
		{"root", sql.MySQL, event.Filter{RootID: "1"}, " AND root = ?", 1, true},
		{"all", sql.SQLite, event.Filter{Source: "s", Subject: "u", Since: time.Unix(1, 0), Until: time.Unix(2, 0)}, " AND source = ? AND subject = ? AND time >= ? AND time < ?", 4, false},
	} {
		d := &driver{kind: c.kind}
		if got := d.conditions(c.f); got.text != c.text || len(got.args) != c.args || got.indexed != c.indexed {
			t.Errorf("%s: %+v, want %q with %d, of an index: %v", c.name, got, c.text, c.args, c.indexed)
		}
	}
}

// Who waits in this process learns of what it appends without asking the database.
func TestAppendsAreKnownAtOnce(t *testing.T) {
	d := inMemory(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	put(t, d, "a", "b")
	for after, want := range map[string]error{"": nil, "1": nil, "2": context.Canceled} {
		if err := d.Wait(over, after); !errors.Is(err, want) {
			t.Errorf("after %q: %v, want %v", after, err, want)
		}
	}
	if err := d.Wait(t.Context(), "x"); !errors.Is(err, fault.Invalid) {
		t.Errorf("after no position: %v", err)
	}
}

// A member alone that finds another in its place is told so once, and changes nothing;
// when its own turn comes it is handed what is left.
func TestATurnThatAnotherHasTaken(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a", "b")
	join := func(name string) *member {
		t.Helper()
		m, err := d.Join(t.Context(), event.GroupConfig{Name: "g", Consumer: name, Start: event.Beginning(), AckWait: time.Hour, Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		return m.(*member)
	}
	holder := func() (name string) {
		t.Helper()
		if err := d.db.QueryRowContext(t.Context(), "SELECT holder FROM event_groups").Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	first, second := join("first"), join("second")
	if _, ds, err := first.fetch(t.Context(), 10); len(ds) != 2 || err != nil || !first.Holds() || second.Holds() {
		t.Fatalf("%d deliveries, %v", len(ds), err)
	}
	if _, ds, err := second.fetch(t.Context(), 10); len(ds) != 0 || err != nil || second.Holds() || holder() != "first" {
		t.Errorf("while it is another's turn: %d deliveries, %v, the turn of %s", len(ds), err, holder())
	}
	if err := second.Extend(t.Context(), nil); err != nil || holder() != "first" {
		t.Errorf("Extend of another: %v, the turn of %s", err, holder())
	}
	if _, err := d.db.ExecContext(t.Context(), "UPDATE event_groups SET holder_until = 0"); err != nil {
		t.Fatal(err)
	}
	if _, ds, err := second.fetch(t.Context(), 10); len(ds) != 2 || err != nil || !second.Holds() || holder() != "second" {
		t.Errorf("after the other's turn: %d deliveries, %v, the turn of %s", len(ds), err, holder())
	}
	if _, ds, err := first.fetch(t.Context(), 10); len(ds) != 0 || !errors.Is(err, fault.Lost) || first.Holds() || holder() != "second" {
		t.Errorf("who has lost it: %d deliveries, %v, the turn of %s", len(ds), err, holder())
	}
	if _, ds, err := first.fetch(t.Context(), 10); len(ds) != 0 || err != nil {
		t.Errorf("then: %d deliveries, %v", len(ds), err)
	}
	if err := second.Close(t.Context()); err != nil || holder() != "" {
		t.Errorf("Close = %v, the turn of %s", err, holder())
	}
	if _, ds, err := first.fetch(t.Context(), 10); len(ds) != 2 || err != nil || ds[0].Attempt != 3 {
		t.Errorf("when it is free: %d deliveries, %v", len(ds), err)
	}
	// Extend finds it too.
	if _, err := d.db.ExecContext(t.Context(), "UPDATE event_groups SET holder = 'second'"); err != nil {
		t.Fatal(err)
	}
	if err := first.Extend(t.Context(), nil); !errors.Is(err, fault.Lost) || first.Holds() {
		t.Errorf("Extend of what is lost: %v", err)
	}
	if err := first.Extend(t.Context(), nil); err != nil {
		t.Errorf("Extend once more: %v", err)
	}
	if err := d.DeleteGroup(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.fetch(t.Context(), 10); !errors.Is(err, fault.NotFound) {
		t.Errorf("of a group that was deleted: %v", err)
	}
	if _, err := first.Lag(t.Context()); !errors.Is(err, fault.NotFound) {
		t.Errorf("Lag of a group that was deleted: %v", err)
	}
}

// What is due is handed out again, with another attempt; what is given back, with the same.
func TestWhatIsHandedOutAgain(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a", "b", "c")
	j, err := d.Join(t.Context(), event.GroupConfig{Name: "g", Consumer: "c", Start: event.Beginning(), AckWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	m := j.(*member)
	hand := func(limit int, want string) []event.Delivered {
		t.Helper()
		_, ds, err := m.fetch(t.Context(), limit)
		got := ""
		for _, d := range ds {
			got += d.Record.ID + format(int64(d.Attempt))
		}
		if got != want || err != nil {
			t.Errorf("handed %q, %v, want %q", got, err, want)
		}
		return ds
	}
	two := hand(2, "a1b1")
	if err := m.Release(t.Context(), two[:1]); err != nil {
		t.Fatal(err)
	}
	hand(1, "a1")
	if _, err := d.db.ExecContext(t.Context(), "UPDATE event_pending SET until = 0"); err != nil {
		t.Fatal(err)
	}
	hand(10, "a2b2c1")
	hand(10, "")
	if _, err := d.db.ExecContext(t.Context(), "UPDATE event_pending SET until = 0, consumer = 'other' WHERE seq = 1"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Ack(t.Context(), two), m.Extend(t.Context(), two)); err != nil { // the first is another's by now
		t.Error(err)
	}
	hand(10, "a3")
	if lag, err := m.Lag(t.Context()); err != nil || lag.Behind != 0 || lag.Pending != 2 {
		t.Errorf("lag %+v, %v, want two that are pending", lag, err)
	}
}

// Where reading begins, in both directions, and what is gone by then.
func TestWhereReadingBegins(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a", "b", "c", "d", "e")
	if _, err := d.db.ExecContext(t.Context(), "UPDATE events SET stored = seq * 1000"); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Trim(t.Context(), event.Retention{Count: 4}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, c := range []struct {
		name    string
		from    event.Position
		reverse bool
		want    string
		missed  int64
	}{
		{"the beginning", event.Beginning(), false, "bcde", 0},
		{"the end", event.Now(), false, "", 0},
		{"after the second", event.After("2"), false, "cde", 0},
		{"after one that is gone", event.After("1"), false, "bcde", 0},
		{"after the last", event.After("5"), false, "", 0},
		{"after what is to come, or was lost", event.After("9"), false, "", 1},
		{"a time", event.At(time.Unix(3, 0)), false, "cde", 0},
		{"just after it", event.At(time.Unix(3, 1e6)), false, "de", 0},
		{"a time before all", event.At(time.Unix(1, 0)), false, "bcde", 0},
		{"a time after all", event.At(time.Unix(9, 0)), false, "", 0},
		{"back from the end", event.Now(), true, "edcb", 0},
		{"back from the beginning", event.Beginning(), true, "edcb", 0},
		{"back from the fourth", event.After("4"), true, "cb", 0},
		{"back from what is to come", event.After("9"), true, "edcb", 0},
		{"back from the first", event.After("2"), true, "", 0},
		{"back from a time", event.At(time.Unix(4, 0)), true, "cb", 0},
	} {
		page, err := d.Read(t.Context(), event.ReadRequest{From: c.from, Reverse: c.reverse, Max: 10})
		got := ""
		for _, r := range page.Records {
			got += r.ID
		}
		if got != c.want || page.Missed != c.missed || page.More || err != nil {
			t.Errorf("%s: %q, missed %d, more %v, %v, want %q", c.name, got, page.Missed, page.More, err, c.want)
		}
	}
	for _, max := range []int{3, 4, 5} {
		for _, reverse := range []bool{false, true} {
			page, err := d.Read(t.Context(), event.ReadRequest{From: event.Beginning(), Reverse: reverse, Max: max})
			if len(page.Records) != min(max, 4) || page.More != (max <= 4) || err != nil {
				t.Errorf("%d, backwards %v: %d records, more %v, %v", max, reverse, len(page.Records), page.More, err)
			}
		}
	}
	for after, want := range map[string]int64{"": 4, "0": 4, "1": 4, "2": 3, "5": 0, "9": 0, "x": -1} {
		n, err := d.Behind(t.Context(), after)
		if want >= 0 && (n != want || err != nil) || want < 0 && !errors.Is(err, fault.Invalid) {
			t.Errorf("%d are behind %q, %v, want %d", n, after, err, want)
		}
	}
	if _, err := d.Trim(t.Context(), event.Retention{Count: 2}); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[string]int64{"1": 2, "2": 1, "3": 0, "4": 0} {
		if page, err := d.Read(t.Context(), event.ReadRequest{From: event.After(after), Max: 10}); page.Missed != want || err != nil {
			t.Errorf("after %s: %d are missed, %v, want %d", after, page.Missed, err, want)
		}
	}
}

// Members whose time is over are not listed, and their rows go.
func TestMembersWhoseTimeIsOver(t *testing.T) {
	d := inMemory(t)
	attend := func(name string, ttl time.Duration, want ...string) {
		t.Helper()
		list, err := d.Attend(t.Context(), "g", name, ttl)
		slices.Sort(list)
		if err != nil || !slices.Equal(list, want) {
			t.Errorf("%s finds %q, %v, want %q", name, list, err, want)
		}
	}
	rows := func() (n int) {
		t.Helper()
		if err := d.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM event_members").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	attend("a", time.Hour, "a")
	attend("b", time.Hour, "a", "b")
	if _, err := d.db.ExecContext(t.Context(), "UPDATE event_members SET until = 1 WHERE consumer = 'a'; INSERT INTO event_members VALUES ('', 'other', 'x', 1)"); err != nil {
		t.Fatal(err)
	}
	attend("b", time.Hour, "b")
	if n := rows(); n != 1 {
		t.Errorf("%d rows, want that of the one who lives", n)
	}
	attend("a", time.Hour, "a", "b")
	attend("b", 0, "a")
	attend("a", 0)
	if n := rows(); n != 0 {
		t.Errorf("%d rows of members that have left", n)
	}
}
