package sql_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/sql"
	connsql "github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// byHand runs a test on each database, with a stream and somebody who changes its tables
// by hand: EVENTS is that of the records, STREAM the stream's name.
func byHand(t *testing.T, run func(t *testing.T, s event.Stream, change func(statements ...string)), opts ...event.Option) {
	for name, c := range map[string]connsql.Config{
		"sqlite":   {Kind: connsql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")},
		"mysql":    {Kind: connsql.MySQL, Address: servertest.SharedMariaDB(t).DSN() + "mysql"},
		"postgres": {Kind: connsql.Postgres, Address: servertest.SharedPostgres(t).DSN()},
	} {
		t.Run(name, func(t *testing.T) {
			backend := map[string]event.Option{"sqlite": sql.SQLite(c.Address), "mysql": sql.MySQL(c.Address), "postgres": sql.Postgres(c.Address)}[name]
			ns := "h" + strings.ReplaceAll(event.NewID(), "-", "")[22:]
			s, err := event.New(patient(append(opts, backend, event.WithNamespace(ns))...)...)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(context.Background())
			db, err := connsql.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			run(t, s, func(statements ...string) {
				t.Helper()
				err := connsql.Retry(t.Context(), func() error {
					tx, err := db.BeginTx(t.Context(), nil)
					if err != nil {
						return err
					}
					defer tx.Rollback()
					for _, text := range statements {
						_, err := tx.ExecContext(t.Context(), strings.NewReplacer("EVENTS", "events_"+ns, "STREAM", "'"+ns+"'").Replace(text))
						if err != nil {
							return err
						}
					}
					return tx.Commit()
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A subscription without a group goes on with what is new when the database was
// restored and has lost the last records.
func TestNothingNewIsSkippedAfterTheEndWasLost(t *testing.T) {
	byHand(t, func(t *testing.T, s event.Stream, change func(...string)) {
		got := make(chan string, 100)
		sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.Subject; return nil })
		if err != nil {
			t.Fatal(err)
		}
		next := func(want string) {
			t.Helper()
			select {
			case subject := <-got:
				if subject != want {
					t.Fatalf("handled %s, want %s", subject, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s was skipped", want)
			}
		}
		fill(t, s, 10, func(int) string { return "t" })
		for i := range 10 {
			next(fmt.Sprint(i))
		}
		// The others are of another millisecond, or they would come again.
		change("DELETE FROM EVENTS WHERE seq > 5", "UPDATE EVENTS SET stored = stored - 60000", "UPDATE event_streams SET last = 5 WHERE stream = STREAM")
		for i := range 3 {
			if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: fmt.Sprint("new ", i)}); err != nil {
				t.Fatal(err)
			}
			next(fmt.Sprint("new ", i))
		}
		if n := sub.Stats().Missed; n != 1 {
			t.Errorf("%d records missed, want a gap as one", n)
		}
	})
}

// A record that somebody deleted, and that a consumer of a group had which is gone, is
// none that retention waits for.
func TestRetentionGoesOnPastARecordThatWasDeleted(t *testing.T) {
	byHand(t, func(t *testing.T, s event.Stream, change func(...string)) {
		sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g"))
		if err != nil {
			t.Fatal(err)
		}
		until := func(what string, is func() bool) {
			t.Helper()
			for deadline := time.Now().Add(time.Minute); !is(); <-time.After(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal(what)
				}
			}
		}
		fill(t, s, 2, func(int) string { return "t" })
		until("the first records are not handled", func() bool {
			lag, err := sub.Lag(t.Context())
			return err == nil && lag == event.Lag{}
		})
		change("DELETE FROM EVENTS WHERE seq = 1", "INSERT INTO event_pending (stream, name, seq, consumer, until, attempts) VALUES (STREAM, 'g', 1, 'gone', 0, 1)")
		fill(t, s, 5, func(int) string { return "u" })
		until("more is left than the newest record", func() bool { return len(subjects(t, s)) == 1 })
		if lag, err := sub.Lag(t.Context()); err != nil || lag != (event.Lag{}) {
			t.Errorf("lag %+v, %v, want none", lag, err)
		}
	}, event.WithRetention(event.Retention{Count: 1}), event.WithRetentionEvery(50*time.Millisecond))
}
