package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/micro/go-platform/db"
)

// changes checks WithChanges: what is committed is told once, in order, and
// nothing else is committed.
func changes(t *testing.T, b *bench) {
	if d := b.open(t); !d.Features().Transactions {
		t.Skip("without transactions")
	}
	var told []string
	var no error
	d, tb := b.table(t, db.WithChanges(func(_ context.Context, _ db.Execer, cs []db.Change) error {
		for _, c := range cs {
			told = append(told, fmt.Sprintf("%s %s/%s %d %s", c.Kind, c.Table, c.ID, c.Version, c.Record.Data))
		}
		return no
	}))
	check := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", what, told, want)
		}
		told = nil
	}
	r := &db.Record{ID: "1", Data: []byte("a")}
	mustCreate(t, tb, r)
	if r.Version != 1 || r.Created.IsZero() {
		t.Errorf("Create did not fill in the record: %+v", r)
	}
	check("Create", "created things/1 1 a")
	r.Data = []byte("b")
	if err := tb.Update(t.Context(), r); err != nil || r.Version != 2 {
		t.Errorf("Update: %v, version %d, want 2", err, r.Version)
	}
	check("Update", "updated things/1 2 b")
	wantErr(t, "Update of another version", tb.Update(t.Context(), &db.Record{ID: "1", Version: 1}), db.ErrConflict)
	wantErr(t, "Create of what is there", tb.Create(t.Context(), &db.Record{ID: "1"}), db.ErrExists)
	wantErr(t, "Delete of what isn't there", tb.Delete(t.Context(), "0"), db.ErrNotFound)
	wantErr(t, "Delete of another version", tb.Delete(t.Context(), "1", db.IfVersion(1)), db.ErrConflict)
	check("writes that failed")
	err := tb.Batch(t.Context(), db.CreateOp(&db.Record{ID: "2", Data: []byte("c")}), db.UpdateOp(&db.Record{ID: "2", Data: []byte("d")}, db.Upsert()), db.DeleteOp("1"))
	if err != nil {
		t.Errorf("Batch: %v", err)
	}
	check("Batch", "created things/2 1 c", "updated things/2 2 d", "deleted things/1 2 b")

	// What was deleted had version 2, so that new records have a higher one.
	for _, give := range []error{nil, errors.New("given up")} {
		err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			x, err := tx.Table(ctx, "things")
			if err != nil {
				return err
			}
			return errors.Join(x.Create(ctx, &db.Record{ID: "4", Data: []byte("f")}), x.Delete(ctx, "4"), give)
		})
		wantErr(t, "Tx", err, give)
		if give == nil {
			check("Tx", "created things/4 3 f", "deleted things/4 3 f")
		} else {
			check("Tx that was given up")
		}
	}

	no = errors.New("refused")
	wantErr(t, "refused Create", tb.Create(t.Context(), &db.Record{ID: "3"}), no)
	r2 := mustRead(t, tb, "2")
	r2.Data = []byte("e")
	wantErr(t, "refused Update", tb.Update(t.Context(), r2), no)
	if r2.Version != 2 {
		t.Errorf("a refused Update left version %d in the caller's record, want 2", r2.Version)
	}
	wantErr(t, "refused Delete", tb.Delete(t.Context(), "2"), no)
	if got := ids(t, tb); !slices.Equal(got, []string{"2"}) || string(mustRead(t, tb, "2").Data) != "d" {
		t.Errorf("after refused writes there is %q, want the record 2 as it was", got)
	}
}
