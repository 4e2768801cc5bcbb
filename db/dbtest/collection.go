package dbtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/micro/go-platform/db"
)

func collectionPages(t *testing.T, b *bench) {
	d, tb := b.table(t)
	c, err := db.NewCollection[purchase](tb)
	if err != nil {
		t.Fatal(err)
	}
	old, err := c.Create(t.Context(), "old", purchase{Customer: "bob", Total: 1})
	if err != nil {
		t.Fatal(err)
	}
	old.Value.Total = 2
	ops := []db.Op{c.UpdateOp(old), c.PutOp("put", purchase{Customer: "bob", Total: 3})}
	for i := range 5 {
		ops = append(ops, c.CreateOp(id(i), purchase{Customer: "ann", Total: i, Note: "n"}))
	}
	if err := c.Batch(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	b.settle(t)
	ann := db.Where(db.Equal("owner", "ann"))
	var got []string
	for cursor := ""; ; {
		p, err := c.Search(t.Context(), ann, db.Limit(2), db.After(cursor))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Docs {
			got = append(got, fmt.Sprint(d.ID, d.Value.Total, d.Value.Note, d.Version > 0))
		}
		cursor = p.Next
		if cursor == "" {
			break
		}
	}
	if want := "[id000000ntrue id000011ntrue id000022ntrue id000033ntrue id000044ntrue]"; fmt.Sprint(got) != want {
		t.Errorf("pages of %v, want %v", got, want)
	}
	if d.Features().Count {
		if n, err := c.Count(t.Context(), ann); err != nil || n != 5 {
			t.Errorf("Count = %d, %v, want 5", n, err)
		}
	}
	if d, err := c.Get(t.Context(), "old"); err != nil || d.Value.Total != 2 || d.Version != old.Version+1 {
		t.Errorf("the old one is %+v, %v", d, err)
	}
	wantErr(t, "a batch with an old version", c.Batch(t.Context(), c.UpdateOp(old)), db.ErrConflict)

	f, err := db.NewCollection[func()](tb)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Batch(t.Context(), f.CreateOp("never", func() {}))
	var be *db.BatchError
	if !errors.Is(err, db.ErrInvalid) || !errors.As(err, &be) || be.Index != 0 {
		t.Errorf("a value that JSON has no words for: %v, want ErrInvalid of write 0", err)
	}
	wantErr(t, "an empty document", c.Batch(t.Context(), c.UpdateOp(db.Doc[purchase]{})), db.ErrInvalid)
	wantErr(t, "a bad cursor", errOnly(c.Search(t.Context(), db.After("x"))), db.ErrInvalid)
	if _, err := tb.Read(t.Context(), "never"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("it was written: %v", err)
	}
}
