package db_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/micro/go-platform/db"
)

// TestMemorysSearchesCostWhatTheyFind compares what a search has to allocate and
// to look at in a table and in one twenty times as large.
func TestMemorysSearchesCostWhatTheyFind(t *testing.T) {
	open := func(n int) db.Table {
		d, err := db.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		tb, err := d.Table(t.Context(), "things", db.Index("owner"), db.Index("state", "-total"), db.Index("total"))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
			r := &db.Record{ID: fmt.Sprintf("id%06d", i), Metadata: map[string]any{"owner": i / 20, "state": i % 2, "total": i}}
			if err := tb.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		return tb
	}
	small, large := open(1000), open(20_000)
	for what, opts := range map[string][]db.SearchOption{
		"equal":           {db.Where(db.Equal("owner", 7))},
		"two keys":        {db.Where(db.Equal("state", 1)), db.OrderBy("-total")},
		"rare and common": {db.Where(db.Equal("state", 1), db.Equal("owner", 7))},
		"range":           {db.Where(db.GreaterOrEqual("total", 100), db.Less("total", 110))},
		"order":           {db.OrderBy("-total")},
		"order by two":    {db.OrderBy("state", "-total")},
		"id and order":    {db.OrderBy("total", "-@id")},
	} {
		opts = append(opts, db.Limit(10))
		search := func(tb db.Table) float64 {
			return testing.AllocsPerRun(5, func() {
				if p, err := tb.Search(t.Context(), opts...); err != nil || len(p.Records) == 0 {
					t.Errorf("%s: %d records, %v", what, len(p.Records), err)
				}
			})
		}
		if s, l := search(small), search(large); l > s+20 {
			t.Errorf("%s: %.0f allocations among 20 000 records, %.0f among 1000", what, l, s)
		}
	}
}

func TestMemoryBuildsAnIndexOfRecordsThatAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := db.New()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		tb, err := d.Table(t.Context(), "things", db.OnIndexProgress(func(db.IndexProgress) { t.Error("an index that nobody declared") }))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if err := tb.Create(t.Context(), &db.Record{Metadata: map[string]any{"n": i % 10}}); err != nil {
				t.Fatal(err)
			}
		}
		var told []db.IndexProgress
		for range 2 { // the second time it is there
			if tb, err = d.Table(t.Context(), "things", db.Index("n"), db.OnIndexProgress(func(p db.IndexProgress) { told = append(told, p) })); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != 2 || told[0] != (db.IndexProgress{Index: "n", Total: 1000}) || told[1] != (db.IndexProgress{Index: "n", Done: 1000, Total: 1000, Ready: true}) {
			t.Errorf("told %+v, want the beginning and the end", told)
		}
		if n, err := tb.Count(t.Context(), db.Where(db.Equal("n", 3))); err != nil || n != 100 {
			t.Errorf("found %d, %v, want 100", n, err)
		}
	})
}

// TestMemorysIndexesFollowTheRecords has records come, change and go, in random
// order, and asks each index for all of them.
func TestMemorysIndexesFollowTheRecords(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.Index("-a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	there := map[string]int{}
	for i := range 20_000 {
		id, n := fmt.Sprint(rnd.IntN(3000)), rnd.IntN(50)
		_, old := there[id]
		keep := i/5000%2 == 0 // they grow to 3000, shrink to few, and grow again
		if old && !keep && rnd.IntN(4) > 0 {
			if err := tb.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			delete(there, id)
			continue
		}
		if !old && !keep && rnd.IntN(20) > 0 {
			continue
		}
		r := &db.Record{ID: id, Metadata: map[string]any{"a": n, "b": -n, "l": []string{fmt.Sprint(n), "x"}}}
		if err := tb.Update(t.Context(), r, db.Upsert()); err != nil {
			t.Fatal(err)
		}
		there[id] = n
		if i%500 != 0 {
			continue
		}
		want := 0
		for _, m := range there {
			if m == n {
				want++
			}
		}
		for what, f := range map[string]db.Filter{"index": db.Equal("a", n), "two keys": db.And(db.Equal("a", n), db.Equal("b", -n)), "list": db.Has("l", fmt.Sprint(n))} {
			if got, err := tb.Count(t.Context(), db.Where(f)); err != nil || int(got) != want {
				t.Fatalf("step %d: %s finds %d, %v, want %d", i, what, got, err, want)
			}
		}
		for _, order := range []string{"a", "-a", "@id", "-@created", "@updated"} {
			last, n := int64(-1), 0
			for r, err := range tb.All(t.Context(), db.OrderBy(order), db.Limit(170)) {
				if err != nil {
					t.Fatal(err)
				}
				if a := r.Metadata["a"].(int64); order == "a" && a < last {
					t.Fatalf("step %d: %d comes after %d", i, a, last)
				} else {
					last = a
				}
				n++
			}
			if n != len(there) {
				t.Fatalf("step %d: %d of %d records by %s", i, n, len(there), order)
			}
		}
	}
	if len(there) == 0 {
		t.Error("no records are left to tell anything by")
	}
}
