package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cluster"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/fault"
)

// watched is a node that notes of each Ensure whether its progress is to be told.
type watched struct {
	db.Driver
	told []bool
}

func (w *watched) Ensure(ctx context.Context, t db.TableSpec) error {
	w.told = append(w.told, t.Progress != nil)
	return w.Driver.Ensure(ctx, t)
}

// Who watches an index being built is not called when Table has returned: not for
// a node that gets the index before its first use.
func TestProgressEndsWithTable(t *testing.T) {
	s := newStage(t)
	s.register("a", "fake", cluster.Primary)
	s.register("b", "fake", cluster.Replica)
	a, b := &watched{Driver: memory(t)}, &watched{Driver: memory(t)}
	d := driver(t, s, of(map[string]db.Driver{"a": a, "b": b}), cluster.WithReplicaReads())
	if err := d.Ensure(t.Context(), db.TableSpec{Name: "things", Progress: func(db.IndexProgress) {}}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), "things", "1"); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if !slices.Equal(a.told, []bool{true}) || !slices.Equal(b.told, []bool{false}) {
		t.Errorf("a was told %v and b %v, want of a alone", a.told, b.told)
	}
}

// A transaction of a cluster can do what one of its node can: explain searches, and
// run again when a statement of the user's own collides.
func TestTransactionsHaveTheAbilitiesOfTheirNode(t *testing.T) {
	s := newStage(t)
	s.register("a", "sqlite", cluster.Primary)
	d, err := db.New(cluster.FromDiscovery(s.d, "orders", cluster.WithBackend("sqlite", func(cluster.Node) db.Option { return sql.SQLite(":memory:") })))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Table(t.Context(), "things", db.Index("a")); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		runs++
		x, err := tx.Table(ctx, "things")
		if err != nil {
			return err
		}
		p, err := x.Explain(ctx, db.Where(db.Equal("a", 1)))
		if err != nil || !slices.Equal(p.Indexes, []string{"a"}) {
			t.Errorf("Explain: %+v, %v, want the index a", p, err)
		}
		if runs < 3 {
			return fmt.Errorf("a statement: %w", &pgconn.PgError{Code: "40001"})
		}
		return nil
	})
	if err != nil || runs != 3 {
		t.Errorf("two collisions: ran %d times, %v", runs, err)
	}

	own := errors.New("own")
	runs = 0
	err = d.Tx(t.Context(), func(context.Context, db.DB) error { runs++; return own })
	if !errors.Is(err, own) || runs != 1 {
		t.Errorf("an error that is no collision: ran %d times, %v", runs, err)
	}
}
