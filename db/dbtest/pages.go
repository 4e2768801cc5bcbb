package dbtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/micro/go-platform/db"
)

func order(t *testing.T, b *bench) {
	d, tb := b.table(t)
	fs := d.Features()
	if !fs.Order && !fs.OrderEqual {
		t.Skip("the backend has no order but that of ids")
	}
	rs := populate(t, tb, 60)
	where := db.Where()
	if !fs.Order {
		for _, r := range rs {
			r.Metadata["owner"] = "ann"
			if err := tb.Update(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			mustCreate(t, tb, &db.Record{Metadata: map[string]any{"owner": "bob", "a": "a"}})
		}
		where = db.Where(db.Equal("owner", "ann"))
	}
	b.settle(t)
	for _, keys := range [][]db.Order{{{Key: "a"}}, {{Key: "a", Desc: true}}, {{Key: "a"}, {Key: "b", Desc: true}}, {{Key: "b", Desc: true}, {Key: "a", Desc: true}},
		{{Key: db.FieldCreated, Desc: true}}, {{Key: db.FieldVersion}, {Key: "c"}}, {{Key: db.FieldID, Desc: true}}, {{Key: "none"}}} {
		want := model(rs, db.Filter{}, keys)
		for _, limit := range []int{7, 1000} {
			if got := ids(t, tb, where, db.OrderByKeys(keys...), db.Limit(limit), db.AllowScan()); !slices.Equal(got, want) {
				t.Errorf("order by %v in pages of %d:\n got %v\nwant %v", keys, limit, got, want)
			}
		}
	}
	var desc []string
	for _, r := range rs {
		desc = append(desc, r.ID)
	}
	slices.Reverse(desc)
	if got := ids(t, tb, where, db.OrderBy("-"+db.FieldID), db.Limit(11)); !slices.Equal(got, desc) {
		t.Errorf("descending by id: %v", got)
	}
}

func pages(t *testing.T, b *bench) {
	_, tb := b.table(t)
	var want []string
	for i := range 25 {
		r := &db.Record{ID: id(i), Metadata: map[string]any{"owner": "ann"}}
		mustCreate(t, tb, r, &db.Record{Metadata: map[string]any{"owner": "bob"}})
		want = append(want, r.ID)
	}
	b.settle(t)
	var got []string
	cursor, sizes := "", []int{}
	for {
		p, err := tb.Search(t.Context(), db.Where(db.Equal("owner", "ann")), db.Limit(10), db.After(cursor))
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(p.Records))
		for _, r := range p.Records {
			got = append(got, r.ID)
		}
		cursor = p.Next
		if cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) || !slices.Equal(sizes, []int{10, 10, 5}) {
		t.Errorf("pages of %v: %v", sizes, got)
	}
	p, err := tb.Search(t.Context(), db.Where(db.Equal("owner", "ann")), db.Limit(25))
	if err != nil || len(p.Records) != 25 || p.Next != "" {
		t.Errorf("a page that holds all: %d records, next %q, %v", len(p.Records), p.Next, err)
	}
	p, err = tb.Search(t.Context(), db.Where(db.Equal("owner", "eve")))
	if err != nil || len(p.Records) != 0 || p.Next != "" {
		t.Errorf("an empty page: %+v, %v", p, err)
	}
}

func pagesUnderWriters(t *testing.T, b *bench) {
	d, tb := b.table(t)
	if !d.Features().Immediate {
		t.Skip("searches are behind writes")
	}
	stay := map[string]bool{}
	for i := range 100 {
		mustCreate(t, tb, &db.Record{ID: fmt.Sprintf("m%04d", 10*i), Metadata: map[string]any{"owner": "ann"}})
		stay[fmt.Sprintf("m%04d", 10*i)] = true
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // others come and go everywhere
		rnd := rand.New(rand.NewPCG(3, 4))
		for {
			select {
			case <-stop:
				return
			default:
			}
			other := fmt.Sprintf("m%04dx", rnd.IntN(1000))
			tb.Create(context.Background(), &db.Record{ID: other, Metadata: map[string]any{"owner": "ann"}})
			tb.Delete(context.Background(), other)
		}
	})
	for round := range 5 {
		seen := map[string]int{}
		for r, err := range tb.All(t.Context(), db.Where(db.Equal("owner", "ann")), db.Limit(7)) {
			if err != nil {
				t.Fatal(err)
			}
			seen[r.ID]++
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("round %d: %s came %d times", round, id, n)
			}
		}
		for id := range stay {
			if seen[id] != 1 {
				t.Errorf("round %d: %s was skipped", round, id)
			}
		}
	}
	close(stop)
	wg.Wait()
}

func cursors(t *testing.T, b *bench) {
	key := db.WithCursorKey([]byte("0123456789abcdef"))
	d, tb := b.table(t, key)
	for i := range 5 {
		mustCreate(t, tb, &db.Record{ID: id(i), Metadata: map[string]any{"a": "x", "b": i}})
	}
	b.settle(t)
	search := func(tb db.Table, opts ...db.SearchOption) (db.Page, error) { return tb.Search(t.Context(), opts...) }
	where := db.Where(db.Equal("a", "x"))
	p, err := search(tb, where, db.Limit(2))
	if err != nil || p.Next == "" {
		t.Fatalf("page %+v, %v", p, err)
	}
	if p2, err := search(tb, where, db.Limit(1), db.After(p.Next)); err != nil || len(p2.Records) != 1 || p2.Records[0].ID != id(2) {
		t.Errorf("the next page with another limit: %+v, %v", p2, err)
	}
	other := openTable(t, d, "others")
	changed := []byte(p.Next)
	changed[len(changed)-2] ^= 1
	for name, err := range map[string]error{
		"other filter": errOnly(search(tb, db.Where(db.Equal("a", "y")), db.After(p.Next))),
		"no filter":    errOnly(search(tb, db.After(p.Next))),
		"other type":   errOnly(search(tb, db.Where(db.Equal("a", 1)), db.After(p.Next))),
		"other table":  errOnly(search(other, where, db.After(p.Next))),
		"changed":      errOnly(search(tb, where, db.After(string(changed)))),
		"cut":          errOnly(search(tb, where, db.After(p.Next[:20]))),
	} {
		wantErr(t, name, err, db.ErrInvalid)
	}
	if d.Features().Order {
		wantErr(t, "other order", errOnly(search(tb, where, db.OrderBy("b"), db.After(p.Next))), db.ErrInvalid)
	}
	if fs := d.Features(); fs.Shared || fs.Durable {
		same := openTable(t, b.open(t, key), "things")
		if p2, err := search(same, where, db.After(p.Next)); err != nil || len(p2.Records) != 3 {
			t.Errorf("another process with the key: %+v, %v", p2, err)
		}
		wantErr(t, "another key", errOnly(search(openTable(t, b.open(t), "things"), where, db.After(p.Next))), db.ErrInvalid)
	}
}
