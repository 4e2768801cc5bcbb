package sql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/micro/go-platform/config/store"
	storesql "github.com/micro/go-platform/config/store/sql"
	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/nth"
)

// Whatever call of the database fails, and however: the store says so, what is
// stored is as before or as after, and the same again succeeds.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: store.ErrUnavailable, Unknown: store.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		plain, db := nth.SQLite(t, p)
		before, err := store.New(storesql.On(engine.FromDB(engine.SQLite, plain))) // makes the table
		if err != nil {
			t.Fatal(err)
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		var s store.Store
		write := func(f func(context.Context) (store.Version, error)) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := f(ctx)
				return err
			}
		}
		return nth.World{
			Slow: true,
			Steps: []nth.Step{
				{Name: "new", Partly: true, Do: func(context.Context) (err error) {
					s, err = store.New(storesql.On(engine.FromDB(engine.SQLite, db)))
					return err
				}},
				{Name: "put", Quiet: true, Do: write(func(ctx context.Context) (store.Version, error) { return s.Put(ctx, "a", map[string]any{"x": 1}) })},
				{Name: "set", Quiet: true, Do: write(func(ctx context.Context) (store.Version, error) { return s.Set(ctx, "a", "y", 2) })},
				{Name: "get", Do: func(ctx context.Context) error {
					d, err := s.Get(ctx, "a")
					if err == nil && d.Get("y").Int(0) != 2 {
						err = fmt.Errorf("got %v", d)
					}
					return err
				}},
				{Name: "at", Do: func(ctx context.Context) error {
					_, err := s.At(ctx, "a", 1)
					return err
				}},
				{Name: "namespaces", Do: func(ctx context.Context) error {
					all, err := s.Namespaces(ctx)
					if err == nil && len(all) != 1 {
						err = fmt.Errorf("got %v", all)
					}
					return err
				}},
				{Name: "history", Do: func(ctx context.Context) error {
					n := 0
					for _, err := range s.History(ctx, store.Query{Namespace: "a"}) {
						if err != nil {
							return err
						}
						n++
					}
					if n != 2 {
						return fmt.Errorf("%d versions", n)
					}
					return nil
				}},
				{Name: "delete", Quiet: true, Again: []error{store.ErrNotFound}, Do: write(func(ctx context.Context) (store.Version, error) { return s.Delete(ctx, "a") })},
				{Name: "close", Once: true, Do: func(context.Context) error { return errors.Join(s.Close(), db.Close()) }},
			},
			State: func() string {
				return nth.Rows(t, plain, "SELECT namespace || number || COALESCE(CAST(data AS TEXT), '') || deleted FROM config_versions ORDER BY namespace, number")
			},
			End: func() { plain.Close() },
		}
	})
}
