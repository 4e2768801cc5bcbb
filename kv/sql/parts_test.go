package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// inMemory is a driver on a database of its own, whose tables are there.
func inMemory(t *testing.T) *driver {
	t.Helper()
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	d := newDriver(db)
	t.Cleanup(func() { d.Close() })
	if err := d.tables.Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func do(t *testing.T, d *driver, statement string, args ...any) {
	t.Helper()
	if _, err := d.db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, d *driver, query string) (n int64) {
	t.Helper()
	if err := d.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// stored are the keys of all rows, dead ones too.
func stored(t *testing.T, d *driver) string {
	t.Helper()
	rows, err := d.db.QueryContext(t.Context(), "SELECT CAST(k AS TEXT) FROM kv_items ORDER BY k")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO kv_items SELECT CAST(printf('%s%%04d', i) AS BLOB), x'', 10 + i, %d FROM n"

// Dead rows are removed behind a write, a minute after the last time, all that are dead
// for more than ten minutes. The greatest of their revisions is kept.
func TestDeadRowsAreRemovedNowAndThen(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		dead  int
		done  bool
	}{{cleanEvery - 1, 3, false}, {cleanEvery, 3, true}, {time.Hour, cleanMost, true}, {time.Hour, cleanMost + 1, true}, {time.Hour, 2*cleanMost + 1, true}} {
		synctest.Test(t, func(t *testing.T) {
			d := inMemory(t)
			time.Sleep(c.after) // of the bubble
			do(t, d, fmt.Sprintf(many, "x", 1), c.dead)
			now := number(t, d, d.kind.Text("SELECT NOW"))
			do(t, d, "INSERT INTO kv_items VALUES ('recent', '', 1, ?), ('old', '', 2, ?), ('lives', '', 3, ?), ('stays', '', 5, 0)", now-9*60_000, now-11*60_000, now+60_000)
			do(t, d, "UPDATE kv_items SET k = CAST(k AS BLOB)")
			write := func() {
				t.Helper()
				if _, err := d.Put(t.Context(), kv.Write{Key: "new"}); err != nil {
					t.Fatal(err)
				}
				d.cleaning.Wait()
			}
			write()
			left, cleaned := number(t, d, "SELECT COUNT(*) FROM kv_items"), number(t, d, "SELECT cleaned FROM kv_state")
			if !c.done {
				if left != int64(c.dead)+5 || cleaned != 0 {
					t.Errorf("%v after the last time: %d rows are left, up to %d are removed", c.after, left, cleaned)
				}
				return
			}
			if got := stored(t, d); got != "lives new recent stays" || cleaned != int64(10+c.dead) {
				t.Errorf("%v after the last time, of %d: %d rows are left, up to %d are removed: %.100q", c.after, c.dead, left, cleaned, got)
			}
			do(t, d, "INSERT INTO kv_items VALUES (CAST('older' AS BLOB), '', 4, 1)")
			for wait, want := range []int64{1, 0} {
				time.Sleep([]time.Duration{cleanEvery - 1, 1}[wait])
				write()
				if n := number(t, d, "SELECT COUNT(*) FROM kv_items WHERE k = CAST('older' AS BLOB)"); n != want {
					t.Errorf("the next time: %d rows, want %d", n, want)
				}
			}
			if got := number(t, d, "SELECT cleaned FROM kv_state"); got != cleaned {
				t.Errorf("up to %d are removed, and before it was %d", got, cleaned)
			}
		})
	}
	// What can't be removed is left, and others can write.
	d := inMemory(t)
	do(t, d, "INSERT INTO kv_items VALUES ('odd', '', 'x', 1)")
	if n, err := d.cleanSome(t.Context(), time.Minute, 10); n != 0 || err == nil {
		t.Errorf("%d rows that are none were removed, %v", n, err)
	}
	if _, err := d.Put(t.Context(), kv.Write{Key: "new"}); err != nil {
		t.Errorf("then: %v", err)
	}
}

// What becomes of an item, whether it is there, was, or never was.
func TestWhatAWriteDoes(t *testing.T) {
	const now = 1000
	lives, ends, dead, never := &row{[]byte("5"), 7, 0}, &row{[]byte("5"), 7, now + 1}, &row{[]byte("5"), 7, now}, (*row)(nil)
	for _, c := range []struct {
		name string
		was  *row
		w    write
		err  error
		want *row // nil: as it was
		sum  int64
	}{
		{"put", never, write{Write: kv.Write{Value: []byte("v")}}, nil, &row{[]byte("v"), 9, 0}, 0},
		{"put over it", lives, write{Write: kv.Write{Value: []byte("v")}}, nil, &row{[]byte("v"), 9, 0}, 0},
		{"put with an end", ends, write{Write: kv.Write{Value: []byte("v"), TTL: 2 * time.Millisecond}}, nil, &row{[]byte("v"), 9, now + 2}, 0},
		{"put without one", ends, write{Write: kv.Write{Value: []byte("v")}}, nil, &row{[]byte("v"), 9, 0}, 0},
		{"if absent: never", never, write{Write: kv.Write{Value: []byte("v"), IfAbsent: true}}, nil, &row{[]byte("v"), 9, 0}, 0},
		{"if absent: dead", dead, write{Write: kv.Write{Value: []byte("v"), IfAbsent: true}}, nil, &row{[]byte("v"), 9, 0}, 0},
		{"if absent: lives", lives, write{Write: kv.Write{IfAbsent: true}}, kv.ErrExists, nil, 0},
		{"if absent: ends", ends, write{Write: kv.Write{IfAbsent: true}}, kv.ErrExists, nil, 0},
		{"if revision: lives", lives, write{Write: kv.Write{Value: []byte("v"), IfRevision: 7}}, nil, &row{[]byte("v"), 9, 0}, 0},
		{"if revision: another", lives, write{Write: kv.Write{IfRevision: 8}}, kv.ErrConflict, nil, 0},
		{"if revision: dead", dead, write{Write: kv.Write{IfRevision: 7}}, kv.ErrConflict, nil, 0},
		{"if revision: never", never, write{Write: kv.Write{IfRevision: 7}}, kv.ErrConflict, nil, 0},
		{"remove", lives, write{what: remove}, nil, &row{[]byte{}, 9, now}, 0},
		{"remove what ends", ends, write{what: remove}, nil, &row{[]byte{}, 9, now}, 0},
		{"remove what is dead", dead, write{what: remove}, nil, nil, 0},
		{"remove what never was", never, write{what: remove}, nil, nil, 0},
		{"remove another revision", lives, write{what: remove, Write: kv.Write{IfRevision: 8}}, kv.ErrConflict, nil, 0},
		{"add", lives, write{what: add, delta: 2}, nil, &row{[]byte("7"), 9, 0}, 7},
		{"add to what ends", ends, write{what: add, delta: 2, Write: kv.Write{TTL: time.Hour}}, nil, &row{[]byte("7"), 9, now + 1}, 7},
		{"add to what is dead", dead, write{what: add, delta: 2}, nil, &row{[]byte("2"), 9, 0}, 2},
		{"add to what never was", never, write{what: add, delta: 2, Write: kv.Write{TTL: time.Second}}, nil, &row{[]byte("2"), 9, now + 1000}, 2},
		{"add to no number", &row{[]byte("x"), 7, 0}, write{what: add, delta: 2}, kv.ErrInvalid, nil, 0},
	} {
		ch := change{rows: map[string]row{}, now: now, rev: 9}
		if c.was != nil {
			ch.rows["k"] = *c.was
		}
		c.w.Key, c.w.rev, c.w.err = "k", 3, kv.ErrClosed // of an attempt before
		ch.apply(&c.w)
		if !errors.Is(c.w.err, c.err) || c.err == nil && c.w.err != nil || c.w.sum != c.sum || (c.w.rev == 9) != (c.want != nil) || (c.w.rev == 0) != (c.want == nil) {
			t.Errorf("%s: revision %d, sum %d, %v", c.name, c.w.rev, c.w.sum, c.w.err)
		}
		got, ok := ch.rows["k"]
		want := c.want
		if want == nil {
			want = c.was
		}
		if ok != (want != nil) || ok && (string(got.value) != string(want.value) || got.rev != want.rev || got.until != want.until) || ch.changed["k"] != (c.want != nil) {
			t.Errorf("%s: the row is %+v (%v), changed %v, want %+v", c.name, got, ok, ch.changed, want)
		}
	}
	for ttl, want := range map[time.Duration]int64{0: 0, 1: 1, time.Millisecond - 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, math.MaxInt64: math.MaxInt64 / 1_000_000} {
		if got := millis(ttl); got != want {
			t.Errorf("%v is %d ms, want %d", ttl, got, want)
		}
	}
	for prefix, want := range map[string]string{"": "\xff", "a": "b", "az": "a{", "a\xff": "b", "\xfe": "\xff", "\xff": "\xff", "a\xfe\xff": "a\xff"} {
		if got := string(endOf(prefix)); got != want {
			t.Errorf("the end of %q is %q, want %q", prefix, got, want)
		}
	}
}

// Writes that share a transaction follow each other; one that is refused does not take
// revisions, and one that the database refuses takes no others along.
func TestWritesOfOneTransaction(t *testing.T) {
	d := inMemory(t)
	ws := []*write{
		{Write: kv.Write{Key: "n", Value: []byte("5")}}, {what: add, delta: 2, Write: kv.Write{Key: "n"}},
		{Write: kv.Write{Key: "n", Value: []byte("x"), IfAbsent: true}}, {what: add, delta: 3, Write: kv.Write{Key: "n"}},
		{what: remove, Write: kv.Write{Key: "n"}}, {Write: kv.Write{Key: "n", Value: []byte("1"), IfAbsent: true}},
	}
	d.run(t.Context(), ws)
	if ws[1].sum != 7 || ws[3].sum != 10 || !errors.Is(ws[2].err, kv.ErrExists) || ws[5].err != nil || ws[5].rev <= ws[3].rev {
		t.Errorf("sums %d and %d, %v, %v", ws[1].sum, ws[3].sum, ws[2].err, ws[5].err)
	}
	ws = []*write{{Write: kv.Write{Key: "n", Value: []byte("x"), IfRevision: ws[5].rev + 1}}, {what: add, delta: 1, Write: kv.Write{Key: "n"}}}
	d.run(t.Context(), ws)
	if !errors.Is(ws[0].err, kv.ErrConflict) || ws[1].sum != 2 {
		t.Errorf("%v, then %d, %v", ws[0].err, ws[1].sum, ws[1].err)
	}
	before := number(t, d, "SELECT rev FROM kv_state")
	if err := d.Delete(t.Context(), "none", 0); err != nil || number(t, d, "SELECT rev FROM kv_state") != before {
		t.Errorf("removing nothing: %v, and it took a revision", err)
	}

	do(t, d, "CREATE TRIGGER no BEFORE INSERT ON kv_items WHEN NEW.k = CAST('bad' AS BLOB) BEGIN SELECT RAISE(ABORT, 'no'); END")
	errs := d.PutMany(t.Context(), []kv.Write{{Key: "a"}, {Key: "bad"}, {Key: "c"}})
	if len(errs) != 3 || errs[0] != nil || errs[1] == nil || errs[2] != nil || stored(t, d) != "a c n" {
		t.Errorf("errors %v, stored %q", errs, stored(t, d))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range d.PutMany(over, []kv.Write{{Key: "d"}, {Key: "e"}}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the context's end: %v", err)
		}
	}
	do(t, d, "DROP TABLE kv_items")
	do(t, d, "DROP TABLE kv_state")
	if errs := d.PutMany(t.Context(), []kv.Write{{Key: "d"}, {Key: "e"}}); len(errs) != 2 || !errors.Is(errs[0], fault.Unavailable) || !errors.Is(errs[1], fault.Unavailable) {
		t.Errorf("without tables: %v", errs)
	}
	if errs := d.PutMany(t.Context(), []kv.Write{{Key: "d"}, {Key: "e"}}); errs != nil || stored(t, d) != "d e" {
		t.Errorf("then: %v, stored %q", errs, stored(t, d))
	}
}

// More than one statement names, and values that fill one alone.
func TestManyAtOnce(t *testing.T) {
	for _, n := range []int{1, perStatement - 1, perStatement, perStatement + 1, 2*perStatement + 1} {
		d := inMemory(t)
		var writes []kv.Write
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprintf("%04d", i))
			writes = append(writes, kv.Write{Key: keys[i], Value: []byte(keys[i])})
		}
		if errs := d.PutMany(t.Context(), writes); errs != nil {
			t.Fatal(errs)
		}
		items, err := d.GetMany(t.Context(), append(keys, "none"))
		if len(items) != n || err != nil || string(items[keys[n-1]].Value) != keys[n-1] {
			t.Errorf("%d of %d items, %v", len(items), n, err)
		}
		do(t, d, "UPDATE kv_items SET rev = 'x' WHERE k = CAST(? AS BLOB)", keys[n-1])
		items, err = d.GetMany(t.Context(), keys)
		var bad *kv.BatchError
		first := (n - 1) / perStatement * perStatement // of the statement that fails
		if !errors.As(err, &bad) || len(bad.Errors) != n-first || len(items) < first {
			t.Errorf("of %d one can't be read: %d items, %v", n, len(items), err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.GetMany(over, keys); !errors.Is(err, context.Canceled) || errors.As(err, &bad) {
			t.Errorf("after the context's end: %v", err)
		}
		if _, err := d.Get(t.Context(), keys[n-1]); errors.Is(err, kv.ErrNotFound) || !errors.Is(err, fault.Unavailable) {
			t.Errorf("one that can't be read: %v", err)
		}
		before, failed := 0, 0
		for _, err := range d.List(t.Context(), "", "") {
			if err != nil {
				failed++
			} else {
				before++
			}
		}
		if failed != 1 || before > n-1 {
			t.Errorf("List of %d: %d items and %d errors, want one error", n, before, failed)
		}
	}
	d := inMemory(t)
	large := bytes.Repeat([]byte("x"), maxValue)
	writes := []kv.Write{{Key: "a", Value: large}, {Key: "b", Value: large}, {Key: "c"}, {Key: "d", Value: large}, {Key: "e", Value: large}, {Key: "f", Value: large}}
	if errs := d.PutMany(t.Context(), writes); errs != nil {
		t.Fatal(errs)
	}
	got := ""
	for item, err := range d.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		got += item.Key
	}
	if got != "abcdef" {
		t.Errorf("listed %q", got)
	}
}

// Lists of as many items as a page has, and around it; and where they begin and end.
func TestPagesOfAList(t *testing.T) {
	for _, n := range []int{0, 1, perPage - 1, perPage, perPage + 1, 2 * perPage, 2*perPage + 1} {
		d := inMemory(t)
		if n > 0 {
			do(t, d, fmt.Sprintf(many, "k", 0), n)
		}
		var keys []string
		for item, err := range d.List(t.Context(), "k", "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, item.Key)
		}
		if len(keys) != n || !slices.IsSorted(keys) || len(slices.Compact(keys)) != n {
			t.Errorf("%d items, want %d", len(keys), n)
		}
	}
	d := inMemory(t)
	do(t, d, "INSERT INTO kv_items VALUES ('a', '', 1, 0), ('ab', '', 2, 0), ('ac', '', 3, 0), ('ad', '', 4, 1), ('b', '', 5, 0)")
	do(t, d, "UPDATE kv_items SET k = CAST(k AS BLOB)")
	for _, c := range []struct{ prefix, after, want string }{
		{"", "", "a ab ac b"}, {"a", "", "a ab ac"}, {"a", "a", "ab ac"}, {"a", "aa", "ab ac"}, {"a", "ab", "ac"}, {"a", "ac", ""}, {"a", "b", ""}, {"b", "a", "b"}, {"c", "", ""},
	} {
		var keys []string
		for item, err := range d.List(t.Context(), c.prefix, c.after) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, item.Key)
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%q after %q: %q, want %q", c.prefix, c.after, got, c.want)
		}
	}
	for item := range d.List(t.Context(), "", "") {
		if item.Key != "a" {
			t.Errorf("went on with %q after who listed had enough", item.Key)
		}
		break
	}
}

// told is what a watch was told, until it has been synced so often.
type told struct {
	all   []string
	until int
	end   context.CancelFunc
}

func (s *told) Put(item kv.Item)  { s.all = append(s.all, "+"+item.Key) }
func (s *told) Delete(key string) { s.all = append(s.all, "-"+key) }
func (s *told) Synced(cursor uint64) {
	s.all = append(s.all, fmt.Sprint("=", cursor))
	if s.until--; s.until == 0 {
		s.end()
	}
}

// Where a watch begins: with all that is there, or behind what it knows, unless rows are
// missing there.
func TestWhereAWatchBegins(t *testing.T) {
	d := inMemory(t)
	do(t, d, "INSERT INTO kv_items VALUES ('pa', 'v', 11, 0), ('pb', 'v', 12, 1), ('pc', 'v', 13, ?), ('q', 'v', 14, 0), ('pd', 'v', 15, 0)", int64(math.MaxInt64/1_000_000))
	do(t, d, "UPDATE kv_items SET k = CAST(k AS BLOB)")
	do(t, d, "UPDATE kv_state SET rev = 16, cleaned = 10")
	for _, c := range []struct {
		from   uint64
		synced int
		want   string
	}{
		{0, 1, "+pa +pc +pd =16"}, {10, 1, "+pa -pb +pc +pd =16"}, {11, 1, "-pb +pc +pd =16"}, {14, 1, "+pd =16"}, {15, 1, "=16"}, {16, 1, "=16"}, {9, 1, "gap"}, {17, 1, "gap"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s := &told{until: c.synced, end: cancel}
		err := d.Watch(ctx, "p", c.from, s)
		cancel()
		got := strings.Join(s.all, " ")
		if errors.Is(err, kvdriver.ErrGap) {
			got = strings.TrimSpace(got + " gap")
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("from %d: %v", c.from, err)
		}
		if got != c.want && (c.from != 0 || got != c.want+" =16") { // the state, and once more what it ends with
			t.Errorf("from %d: %q, want %q", c.from, got, c.want)
		}
	}
	// Pages of what has changed, and one row that is none.
	do(t, d, "DELETE FROM kv_items")
	do(t, d, fmt.Sprintf(many, "p", 0), 2*perPage+1)
	do(t, d, "UPDATE kv_state SET rev = 5000")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &told{until: 1, end: cancel}
	if err := d.Watch(ctx, "p", 10, s); !errors.Is(err, context.Canceled) || len(s.all) != 2*perPage+2 {
		t.Errorf("told %d, %v, want %d", len(s.all), err, 2*perPage+2)
	}
	do(t, d, "UPDATE kv_items SET until = 'x' WHERE rev = 12")
	for _, from := range []uint64{0, 10} {
		s := &told{end: func() {}}
		if err := d.Watch(t.Context(), "p", from, s); !errors.Is(err, fault.Unavailable) || errors.Is(err, kvdriver.ErrGap) {
			t.Errorf("from %d, with a row that is none: %v", from, err)
		}
	}
	do(t, d, "DROP TABLE kv_state")
	if err := d.Watch(t.Context(), "p", 10, &told{end: func() {}}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("without tables: %v", err)
	}
}

// An error behind the first rows is no end of them.
func TestRowsThatBreakOff(t *testing.T) {
	d := inMemory(t)
	do(t, d, "INSERT INTO kv_items VALUES ('a', '1', 11, 1), ('b', '2', 12, 1)")
	do(t, d, "UPDATE kv_items SET k = CAST(k AS BLOB), v = CAST(v AS BLOB)")
	do(t, d, "UPDATE kv_state SET rev = 12")
	if n, err := d.cleanSome(t.Context(), time.Hour, 1); n != 1 || err != nil {
		t.Errorf("before, %d rows are removed, %v", n, err)
	}
	do(t, d, "INSERT INTO kv_items VALUES (CAST('a' AS BLOB), CAST('1' AS BLOB), 11, 1)")
	do(t, d, "ALTER TABLE kv_items RENAME TO kept")
	do(t, d, "CREATE VIEW kv_items AS SELECT k, CASE WHEN rev = 12 THEN json('no JSON') ELSE v END AS v, CASE WHEN rev = 12 THEN json('no JSON') ELSE rev END AS rev, until FROM kept")
	if n, err := d.cleanSome(t.Context(), time.Hour, 10); n != 0 || err == nil || number(t, d, "SELECT COUNT(*) FROM kept") != 2 {
		t.Errorf("%d rows are removed, %v", n, err)
	}
	do(t, d, "UPDATE kept SET until = 0")
	failed := 0
	for _, err := range d.List(t.Context(), "", "") {
		if err != nil {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("List has reported %d errors", failed)
	}
	var bad *kv.BatchError
	if _, err := d.GetMany(t.Context(), []string{"a", "b"}); !errors.As(err, &bad) {
		t.Errorf("GetMany: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := d.Watch(ctx, "", 11, &told{until: 1, end: cancel}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
	ws := []*write{{what: add, delta: 1, Write: kv.Write{Key: "a"}}, {what: add, delta: 1, Write: kv.Write{Key: "b"}}}
	tx, err := d.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if rows, err := d.read(t.Context(), tx, ws); err == nil {
		t.Errorf("a transaction has read %d rows", len(rows))
	}
}

// The statement of Get is prepared once.
func TestGetIsPreparedOnce(t *testing.T) {
	d := inMemory(t)
	if _, err := d.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
		t.Fatal(err)
	}
	s := d.quick.Load()
	if _, err := d.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) || s == nil || d.quick.Load() != s {
		t.Errorf("%v, prepared %v, then %v", err, s, d.quick.Load())
	}
}

// Where nothing is dead nothing is done, and who comes too late is told so.
func TestNothingToRemove(t *testing.T) {
	d := inMemory(t)
	for range 2 {
		if n, err := d.cleanSome(t.Context(), time.Hour, 10); n != 0 || err != nil {
			t.Errorf("%d rows are removed, %v", n, err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := d.cleanSome(over, time.Hour, 10); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %d rows are removed, %v", n, err)
	}
	if got := number(t, d, "SELECT cleaned FROM kv_state"); got != 0 {
		t.Errorf("rows up to %d are said to be removed", got)
	}
}
