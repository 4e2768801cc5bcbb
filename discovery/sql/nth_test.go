package sql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/nth"
)

// Whatever call of the database fails, and however: the caller hears of it, or the
// heartbeats and the followers try again; who has left is out of the registry.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: discovery.ErrUnavailable, Unknown: discovery.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		plain, db := nth.SQLite(t, p)
		before, err := discovery.New(sql.On(enginesql.FromDB(enginesql.SQLite, plain)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := before.Services(t.Context()); err != nil { // makes the tables
			t.Fatal(err)
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		var d discovery.Discovery
		var a, b discovery.Registration
		in := func(id string) discovery.Instance {
			return discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"}
		}
		return nth.World{
			Slow:       true,
			Background: []string{"Exec"}, // heartbeats, and the removal of what is old

			Steps: []nth.Step{
				{Name: "new", Partly: true, Do: func(context.Context) (err error) {
					d, err = discovery.New(sql.On(enginesql.FromDB(enginesql.SQLite, db)))
					return err
				}},
				{Name: "register", Partly: true, Pause: time.Minute, Do: func(ctx context.Context) (err error) {
					a, err = d.Register(ctx, in("a"), discovery.TTL(time.Hour))
					return err
				}},
				{Name: "services", Do: func(ctx context.Context) error {
					all, err := d.Services(ctx)
					if err == nil && len(all) != 1 {
						err = fmt.Errorf("got %v", all)
					}
					return err
				}},
				{Name: "update", Partly: true, Quiet: true, Do: func(ctx context.Context) error {
					return a.Update(ctx, func(in *discovery.Instance) { in.Version = "2" })
				}},
				{Name: "register another", Partly: true, Pause: time.Minute, Do: func(ctx context.Context) (err error) {
					b, err = d.Register(ctx, in("b"), discovery.TTL(time.Hour))
					return err
				}},
				{Name: "deregister", Partly: true, Pause: time.Minute, Do: func(ctx context.Context) error { return b.Deregister(ctx) }},
				{Name: "deregister the first", Partly: true, Pause: time.Minute, Do: func(ctx context.Context) error { return a.Deregister(ctx) }},
				{Name: "close", Once: true, Do: func(context.Context) error { return errors.Join(d.Close(), db.Close()) }},
			},
			State: func() string {
				time.Sleep(time.Minute) // what goes on in the background is done
				return nth.Rows(t, plain, "SELECT service || id FROM discovery_instances WHERE gone = 0 ORDER BY 1")
			},
			End: func() { plain.Close() },
		}
	})
}
