package sql

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
)

func joinTo(t *testing.T, d *driver, g event.GroupConfig) *member {
	t.Helper()
	g.Name, g.Start = "g", event.Beginning()
	m, err := d.Join(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*member)
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

func fetched(t *testing.T, m *member, limit int) string {
	t.Helper()
	_, ds, err := m.fetch(t.Context(), limit)
	if err != nil {
		t.Errorf("fetch: %v", err)
	}
	var ids []string
	for _, d := range ds {
		ids = append(ids, d.Record.ID+format(int64(d.Attempt)))
	}
	return strings.Join(ids, " ")
}

// When a look without a transaction tells that there is nothing to do.
func TestWhenAMemberHasNothingToDo(t *testing.T) {
	const hour = 3_600_000
	for _, c := range []struct {
		name      string
		exclusive bool
		turn      bool // the member believes that it is its own
		handed    int64
		holder    string
		left      int64 // of the holder's time, in milliseconds
		due       int64 // in how many milliseconds a delivery is; 0: there is none
		idle      bool
	}{
		{"all is handed out", false, false, 2, "", 0, 0, true},
		{"more than all is", false, false, 3, "", 0, 0, true},
		{"one is not", false, false, 1, "", 0, 0, false},
		{"a delivery is due later", false, false, 2, "", 0, hour, true},
		{"a delivery is due", false, false, 2, "", 0, -1000, false},
		{"a holder means nothing to others", false, false, 1, "other", hour, 0, false},
		{"another's turn", true, false, 0, "other", hour, 0, true},
		{"another's turn that is over", true, false, 2, "other", -1000, 0, false},
		{"another's turn, and it does not know", true, true, 2, "other", hour, 0, false},
		{"nobody's turn", true, false, 2, "", hour, 0, false},
		{"its own turn, of which it does not know", true, false, 2, "c", hour, 0, false},
		{"its own turn", true, true, 2, "c", hour, 0, true},
		{"its own turn, not yet to be renewed", true, true, 2, "c", hour * 8 / 10, 0, true},
		{"its own turn, to be renewed", true, true, 2, "c", hour * 7 / 10, 0, false},
		{"its own turn, and one is not handed out", true, true, 1, "c", hour, 0, false},
		{"its own turn, and a delivery is due", true, true, 2, "c", hour, -1000, false},
	} {
		d := inMemory(t)
		put(t, d, "a", "b")
		m := joinTo(t, d, event.GroupConfig{Consumer: "c", AckWait: time.Hour, Exclusive: c.exclusive})
		m.holds.Store(c.turn)
		do(t, d, "UPDATE event_groups SET handed = ?, holder = ?, holder_until = "+d.now()+" + ?", c.handed, c.holder, c.left)
		if c.due != 0 {
			do(t, d, "INSERT INTO event_pending VALUES ('', 'g', 1, 'c', "+d.now()+" + ?, 1)", c.due)
		}
		if last, idle := m.idle(t.Context()); last != c.handed || idle != c.idle {
			t.Errorf("%s: idle %v after %d, want %v after %d", c.name, idle, last, c.idle, c.handed)
		}
		do(t, d, "DELETE FROM event_groups")
		if _, idle := m.idle(t.Context()); idle {
			t.Errorf("%s: of a group that was deleted there is nothing to do", c.name)
		}
	}
}

// A turn is renewed when a quarter of it is over, and not before.
func TestTurnsAreRenewed(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a")
	m := joinTo(t, d, event.GroupConfig{Consumer: "c", AckWait: time.Hour, Exclusive: true})
	fetched(t, m, 1)
	rest := func() time.Duration {
		return time.Duration(number(t, d, "SELECT holder_until - "+d.now()+" FROM event_groups")) * time.Millisecond
	}
	if r, sure := rest(), time.Duration(m.until.Load()-clock()); r < 59*time.Minute || sure < 50*time.Minute || sure > 54*time.Minute {
		t.Errorf("a new turn is for %v, %v are sure, want an hour and nine tenths", r, sure)
	}
	for minutes, renewed := range map[int]bool{50: false, 47: false, 43: true, 1: true} {
		do(t, d, "UPDATE event_groups SET holder_until = "+d.now()+" + ?", minutes*60_000)
		fetched(t, m, 1)
		r, sure := rest(), time.Duration(m.until.Load()-clock())
		if got := r > 55*time.Minute; got != renewed || sure > r-5*time.Minute || sure < r-8*time.Minute {
			t.Errorf("with %d minutes left: %v then, %v are sure, renewed: %v, want %v", minutes, r, sure, got, renewed)
		}
	}
	do(t, d, "UPDATE event_groups SET holder_until = "+d.now()+" + 1")
	m.until.Store(0)
	if err := m.Extend(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if r, sure := rest(), time.Duration(m.until.Load()-clock()); r < 59*time.Minute || sure < 50*time.Minute || sure > 54*time.Minute {
		t.Errorf("after Extend it is for %v, %v are sure", r, sure)
	}
	for name, c := range map[string]struct {
		exclusive, turn bool
		left            time.Duration
		holds           bool
	}{"not alone": {false, false, 0, true}, "in its turn": {true, true, time.Hour, true}, "when it is over": {true, true, 0, false}, "before it": {true, false, time.Hour, false}} {
		m := &member{g: event.GroupConfig{Exclusive: c.exclusive}}
		m.holds.Store(c.turn)
		m.until.Store(clock() + int64(c.left))
		if got := m.Holds(); got != c.holds || c.exclusive && m.holds.Load() != c.holds {
			t.Errorf("%s: Holds = %v, want %v", name, got, c.holds)
		}
	}
}

// The one whose turn it is gets again first, alone, what came back, and what was handed
// out by a call that failed; of a turn that it takes over, all, however few it asks for.
func TestOrderOfATurn(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a", "b", "c")
	m := joinTo(t, d, event.GroupConfig{Consumer: "c", AckWait: time.Hour, Exclusive: true})
	_, ds, err := m.fetch(t.Context(), 2)
	if len(ds) != 2 || err != nil {
		t.Fatal(ds, err)
	}
	if until := number(t, d, "SELECT MIN(until) FROM event_pending"); until != 1<<61 {
		t.Errorf("deliveries are due at %d, want them to last as long as the turn", until)
	}
	if err := m.Release(t.Context(), ds[:1]); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a1", "c1", ""} {
		if got := fetched(t, m, 10); got != want {
			t.Errorf("handed %q, want %q", got, want)
		}
	}
	// A fetch that failed after it was done: m knows of nothing after the second.
	m.known, m.unsure = 2, true
	if got := fetched(t, m, 10); got != "c1" || m.unsure {
		t.Errorf("after a fetch that failed it gets %q, unsure: %v, want the third", got, m.unsure)
	}
	if got := fetched(t, m, 10); got != "" {
		t.Errorf("then it gets %q", got)
	}
	do(t, d, "UPDATE event_groups SET holder_until = 0")
	next := joinTo(t, d, event.GroupConfig{Consumer: "next", AckWait: time.Hour, Exclusive: true})
	for _, want := range []string{"a2", "b2", "c2", ""} {
		if got := fetched(t, next, 1); got != want {
			t.Errorf("the next one gets %q, want %q", got, want)
		}
	}
	// Not alone, what came back and what is new come together.
	both := joinTo(t, inMemory(t), event.GroupConfig{Consumer: "c", AckWait: time.Hour})
	put(t, both.d, "a", "b", "c", "d")
	_, ds, err = both.fetch(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Release(t.Context(), ds[1:]); err != nil {
		t.Fatal(err)
	}
	if got := fetched(t, both, 2); got != "b1 c1" {
		t.Errorf("handed %q, want one again and one that is new", got)
	}
}

// More at once than one statement takes; records that somebody has deleted, and those
// of other types.
func TestManyDeliveries(t *testing.T) {
	const n = 1001
	d := inMemory(t)
	put(t, d, "a")
	do(t, d, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO events SELECT i, 'x', 't', '', '', '', '', 0, 0, 1, NULL, '', NULL FROM n", n)
	m := joinTo(t, d, event.GroupConfig{Consumer: "c", AckWait: time.Hour})
	_, ds, err := m.fetch(t.Context(), 2*n)
	if got := number(t, d, "SELECT COUNT(*) FROM event_pending"); len(ds) != n || got != n || err != nil {
		t.Fatalf("%d deliveries, of which %d are noted, %v", len(ds), got, err)
	}
	if err := m.Ack(t.Context(), ds); err != nil {
		t.Error(err)
	}
	if got := number(t, d, "SELECT COUNT(*) FROM event_pending"); got != 0 {
		t.Errorf("%d are left", got)
	}

	d = inMemory(t)
	put(t, d, "a", "b", "c", "d", "e")
	do(t, d, "DELETE FROM events WHERE seq < 4")
	do(t, d, "UPDATE events SET type = 'dead.x' WHERE seq = 4") // which only groups of dead letters want
	m = joinTo(t, d, event.GroupConfig{Consumer: "c", AckWait: time.Hour})
	if got := fetched(t, m, 2); got != "e1" {
		t.Errorf("handed %q, want the one of its type after those that are gone", got)
	}
	if got := number(t, d, "SELECT handed FROM event_groups"); got != 5 {
		t.Errorf("%d are handed out, want 5", got)
	}
	do(t, d, `UPDATE event_groups SET types = '["u"]'`)
	if _, err := d.Join(t.Context(), event.GroupConfig{Name: "g", Consumer: "x"}); !errors.Is(err, fault.Conflict) {
		t.Errorf("a member of other types: %v", err)
	}
	if _, err := d.Join(t.Context(), event.GroupConfig{Name: "new", Consumer: "x", Start: event.After("x")}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a group that begins at no position: %v", err)
	}
}

// Fetch waits until there is something, looks more often while it waits for its turn,
// and says what is wrong.
func TestFetchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := inMemory(t)
		put(t, d, "a")
		group := func(name string) event.GroupConfig {
			return event.GroupConfig{Consumer: name, AckWait: time.Hour, Exclusive: true}
		}
		first, second := joinTo(t, d, group("first")), joinTo(t, d, group("second"))
		first.g.AckWait, second.g.AckWait = 10*time.Second, 10*time.Second
		if got := fetched(t, first, 1); got != "a1" {
			t.Fatalf("handed %q", got)
		}
		do(t, d, "UPDATE event_groups SET holder_until = holder_until + 3600000") // by the database's clock
		fetch := func(ctx context.Context, m *member) <-chan error {
			done := make(chan error, 1)
			go func() {
				ds, err := m.Fetch(ctx, 10)
				if err == nil && len(ds) == 0 {
					err = errors.New("nothing")
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		waits := fetch(t.Context(), second)
		time.Sleep(10*time.Second + 300*time.Millisecond) // of the bubble
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := <-waits; err != nil || time.Since(begin) > 500*time.Millisecond {
			t.Errorf("the next turn: %v after %v, want a twentieth of AckWait at most", err, time.Since(begin))
		}
		waits = fetch(t.Context(), second)
		begin = time.Now()
		put(t, d, "b")
		if err := <-waits; err != nil || time.Since(begin) > 0 {
			t.Errorf("what was appended here: %v after %v, want at once", err, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		waits = fetch(ctx, second)
		cancel()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Errorf("after the context's end: %v", err)
		}
		waits = fetch(t.Context(), second)
		if err := d.DeleteGroup(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		if err := <-waits; !errors.Is(err, fault.NotFound) {
			t.Errorf("of a group that was deleted: %v", err)
		}
	})
}
