package sql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/sql"
)

// Whatever call of the database fails, and however: the store says so, what is
// stored is as before or as after, and the same again succeeds.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: kv.ErrUnavailable, Unknown: kv.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		plain, db := nth.SQLite(t, p)
		var store kv.KV
		want := func(err error, ok bool, got any) error {
			if err == nil && !ok {
				err = fmt.Errorf("got %v", got)
			}
			return err
		}
		return nth.World{
			Slow: true,
			Steps: []nth.Step{
				{Name: "new", Partly: true, Do: func(context.Context) (err error) {
					store, err = kv.New(sql.On(enginesql.FromDB(enginesql.SQLite, db)), kv.WithNamespace("n"))
					return err
				}},
				{Name: "put, and what is cleaned behind it", Quiet: true, Do: func(ctx context.Context) error {
					_, err := store.Put(ctx, "first", []byte("0"))
					synctest.Wait() // for the cleaning, which comes again in a minute
					return err
				}},
				{Name: "put", Do: func(ctx context.Context) error {
					_, err := store.Put(ctx, "a", []byte("1"))
					return err
				}},
				{Name: "put what is not there", Again: []error{kv.ErrExists}, Do: func(ctx context.Context) error {
					_, err := store.Put(ctx, "b", []byte("2"), kv.IfAbsent())
					return err
				}},
				{Name: "get", Do: func(ctx context.Context) error {
					item, err := store.Get(ctx, "a")
					return want(err, string(item.Value) == "1", item)
				}},
				{Name: "get what is not there", Do: func(ctx context.Context) error {
					_, err := store.Get(ctx, "none")
					if errors.Is(err, kv.ErrNotFound) {
						return nil
					}
					return want(err, false, "an item")
				}},
				{Name: "put many", Partly: true, Do: func(ctx context.Context) error {
					return store.PutMany(ctx, map[string][]byte{"c": []byte("4"), "d": []byte("5")})
				}},
				{Name: "get many", Do: func(ctx context.Context) error {
					got, err := store.GetMany(ctx, "a", "c", "d", "none")
					return want(err, len(got) == 3, got)
				}},
				{Name: "add", Do: func(ctx context.Context) error { // makes the counter, and may be done once more
					sum, err := store.Add(ctx, "sum", 0)
					return want(err, sum == 0, sum)
				}},
				{Name: "list", Unbounded: true, Do: func(ctx context.Context) error {
					got := ""
					for item, err := range store.List(ctx, "") {
						if err != nil {
							return err
						}
						got += item.Key + string(item.Value) + " "
					}
					return want(nil, got == "a1 b2 c4 d5 first0 sum0 ", got)
				}},
				{Name: "delete", Do: func(ctx context.Context) error { return store.Delete(ctx, "b") }},
				{Name: "close", Once: true, Do: func(context.Context) error { return errors.Join(store.Close(), db.Close()) }},
			},
			State: func() string {
				return nth.Rows(t, plain, "SELECT k || '=' || v FROM kv_items WHERE v IS NOT NULL ORDER BY k")
			},
			End: func() { plain.Close() },
		}
	})
}
