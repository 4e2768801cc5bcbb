package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

type purchase struct {
	Customer string    `db:"owner"`
	Total    int       `db:"n"`
	Tags     []string  `db:"c,omitempty"`
	Paid     *bool     `db:"b"`
	At       time.Time `db:"a"`
	Note     string
}

func collection(t *testing.T, b *bench) {
	_, tb := b.table(t)
	c, err := db.NewCollection[purchase](tb)
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	v := purchase{Customer: "ann", Total: 7, Tags: []string{"x", "y"}, Paid: &yes, At: time.Unix(5, 0).UTC(), Note: "n"}
	made, err := c.Create(t.Context(), "", v)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "created again", errOnly(c.Create(t.Context(), made.ID, v)), db.ErrExists)
	got, err := c.Get(t.Context(), made.ID)
	if err != nil || got.Value.Note != "n" || !*got.Value.Paid || got.Version != made.Version {
		t.Fatalf("Get = %+v, %v", got, err)
	}
	if got.Metadata["n"] != int64(7) || got.Metadata["owner"] != "ann" || got.Metadata["b"] != true || !slices.Equal(got.Metadata["c"].([]string), v.Tags) {
		t.Errorf("metadata %v", got.Metadata)
	}
	if _, err := c.Put(t.Context(), "bob", purchase{Customer: "bob", Total: 9}); err != nil {
		t.Fatal(err)
	}
	got.Value.Total = 8
	got, err = c.Update(t.Context(), got)
	if err != nil || got.Version != made.Version+1 {
		t.Fatalf("Update = %+v, %v", got, err)
	}
	_, err = c.Update(t.Context(), made)
	wantErr(t, "Update of an old version", err, db.ErrConflict)
	b.settle(t)
	var found []int
	for d, err := range c.Find(t.Context(), db.Where(db.In("owner", "ann", "bob"))) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, d.Value.Total)
	}
	slices.Sort(found)
	if !slices.Equal(found, []int{8, 9}) {
		t.Errorf("Find: %v", found)
	}
	if err := c.Delete(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Get(t.Context(), "bob")
	wantErr(t, "Get of a deleted one", err, db.ErrNotFound)
	for name, err := range map[string]error{
		"type": errOnly(db.NewCollection[struct {
			F func() `db:"f"`
		}](tb)),
		"key": errOnly(db.NewCollection[struct {
			F string `db:"@id"`
		}](tb)),
		"twice": errOnly(db.NewCollection[struct {
			A, B string `db:"f"`
		}](tb)),
		"option": errOnly(db.NewCollection[struct {
			A string `db:"f,x"`
		}](tb)),
		"table": errOnly(db.NewCollection[int](nil)),
	} {
		wantErr(t, name, err, db.ErrInvalid)
	}
}

func errOnly[T any](_ T, err error) error { return err }

func modify(t *testing.T, b *bench) {
	_, tb := b.table(t)
	c, err := db.NewCollection[purchase](tb)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Put(t.Context(), "x", purchase{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := c.Modify(context.Background(), "x", func(o *purchase) error { o.Total++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if d, err := c.Get(t.Context(), "x"); err != nil || d.Value.Total != 40 || d.Version != first.Version+40 {
		t.Errorf("after 40 times: %+v, %v", d, err)
	}
	boom := errors.New("boom")
	_, err = c.Modify(t.Context(), "x", func(o *purchase) error { o.Total = 0; return boom })
	wantErr(t, "an error of the function", err, boom)
	_, err = c.Modify(t.Context(), "none", func(*purchase) error { return nil })
	wantErr(t, "nothing to modify", err, db.ErrNotFound)
	if d, _ := c.Get(t.Context(), "x"); d.Value.Total != 40 {
		t.Errorf("an error wrote %d", d.Value.Total)
	}
}

func apart(t *testing.T, b *bench) {
	d, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}})
	for name, other := range map[string]db.Table{"table": openTable(t, d, "others"), "namespace": openTable(t, b.openIn(t, b.ns[:len(b.ns)-1]), "things")} {
		_, err := other.Read(t.Context(), "x")
		wantErr(t, "other "+name, err, db.ErrNotFound)
		mustCreate(t, other, &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}})
		b.settle(t)
		if got := ids(t, other, db.Where(db.Equal("a", "v"))); len(got) != 1 {
			t.Errorf("other %s finds %v", name, got)
		}
		if err := other.Delete(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	mustRead(t, tb, "x")
}

func concurrentOpen(t *testing.T, b *bench) {
	d := b.open(t)
	var wg sync.WaitGroup
	for i := range 6 {
		d := d
		if fs := d.Features(); i%2 == 1 && (fs.Shared || fs.Durable) {
			d = b.open(t)
		}
		wg.Go(func() {
			tb, err := d.Table(context.Background(), "things", db.Index("a"), db.Index(fmt.Sprint("k", i)))
			if err == nil {
				err = tb.Create(context.Background(), &db.Record{ID: id(i), Metadata: map[string]any{"a": "v"}})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.settle(t)
	if got := ids(t, openTable(t, d, "things"), db.Where(db.Equal("a", "v"))); len(got) != 6 {
		t.Errorf("one table has %v, want all six", got)
	}
}

func reopen(t *testing.T, b *bench) {
	d, tb := b.table(t)
	if fs := d.Features(); !fs.Durable && !fs.Shared {
		t.Skip("the tables live in their process")
	}
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}, Data: []byte("d")}
	mustCreate(t, tb, r)
	d.Close()
	tb = openTable(t, b.open(t), "things")
	compare(t, mustRead(t, tb, "x"), r)
	if got := ids(t, tb, db.Where(db.Equal("a", "v"))); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}

func cancelled(t *testing.T, b *bench) {
	d, tb := b.table(t)
	first := &db.Record{ID: "x"}
	mustCreate(t, tb, first)
	c, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := tb.Read(c, "x")
	_, searchErr := tb.Search(c)
	_, tableErr := d.Table(c, "others")
	for what, err := range map[string]error{
		"Read": readErr, "Search": searchErr, "Table": tableErr, "Ping": d.Ping(c), "Create": tb.Create(c, &db.Record{ID: "y"}),
		"Update": tb.Update(c, &db.Record{ID: "x"}, db.Force()), "Delete": tb.Delete(c, "x"), "Batch": tb.Batch(c, db.DeleteOp("x")),
	} {
		wantErr(t, what, err, context.Canceled)
	}
	if mustRead(t, tb, "x").Version != first.Version {
		t.Error("a cancelled call wrote")
	}
	if !d.Features().Transactions {
		return
	}
	// A call that waits for another's transaction returns with its context.
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		x := openTable(t, tx, "things")
		if err := x.Update(ctx, &db.Record{ID: "x"}, db.Force()); err != nil {
			return err
		}
		c, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := tb.Update(c, &db.Record{ID: "x"}, db.Force()); err == nil {
			t.Error("a write passed an open transaction that wrote the same record")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := mustRead(t, tb, "x").Version; v != first.Version+1 {
		t.Errorf("version %d, want one write: the call that gave up must not have written", v)
	}
}

func afterClose(t *testing.T, b *bench) {
	d, tb := b.table(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, readErr := tb.Read(t.Context(), "x")
	_, searchErr := tb.Search(t.Context())
	_, countErr := tb.Count(t.Context())
	_, tableErr := d.Table(t.Context(), "others")
	var allErr error
	for _, err := range tb.All(t.Context()) {
		allErr = err
	}
	for what, err := range map[string]error{
		"Read": readErr, "Search": searchErr, "Count": countErr, "Table": tableErr, "All": allErr, "Ping": d.Ping(t.Context()),
		"Create": tb.Create(t.Context(), &db.Record{ID: "y"}), "Update": tb.Update(t.Context(), &db.Record{ID: "x"}), "Delete": tb.Delete(t.Context(), "x"),
		"Batch": tb.Batch(t.Context(), db.DeleteOp("x")),
	} {
		if errors.Is(err, db.ErrUnsupported) {
			continue
		}
		wantErr(t, what, err, db.ErrClosed)
	}
	if d.Features().Transactions {
		wantErr(t, "Tx", d.Tx(t.Context(), func(context.Context, db.DB) error { return nil }), db.ErrClosed)
	}
}

func restart(t *testing.T, b *bench) {
	if b.Restart == nil {
		t.Skip("no server to restart")
	}
	d := b.open(t, db.WithTimeout(3*time.Second))
	patient, cancel := context.WithTimeout(t.Context(), time.Minute) // some servers take their time to make a table
	defer cancel()
	tb, err := d.Table(patient, "things", db.Index("a"))
	if err == nil {
		err = tb.Create(patient, &db.Record{ID: "x", Metadata: map[string]any{"a": "v"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Restart(t)
	eventually(t, "reads work again", func() bool { got, err := tb.Read(t.Context(), "x"); return err == nil && got.Metadata["a"] == "v" })
	eventually(t, "writes work again", func() bool {
		err := tb.Update(t.Context(), &db.Record{ID: "x", Metadata: map[string]any{"a": "w"}}, db.Force())
		return err == nil
	})
	b.settle(t)
	if got := ids(t, tb, db.Where(db.Equal("a", "w"))); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}
