package dbtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// patches checks partial updates: each of many at once is in the result.
func patches(t *testing.T, b *bench) {
	d, tb := b.table(t)
	r := &db.Record{ID: "x", Metadata: map[string]any{"a": "v", "n": 1, "b": 1.5, "c": []string{"l"}}, Data: []byte("d"), ContentType: "text/plain"}
	mustCreate(t, tb, r)
	got, err := tb.Patch(t.Context(), "x", db.Set("a", "w"), db.Unset("c", "none"), db.Increment("n", 2), db.Increment("b", 1), db.Increment("new", -3))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": "w", "n": int64(3), "b": 2.5, "new": int64(-3)}
	if fmt.Sprint(got.Metadata) != fmt.Sprint(want) || got.Version != r.Version+1 || string(got.Data) != "d" || got.ContentType != "text/plain" {
		t.Errorf("Patch returned %+v, want %v and the rest as it was", got, want)
	}
	compare(t, mustRead(t, tb, "x"), got)
	got, err = tb.Patch(t.Context(), "x", db.SetData([]byte("e"), "text/html"))
	if err != nil || string(got.Data) != "e" || got.ContentType != "text/html" || got.Metadata["a"] != "w" {
		t.Errorf("Patch of data: %+v, %v", got, err)
	}
	b.settle(t)
	for value, n := range map[string]int{"v": 0, "w": 1} {
		if found := ids(t, tb, db.Where(db.Equal("a", value))); len(found) != n {
			t.Errorf("a search for %q finds %v", value, found)
		}
	}
	before := mustRead(t, tb, "x")
	for name, e := range map[string]db.Edit{
		"a text incremented": db.Increment("a", 1), "by a text": db.Increment("n", "1"), "too much": db.Increment("n", int64(math.MaxInt64)), "too little": db.Increment("new", int64(math.MinInt64)),
		"empty": {}, "value": db.Set("a", nil), "key": db.Set("@id", 1), "key of an increment": db.Increment("", 1), "infinity": db.Increment("b", math.Inf(1)),
	} {
		_, err := tb.Patch(t.Context(), "x", db.Set("a", "half"), e)
		wantErr(t, name, err, db.ErrInvalid)
	}
	compare(t, mustRead(t, tb, "x"), before)
	if got, err := tb.Patch(t.Context(), "x", db.Increment("n", int64(math.MaxInt64-3))); err != nil || got.Metadata["n"] != int64(math.MaxInt64) {
		t.Errorf("the greatest sum: %v, %v", got, err)
	}
	_, err = tb.Patch(t.Context(), "none", db.Set("a", 1))
	wantErr(t, "Patch of nothing", err, db.ErrNotFound)
	_, err = tb.Patch(t.Context(), "", db.Set("a", 1))
	wantErr(t, "Patch without an id", err, db.ErrInvalid)

	mustCreate(t, tb, &db.Record{ID: "many"})
	const workers, each = 4, 10
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				if _, err := tb.Patch(context.Background(), "many", db.Increment("n", 1), db.Increment(fmt.Sprint("w", w), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if md := mustRead(t, tb, "many").Metadata; md["n"] != int64(workers*each) || md["w3"] != int64(each) {
		t.Errorf("after %d increments: %v", workers*each, md)
	}
	if !d.Features().Transactions {
		return
	}
	err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		_, err := openTable(t, tx, "things").Patch(ctx, "many", db.Increment("n", 1))
		return err
	})
	if n := mustRead(t, tb, "many").Metadata["n"]; err != nil || n != int64(workers*each+1) {
		t.Errorf("in a transaction: %v, %v", n, err)
	}
}

// selects checks that a projection has what it asks for, and pages as the whole
// search does.
func selects(t *testing.T, b *bench) {
	_, tb := b.table(t)
	for i := range 5 {
		mustCreate(t, tb, &db.Record{ID: id(i), Metadata: map[string]any{"owner": "ann", "n": i, "s": "x"}, Data: []byte("d"), ContentType: "text/plain"})
	}
	b.settle(t)
	var got []string
	for r, err := range tb.All(t.Context(), db.Where(db.Equal("owner", "ann")), db.OrderBy("-n"), db.Limit(2), db.Select("s", "none")) {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Data) != 0 || r.ContentType != "" || fmt.Sprint(r.Metadata) != "map[s:x]" || r.Created.IsZero() {
			t.Errorf("selected %+v, want the key s alone", r)
		}
		got = append(got, r.ID)
		wantErr(t, "Update of a part", tb.Update(t.Context(), r), db.ErrConflict)
	}
	if fmt.Sprint(got) != fmt.Sprint([]string{id(4), id(3), id(2), id(1), id(0)}) {
		t.Errorf("in the order %v", got)
	}
	p, err := tb.Search(t.Context(), db.Where(db.Equal("owner", "ann")), db.Select())
	if err != nil || len(p.Records) != 5 || p.Records[0].Metadata != nil {
		t.Errorf("selected nothing: %d records, %v", len(p.Records), err)
	}
	_, err = tb.Search(t.Context(), db.Select(""))
	wantErr(t, "an empty key", err, db.ErrInvalid)
	if r := mustRead(t, tb, id(0)); string(r.Data) != "d" || r.Metadata["n"] != int64(0) {
		t.Errorf("the record is now %+v", r)
	}
}

// fifty has fifty writers change one record, and each one of its own, at once. A
// backend may say of some, which contended for long, that it does not know; of the
// others each is done once.
func fifty(t *testing.T, b *bench) {
	d, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "all"})
	const writers = 50
	var wg sync.WaitGroup
	var known [writers]bool
	for w := range writers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			own := &db.Record{Metadata: map[string]any{"owner": "w", "n": w}}
			err := tb.Create(ctx, own)
			if err == nil {
				own.Data = []byte("again")
				err = tb.Update(ctx, own)
			}
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
			_, err = tb.Patch(ctx, "all", db.Increment("n", 1), db.Set("w"+fmt.Sprint(w), true))
			known[w] = err == nil
			if err != nil && !errors.Is(err, db.ErrUnknownOutcome) {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	wg.Wait()
	r := mustRead(t, tb, "all")
	if r.Metadata["n"] != int64(len(r.Metadata)-1) {
		t.Errorf("%d writers are seen, and the sum is %v", len(r.Metadata)-1, r.Metadata["n"])
	}
	done := 0
	for w, ok := range known {
		if ok {
			done++
			if r.Metadata["w"+fmt.Sprint(w)] != true {
				t.Errorf("writer %d is lost", w)
			}
		}
	}
	if done == 0 || d.Features().Transactions && done < writers {
		t.Errorf("%d of %d writers know that they are done", done, writers)
	}
	b.settle(t)
	n := 0
	for r, err := range tb.All(t.Context(), db.Where(db.Equal("owner", "w"))) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if string(r.Data) != "again" {
			t.Errorf("%s has %q", r.ID, r.Data)
		}
	}
	if n != writers {
		t.Errorf("found %d records of %d", n, writers)
	}
}
