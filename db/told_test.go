package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/db"
)

// unsure is a driver without transactions whose Put loses the answer of one id.
type unsure struct {
	plain
	id string
}

func (u unsure) Put(ctx context.Context, table string, r *db.Record, c db.Condition) error {
	err := u.plain.Put(ctx, table, r, c)
	if err == nil && r.ID == u.id {
		err = db.ErrUnknownOutcome
	}
	return err
}

// A Batch whose first write may have been done does not say that none was.
func TestABatchTellsOfAFirstWriteThatMayBeDone(t *testing.T) {
	d := openOn(t, unsure{plain{openMemory(t)}, "unsure"})
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "taken"}); err != nil {
		t.Fatal(err)
	}
	for first, want := range map[string]error{"unsure": db.ErrUnknownOutcome, "taken": nil} {
		err := tb.Batch(t.Context(), db.CreateOp(&db.Record{ID: first}), db.CreateOp(&db.Record{ID: "next of " + first}))
		var be *db.BatchError
		switch {
		case !errors.As(err, &be) || be.Index != 0:
			t.Errorf("%s: %v, want an error of write 0", first, err)
		case want == nil && be.Errs != nil:
			t.Errorf("%s: it tells %v, want that nothing was done", first, be.Errs)
		case want != nil && (len(be.Errs) != 2 || !errors.Is(be.Errs[0], want) || !errors.Is(be.Errs[1], db.ErrUnavailable)):
			t.Errorf("%s: it tells %v, want %v, and that the other was not tried", first, be.Errs, want)
		}
		if _, err := tb.Read(t.Context(), "next of "+first); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("%s: the next write was done: %v", first, err)
		}
	}
}

// An id of any length is refused with an error that does not repeat it, and one that
// may be is named.
func TestErrorsRepeatNoIDThatCannotBe(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	soft, err := d.Table(t.Context(), "soft", db.SoftDelete(0))
	if err != nil {
		t.Fatal(err)
	}
	for _, tb := range []db.Table{plain, soft} {
		for n, want := range map[int]error{128: db.ErrNotFound, 129: db.ErrTooLarge, 1 << 20: db.ErrTooLarge} {
			id := strings.Repeat("i", n)
			_, read := tb.Read(t.Context(), id)
			_, patched := tb.Patch(t.Context(), id)
			for op, err := range map[string]error{
				"read": read, "patch": patched, "update": tb.Update(t.Context(), &db.Record{ID: id}), "delete": tb.Delete(t.Context(), id),
				"batch": tb.Batch(t.Context(), db.DeleteOp(id)),
			} {
				if !errors.Is(err, want) || len(err.Error()) > 500 || strings.Contains(err.Error(), tb.Name()+"/"+id) != (n == 128) {
					t.Errorf("%s of %d bytes in %s: %.300v, want %v", op, n, tb.Name(), err, want)
				}
			}
		}
	}
}
