package outbox_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/nth"
)

// plannedStream is a stream behind a plan.
type plannedStream struct {
	event.Stream
	p nth.Plan
}

func (s plannedStream) Publish(ctx context.Context, records ...*event.Record) error {
	return nth.Write(ctx, s.p, "Publish", func() error { return s.Stream.Publish(ctx, records...) })
}

// plannedTx is a transaction behind a plan.
type plannedTx struct {
	*dbsql.Tx
	p nth.Plan
}

func (x plannedTx) ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error) {
	return nth.Change(ctx, x.p, "Exec of the transaction", func() (dbsql.Result, error) { return x.Tx.ExecContext(ctx, query, args...) })
}

// Whatever call of the database or the stream fails, and however: what was committed is
// in the stream in the end, in its order, and the table is empty; what was rolled back is not.
func TestEveryCallMayFail(t *testing.T) {
	path := t.TempDir()
	n := 0
	nth.Run(t, nth.Promises{Unavailable: event.ErrUnavailable, Unknown: event.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		n++
		dsn := "file:" + filepath.Join(path, fmt.Sprint(n, ".db")) + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)"
		plain, err := dbsql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		db := nth.SQL(p, plain.Driver(), dsn)
		s, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		var box *outbox.Outbox
		ids := func() (all []string) {
			for r, err := range s.Query(context.WithoutCancel(t.Context())) {
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(all, r.ID) { // again, when an answer was lost
					all = append(all, r.ID)
				}
			}
			return all
		}
		publish := func(id ...string) func(context.Context) error {
			return func(ctx context.Context) error {
				tx, err := plain.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				var list []*event.Record
				for _, one := range id {
					list = append(list, &event.Record{ID: one, Type: "t"})
				}
				if err := box.Publish(ctx, plannedTx{tx, p}, list...); err != nil {
					return err
				}
				return tx.Commit()
			}
		}
		return nth.World{
			Background: []string{"Exec", "Query", "Publish"},
			Steps: []nth.Step{
				{Name: "new", Unbounded: true, Partly: true, Do: func(ctx context.Context) (err error) {
					box, err = outbox.New(ctx, engine.FromDB(engine.Dialect(sql.SQLite), db), outbox.WithTurn(10*time.Millisecond))
					return err
				}},
				{Name: "publish", Unbounded: true, Do: publish("1", "2")},
				{Name: "publish another", Unbounded: true, Do: publish("3")},
				{Name: "relay", Do: func(ctx context.Context) error {
					ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
					ended := make(chan error, 1)
					go func() { ended <- box.Relay(ctx, plannedStream{s, p}) }()
					left := -1
					for range 600 {
						time.Sleep(time.Second)
						err := plain.QueryRowContext(ctx, "SELECT COUNT(*) FROM event_outbox").Scan(&left)
						if err != nil || left == 0 {
							break
						}
					}
					stop()
					if err := <-ended; !errors.Is(err, context.Canceled) {
						return fmt.Errorf("Relay ended with %w", err)
					}
					if left != 0 {
						return fmt.Errorf("%d rows are left after ten minutes", left)
					}
					return nil
				}},
				{Name: "pending", Unbounded: true, Do: func(ctx context.Context) error {
					waiting, refused, err := box.Pending(ctx)
					if err == nil && waiting+refused > 0 {
						err = fmt.Errorf("%d wait and %d were refused", waiting, refused)
					}
					return err
				}},
				{Name: "close", Once: true, Do: func(context.Context) error { return db.Close() }},
			},
			State: func() string {
				if box == nil {
					return ""
				}
				return strings.Join(ids(), " ")
			},
			End: func() {
				plain.Close()
				s.Close(context.WithoutCancel(t.Context()))
			},
		}
	})
}
