package inbox_test

import (
	"context"
	dbsql "database/sql"
	"testing"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/nth"
)

// Whatever call of the database fails, and however: the handler says so, what the record
// asked for is there only if it may have been committed, and handed out again the record
// is handled once.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: event.ErrUnavailable, Unknown: event.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		plain, db := nth.SQLite(t, p)
		if _, err := plain.ExecContext(t.Context(), "CREATE TABLE effects (record TEXT)"); err != nil {
			t.Fatal(err)
		}
		var handle event.Handler
		record := func(id string) func(context.Context) error {
			return func(ctx context.Context) error { return handle(ctx, &event.Record{ID: id, Type: "t"}) }
		}
		return nth.World{
			Background: []string{"Query", "Exec"}, // what is old is removed by the way
			Steps: []nth.Step{
				{Name: "new", Unbounded: true, Partly: true, Do: func(ctx context.Context) error {
					b, err := inbox.New(ctx, engine.FromDB(engine.Dialect(sql.SQLite), db), "orders")
					if err == nil {
						handle = b.Handler(func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error {
							_, err := tx.ExecContext(ctx, "INSERT INTO effects (record) VALUES (?)", r.ID)
							return fault.Wrap("event/inbox", "effect", r.ID, err)
						})
					}
					return err
				}},
				{Name: "handle", Unbounded: true, Do: record("one")},
				{Name: "handle another", Unbounded: true, Do: record("two")},
				{Name: "handle the first again", Unbounded: true, Do: record("one")},
				{Name: "close", Once: true, Do: func(context.Context) error { return db.Close() }},
			},
			State: func() string { return nth.Rows(t, plain, "SELECT record FROM effects ORDER BY rowid") },
			End:   func() { plain.Close() },
		}
	})
}
