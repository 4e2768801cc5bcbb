package sql_test

import (
	"context"
	"errors"
	"testing"
	"time"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/nth"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/sql"
)

// Whatever call of the database fails, and however: the caller hears of it, and
// nothing is left that holds.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: dsync.ErrUnavailable, Unknown: dsync.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		plain, db := nth.SQLite(t, p)
		var (
			s    dsync.Sync
			lead dsync.Leader
		)
		hold := func(take func(ctx context.Context) (dsync.Lock, error)) func(context.Context) error {
			return func(ctx context.Context) error {
				l, err := take(ctx)
				if err != nil {
					return err
				}
				if err := l.Context().Err(); err != nil {
					t.Errorf("a lock that was just taken is lost: %v", err)
				}
				return l.Unlock(ctx)
			}
		}
		return nth.World{
			Slow: true,
			Steps: []nth.Step{
				{Name: "new", Partly: true, Do: func(context.Context) (err error) {
					s, err = dsync.New(sql.On(enginesql.FromDB(enginesql.SQLite, db)))
					if err == nil {
						lead, err = s.Leader("l")
					}
					return err
				}},
				{Name: "try", Pause: time.Minute, Do: hold(func(ctx context.Context) (dsync.Lock, error) { return s.TryLock(ctx, "a") })},
				{Name: "permit", Pause: time.Minute, Do: hold(func(ctx context.Context) (dsync.Lock, error) { return s.Semaphore(ctx, "p", 2) })},
				{Name: "elect", Pause: time.Minute, Do: func(ctx context.Context) error {
					e, err := lead.Elect(ctx)
					if err != nil {
						return err
					}
					defer e.Resign(context.WithoutCancel(ctx))
					who, err := lead.Leader(ctx)
					if err == nil && who.Token != e.Token() {
						err = errors.New("another leads")
					}
					if err != nil {
						return err
					}
					return e.Resign(context.WithoutCancel(ctx))
				}},
				{Name: "list", Do: func(ctx context.Context) error {
					for _, err := range s.List(ctx) {
						if err != nil {
							return err
						}
					}
					return nil
				}},
				{Name: "close", Once: true, Do: func(context.Context) error { return errors.Join(s.Close(), db.Close()) }},
			},
			State: func() string {
				time.Sleep(time.Minute) // what goes on in the background is done
				return nth.Rows(t, plain, "SELECT k FROM sync_claims WHERE token > 0 AND until > CAST(unixepoch('subsec') * 1000 AS INTEGER)")
			},
			End: func() { plain.Close() },
		}
	})
}
