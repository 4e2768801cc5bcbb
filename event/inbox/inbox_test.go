package inbox_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func each(t *testing.T, f func(t *testing.T, db *dbsql.DB, e *engine.Engine, kind sql.Kind)) {
	for name, c := range map[string]struct {
		kind sql.Kind
		addr func(t *testing.T) string
	}{
		"sqlite":   {sql.SQLite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "x.db") }},
		"mysql":    {sql.MySQL, func(t *testing.T) string { return servertest.SharedMariaDB(t).DSN() + "mysql" }},
		"postgres": {sql.Postgres, func(t *testing.T) string { return servertest.SharedPostgres(t).DSN() }},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			db, err := sql.Open(sql.Config{Kind: c.kind, Address: c.addr(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			f(t, db.DB, engine.FromDB(engine.Dialect(c.kind), db.DB), c.kind)
		})
	}
}

func open(t *testing.T, e *engine.Engine, name string, opts ...inbox.Option) *inbox.Inbox {
	t.Helper()
	b, err := inbox.New(t.Context(), e, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// counter makes a table of one counter, and returns what adds to it and what
// reads it.
func counter(t *testing.T, db *dbsql.DB, kind sql.Kind) (add func(context.Context, *dbsql.Tx, *event.Record) error, value func() int) {
	t.Helper()
	table := "counter_" + strings.ReplaceAll(servertest.Namespace(t), "-", "_")
	for _, q := range []string{"CREATE TABLE " + table + " (n BIGINT NOT NULL)", "INSERT INTO " + table + " (n) VALUES (0)"} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	add = func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error {
		_, err := tx.ExecContext(ctx, "UPDATE "+table+" SET n = n + 1")
		return err
	}
	return add, func() (n int) {
		if err := db.QueryRowContext(t.Context(), "SELECT n FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func TestRecordsAreHandledOnce(t *testing.T) {
	each(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine, kind sql.Kind) {
		name := servertest.Namespace(t)
		add, value := counter(t, db, kind)
		s, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		sub, err := s.Subscribe(t.Context(), open(t, e, name).Handler(add), event.Group("g"), event.Concurrency(4), event.Backoff(time.Millisecond, 10*time.Millisecond), event.MaxAttempts(0))
		if err != nil {
			t.Fatal(err)
		}
		const ids, copies = 20, 4
		for i := range ids * copies {
			if err := s.Publish(t.Context(), &event.Record{ID: fmt.Sprint(i % ids), Type: "t", Source: "s"}); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "all are handled", func() bool { return sub.Stats().Handled == ids*copies })
		if n := value(); n != ids {
			t.Errorf("%d records in %d copies were handled %d times, want once each", ids, copies, n)
		}
		// Another source, another purpose: other records.
		for what, h := range map[string]event.Handler{"another source": open(t, e, name).Handler(add), "another name": open(t, e, name+"2").Handler(add)} {
			r := &event.Record{ID: "0", Type: "t", Source: "s"}
			if what == "another source" {
				r.Source = "other"
			}
			before := value()
			for range 2 {
				if err := h(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if n := value() - before; n != 1 {
				t.Errorf("%s: handled %d times, want once", what, n)
			}
		}
	})
}

func TestWhatFailsIsHandledAgain(t *testing.T) {
	each(t, func(t *testing.T, db *dbsql.DB, e *engine.Engine, kind sql.Kind) {
		add, value := counter(t, db, kind)
		fail := errors.New("not yet")
		var calls atomic.Int64
		h := open(t, e, servertest.Namespace(t)).Handler(func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error {
			if err := add(ctx, tx, r); err != nil {
				return err
			}
			switch calls.Add(1) {
			case 1:
				return fail
			case 2:
				panic(fail)
			}
			return nil
		})
		try := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = p.(error)
				}
			}()
			return h(t.Context(), &event.Record{ID: "1", Type: "t"})
		}
		for i, want := range []error{fail, fail, nil, nil} {
			if err := try(); !errors.Is(err, want) {
				t.Errorf("attempt %d: %v, want %v", i+1, err, want)
			}
			if n, committed := value(), i >= 2; committed != (n == 1) {
				t.Errorf("after attempt %d the counter is %d", i+1, n)
			}
		}
		if n := calls.Load(); n != 3 {
			t.Errorf("the function was called %d times, want 3", n)
		}
	})
}

func TestNotesAreForgottenAfterKeep(t *testing.T) {
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	calls := 0
	h := open(t, engine.FromDB(engine.SQLite, db.DB), "g", inbox.WithKeep(time.Second)).Handler(func(context.Context, *dbsql.Tx, *event.Record) error { calls++; return nil })
	first := time.Now()
	until(t, "a repetition is handled again", func() bool {
		if err := h(t.Context(), &event.Record{ID: "1", Type: "t"}); err != nil {
			t.Fatal(err)
		}
		return calls == 2
	})
	if d := time.Since(first); d < time.Second {
		t.Errorf("handled again after %v, want a second or more", d)
	}
	rows := 0
	if err := db.QueryRow("SELECT COUNT(*) FROM event_inbox WHERE name = 'g'").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d notes, %v, want the last one", rows, err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
