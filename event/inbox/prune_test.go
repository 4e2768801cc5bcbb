package inbox_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/internal/fault"
)

// onSQLite calls f in a bubble, with a database of its own.
func onSQLite(t *testing.T, f func(t *testing.T, db *dbsql.DB, e *engine.Engine)) {
	synctest.Test(t, func(t *testing.T) {
		db, err := dbsql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "x.db")+"?_pragma=busy_timeout(5000)&_pragma=synchronous(off)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		f(t, db, engine.FromDB(engine.SQLite, db))
	})
}

// age adds some notes that are as old.
func age(t *testing.T, db *dbsql.DB, some int, old time.Duration) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO event_inbox (name, record, handled) SELECT 'g', 'old' || i, ? FROM n", some, time.Now().Add(-old).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
}

func oldOnes(t *testing.T, db *dbsql.DB) (n int) {
	t.Helper()
	err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM event_inbox WHERE record LIKE 'old%'").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func nothing(context.Context, *dbsql.Tx, *event.Record) error { return nil }

func TestOldNotesAreLookedForOnceInAHundredthOfTheTime(t *testing.T) {
	onSQLite(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
		h := open(t, e, "g", inbox.WithKeep(100*time.Second)).Handler(nothing)
		for i, c := range []struct {
			wait time.Duration
			left int
		}{{0, 0}, {999 * time.Millisecond, 1}, {time.Millisecond, 0}, {1001 * time.Millisecond, 0}} {
			time.Sleep(c.wait)
			if oldOnes(t, db) == 0 {
				age(t, db, 1, time.Hour)
			}
			if err := h(t.Context(), &event.Record{ID: "1", Type: "t"}); err != nil {
				t.Fatal(err)
			}
			if n := oldOnes(t, db); n != c.left {
				t.Errorf("call %d, %v later: %d old notes, want %d", i, c.wait, n, c.left)
			}
		}
	})
}

// A note is forgotten when it is older than that, whatever their number.
func TestAllThatIsTooOldIsForgotten(t *testing.T) {
	for _, c := range []struct {
		some, left int
		old        time.Duration
	}{
		{1, 1, 100*time.Second - time.Millisecond},
		{1, 1, 100 * time.Second},
		{1, 0, 100*time.Second + time.Millisecond},
		{499, 0, time.Hour}, {500, 0, time.Hour}, {501, 0, time.Hour}, {1001, 0, time.Hour},
	} {
		onSQLite(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
			h := open(t, e, "g", inbox.WithKeep(100*time.Second)).Handler(nothing)
			age(t, db, c.some, c.old)
			if err := h(t.Context(), &event.Record{ID: "1", Type: "t"}); err != nil {
				t.Fatal(err)
			}
			if n := oldOnes(t, db); n != c.left {
				t.Errorf("%d notes of %v: %d are left, want %d", c.some, c.old, n, c.left)
			}
		})
	}
}

// A handler does not wait for, and does not fail with, what can't be forgotten.
func TestNotesThatCannotBeRemovedHoldUpNothing(t *testing.T) {
	for _, some := range []int{1, 500} {
		onSQLite(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
			h := open(t, e, "g", inbox.WithKeep(100*time.Second)).Handler(nothing)
			age(t, db, some, time.Hour)
			if _, err := db.ExecContext(t.Context(), "CREATE TRIGGER kept BEFORE DELETE ON event_inbox BEGIN SELECT RAISE(ABORT, 'kept'); END"); err != nil {
				t.Fatal(err)
			}
			if err := h(t.Context(), &event.Record{ID: "1", Type: "t"}); err != nil {
				t.Errorf("%d notes that stay: %v", some, err)
			}
			if n := oldOnes(t, db); n != some {
				t.Errorf("%d old notes, want %d", n, some)
			}
		})
	}
}

// refuses is a transaction in which a kind of statement fails.
type refuses struct {
	inbox.Execer
	what string
	err  error
}

func (r refuses) ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error) {
	if strings.HasPrefix(query, r.what) {
		return nil, r.err
	}
	return r.Execer.ExecContext(ctx, query, args...)
}

// silent is a transaction that does not say how many rows it has changed.
type silent struct {
	inbox.Execer
	err error
}

type silentResult struct {
	dbsql.Result
	err error
}

func (r silentResult) RowsAffected() (int64, error) { return 0, r.err }

func (s silent) ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error) {
	res, err := s.Execer.ExecContext(ctx, query, args...)
	return silentResult{res, s.err}, err
}

// After a statement that failed the caller must not commit, so Note tells it.
func TestNoteTellsWhatFailedInTheTransaction(t *testing.T) {
	broken := errors.New("broken")
	for name, in := range map[string]func(inbox.Execer) inbox.Execer{
		"":       func(tx inbox.Execer) inbox.Execer { return tx },
		"insert": func(tx inbox.Execer) inbox.Execer { return refuses{tx, "INSERT", broken} },
		"delete": func(tx inbox.Execer) inbox.Execer { return refuses{tx, "DELETE", broken} },
		"rows":   func(tx inbox.Execer) inbox.Execer { return silent{tx, broken} },
	} {
		onSQLite(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
			box := open(t, e, "g")
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			_, err = box.Note(t.Context(), in(tx), &event.Record{ID: "1", Type: "t"})
			if errors.Is(err, broken) != (name != "") || name == "" && err != nil {
				t.Errorf("%q fails: Note = %v", name, err)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	onSQLite(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine) {
		long := strings.Repeat("g", 255)
		for _, c := range []struct {
			e    *engine.Engine
			name string
			opts []inbox.Option
			want string
		}{
			{e, long, []inbox.Option{inbox.WithKeep(time.Second)}, ""},
			{e, long + "g", nil, "256 bytes"},
			{e, "", nil, "0 bytes"},
			{e, "g", []inbox.Option{nil}, "option 1 is nil"},
			{e, "g", []inbox.Option{inbox.WithKeep(time.Second - 1)}, "keep for 999.999999ms"},
			{nil, "g", nil, "engine"},
			{engine.FromDB(0, db), "g", nil, "dialect"},
		} {
			_, err := inbox.New(t.Context(), c.e, c.name, c.opts...)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, event.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%.10q: %v, want %q", c.name, err, c.want)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := inbox.New(t.Context(), e, "g"); err == nil || fault.KindOf(err) == fault.Invalid {
			t.Errorf("a closed database: %v", err)
		}
	})
}
