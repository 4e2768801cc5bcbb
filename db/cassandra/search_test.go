package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	dbdriver "github.com/micro/go-platform/db/driver"
)

func injectNothing(t *testing.T, server nodes) {
	d, tb, _ := open(t, server.backend())
	attacks := []string{`x'; DROP TABLE things; --`, `x"; DROP TABLE things; --`, "' OR '1'='1", `$$; DROP KEYSPACE db; $$`, "%", "_", "?", ":a", "%_\\", "\x00'", "日本'\"", "} APPLY BATCH;"}
	for _, a := range attacks {
		if _, err := d.Table(t.Context(), a); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("Table %q: %v, want ErrInvalid", a, err)
		}
		r := &db.Record{Metadata: map[string]any{a: a, "a": a, "l": []string{a}}, Data: []byte(a)}
		if !strings.Contains(a, "\x00") {
			r.ID = a
		}
		must(t, tb.Create(t.Context(), r))
		got, err := tb.Read(t.Context(), r.ID)
		if err != nil || got.Metadata[a] != a || string(got.Data) != a {
			t.Errorf("Read %q: %+v, %v", a, got, err)
		}
	}
	for _, a := range attacks {
		for _, f := range []db.Filter{db.Equal("a", a), db.Equal(a, a), db.In("a", a), db.And(db.Prefix("a", a), db.Equal(a, a))} {
			if p, err := tb.Search(t.Context(), db.Where(f)); err != nil || len(p.Records) != 1 {
				t.Errorf("%+v finds %d, %v, want 1", f, len(p.Records), err)
			}
		}
		if got := found(t, tb, db.OrderBy(a), db.Where(db.Exists(a))); len(got) != 1 {
			t.Errorf("order by %q: %v", a, got)
		}
		if got := found(t, tb, db.Where(db.In(db.FieldID, "", a), db.GreaterOrEqual(db.FieldID, a))); len(got) != 1 && !strings.Contains(a, "\x00") {
			t.Errorf("by id %q: %v", a, got)
		}
	}
	if n, err := tb.Count(t.Context()); err != nil || n != int64(len(attacks)) {
		t.Errorf("%d records, %v, want %d", n, err, len(attacks))
	}
}

// agree compares searches of all plans with those of the memory backend.
func agree(t *testing.T, server nodes) {
	_, tb, _ := open(t, server.backend(cassandra.WithBuckets(4)))
	_, model, _ := open(t, db.Memory())
	const records = 60
	rnd := rand.New(rand.NewPCG(5, 6))
	values := []any{"", "a", "ab", "abc", "b", "é", true, false, int64(0), int64(-1), 1.0, int64(1), 1.5, 2.5, time.Unix(0, 0), time.Unix(7, 0), []string{"a"}}
	value := func() any { return values[rnd.IntN(len(values)-1)] } // no list
	for i := range records {
		r := &db.Record{ID: fmt.Sprintf("%c%03d", "abé"[rnd.IntN(2)], i), Metadata: map[string]any{"owner": fmt.Sprint("o", rnd.IntN(3))}}
		for _, k := range []string{"a", "b"} {
			if rnd.IntN(5) > 0 {
				r.Metadata[k] = values[rnd.IntN(len(values))]
			}
		}
		must(t, tb.Create(t.Context(), r))
		must(t, model.Create(t.Context(), r.Clone()))
	}
	one := func(key string) db.Filter {
		switch rnd.IntN(8) {
		case 0:
			return db.Less(key, value())
		case 1:
			return db.LessOrEqual(key, value())
		case 2:
			return db.Greater(key, value())
		case 3:
			return db.GreaterOrEqual(key, value())
		case 4:
			return db.Prefix(key, []string{"", "a", "ab", "é"}[rnd.IntN(4)])
		case 5:
			return db.In(key, value(), value(), value())
		case 6:
			return db.Equal(key, value())
		}
		return db.Exists(key)
	}
	byID := func() db.Filter {
		id := fmt.Sprintf("%c%03d", "ab"[rnd.IntN(2)], rnd.IntN(records))
		return []db.Filter{db.Less(db.FieldID, id), db.LessOrEqual(db.FieldID, id), db.Greater(db.FieldID, id), db.GreaterOrEqual(db.FieldID, id),
			db.Prefix(db.FieldID, id[:rnd.IntN(3)]), db.In(db.FieldID, id, "a001", "b002", ""), db.Equal(db.FieldID, id), db.Exists(db.FieldID)}[rnd.IntN(8)]
	}
	refused := 0
	for range 150 {
		var f []db.Filter
		for range rnd.IntN(3) {
			f = append(f, one([]string{"a", "b"}[rnd.IntN(2)]))
		}
		if rnd.IntN(3) == 0 {
			f = append(f, byID())
		}
		if rnd.IntN(3) == 0 {
			f = append(f, db.Equal("owner", "o1"))
		}
		order := []string{"", "", "-@id", "a", "-a", "a b", "-b @created -a", "none", "a -@id"}[rnd.IntN(9)]
		opts := []db.SearchOption{db.Where(f...), db.OrderBy(strings.Fields(order)...), db.Limit([]int{1000, 9}[rnd.IntN(2)]), db.AllowScan()}
		if _, err := tb.Search(t.Context(), opts...); errors.Is(err, db.ErrUnsupported) {
			refused++
			continue
		}
		if got, want := found(t, tb, opts...), found(t, model, opts...); !slices.Equal(got, want) && !strings.Contains(order, "@created") {
			t.Errorf("%+v in the order %q\nfinds %v\nwant  %v", f, order, got, want)
		}
		got, err := tb.Count(t.Context(), opts[0], db.AllowScan())
		if want, _ := model.Count(t.Context(), opts[0], db.AllowScan()); err != nil || got != want {
			t.Errorf("%+v: Count = %d, %v, want %d", f, got, err, want)
		}
	}
	if refused == 0 || refused > 75 {
		t.Errorf("%d of 150 searches were refused", refused)
	}
}

// A search that reads the index before a write and the row after it, or the
// other way round, must not miss the record.
func stayFound(t *testing.T, server nodes) {
	_, tb, _ := open(t, server.backend())
	for i := range 20 {
		must(t, tb.Create(t.Context(), &db.Record{ID: fmt.Sprint("r", i+10), Metadata: map[string]any{"owner": "ann", "n": i}}))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r := &db.Record{ID: fmt.Sprint("r", 10+i%20), Metadata: map[string]any{"owner": "ann", "n": i % 20, "round": i}}
				if err := tb.Update(context.Background(), r, db.Force()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range 10 {
		for what, opts := range map[string][]db.SearchOption{
			"equal": {db.Where(db.Equal("owner", "ann")), db.Limit(6)}, "range": {db.Where(db.GreaterOrEqual("n", 0))},
			"all": {db.Limit(7)}, "ordered": {db.Where(db.Exists("n")), db.OrderBy("-n"), db.Limit(6)},
		} {
			if got := found(t, tb, opts...); len(got) != 20 {
				t.Errorf("round %d: %s finds %d of 20: %v", round, what, len(got), got)
			}
		}
	}
	close(stop)
	wg.Wait()
	if n, err := tb.Count(t.Context(), db.Where(db.Equal("owner", "ann"))); err != nil || n != 20 {
		t.Errorf("Count = %d, %v", n, err)
	}
}

// strays are what a writer leaves that died after it had written its entries.
func strays(t *testing.T, server nodes) {
	_, tb, ns := open(t, server.backend(cassandra.WithBuckets(1)))
	must(t, tb.Create(t.Context(), &db.Record{ID: "x", Metadata: map[string]any{"a": "here"}}))
	s := server.session(t)
	keys := `"db"."` + ns + `__things_keys_"`
	stamp := func(at time.Time) gocql.UUID {
		u, err := gocql.ParseUUID(db.NewID())
		must(t, err)
		ms := at.UnixMilli()
		for i := range 6 {
			u[i] = byte(ms >> (40 - 8*i))
		}
		return u
	}
	for _, e := range []struct {
		id, v string
		at    time.Time
	}{{"x", "gone", time.Now()}, {"x", "gone", time.Now().Add(-48 * time.Hour)}, {"none", "gone", time.Now()}, {"none", "gone", time.Now().Add(-48 * time.Hour)}, {"x", "here", time.Now().Add(-48 * time.Hour)}} {
		must(t, s.Query("INSERT INTO "+keys+" (k, bucket, v, id, stamp) VALUES ('a', 0, ?, ?, ?)", dbdriver.SortKey(e.v), []byte(e.id), stamp(e.at)).WithTimestamp(e.at.UnixMilli()*1000).Exec())
	}
	count := func() (n int) {
		must(t, s.Query("SELECT COUNT(*) FROM "+keys+" WHERE k = 'a' AND bucket = 0").Scan(&n))
		return n
	}
	if n := count(); n != 6 {
		t.Fatalf("%d entries, want the record's and 5", n)
	}
	for _, f := range []db.Filter{db.Equal("a", "gone"), db.Prefix("a", "gone")} {
		if got := found(t, tb, db.Where(f)); len(got) != 0 {
			t.Errorf("%v finds %v", f, got)
		}
	}
	for _, opts := range [][]db.SearchOption{{db.Where(db.Equal("a", "here"))}, {db.Where(db.Exists("a"))}, {db.Where(db.Exists("a")), db.OrderBy("a")}, nil} {
		if got := found(t, tb, opts...); !slices.Equal(got, []string{"x"}) {
			t.Errorf("found %v, want x once", got)
		}
	}
	// The removal is acknowledged by one copy.
	eventually(t, "the record's entry is left, and the 2 that may be of writes in progress", func() bool { return count() == 3 })
}

func bounded(t *testing.T, server nodes) {
	_, tb, ns := open(t, server.backend())
	for i := range 60 {
		must(t, tb.Create(t.Context(), &db.Record{ID: fmt.Sprint("r", i+10), Metadata: map[string]any{"a": "x", "n": i}}))
	}
	_, tb = openIn(t, ns, server.backend(cassandra.WithScanLimit(30)))
	for what, opts := range map[string][]db.SearchOption{
		"range by id": {db.Where(db.Less("n", 40))}, "few of many": {db.Where(db.Equal("a", "x"), db.Equal("n", "none"))}, "sorted": {db.Where(db.Equal("a", "x")), db.OrderBy("n")},
	} {
		if what == "few of many" { // the first Equal is followed
			opts = []db.SearchOption{db.Where(db.Equal("a", "x"), db.GreaterOrEqual("n", 1000))}
		}
		if _, err := tb.Search(t.Context(), opts...); !errors.Is(err, db.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", what, err)
		}
	}
	if _, err := tb.Count(t.Context()); !errors.Is(err, db.ErrTooLarge) {
		t.Errorf("Count: %v, want ErrTooLarge", err)
	}
	for what, opts := range map[string][]db.SearchOption{
		"all": {db.Limit(20)}, "equal": {db.Where(db.Equal("a", "x")), db.Limit(20)}, "by key": {db.Where(db.GreaterOrEqual("n", 0)), db.OrderBy("n"), db.Limit(20)},
	} {
		if got := found(t, tb, opts...); len(got) != 60 {
			t.Errorf("%s, which is page by page: %d records, want 60", what, len(got))
		}
	}
	if n, err := tb.Count(t.Context(), db.Where(db.Less("n", 25))); err != nil || n != 25 {
		t.Errorf("Count of what is within the limit = %d, %v", n, err)
	}
}

// buckets are written in the catalog: another option changes nothing.
func buckets(t *testing.T, server nodes) {
	_, tb, ns := open(t, server.backend(cassandra.WithBuckets(7)))
	for i := range 30 {
		must(t, tb.Create(t.Context(), &db.Record{ID: fmt.Sprint("r", i+10), Metadata: map[string]any{"a": "x"}}))
	}
	_, tb = openIn(t, ns, server.backend(cassandra.WithBuckets(2)))
	must(t, tb.Create(t.Context(), &db.Record{ID: "r99", Metadata: map[string]any{"a": "x"}}))
	if got := found(t, tb, db.Where(db.Equal("a", "x"))); len(got) != 31 || !slices.IsSorted(got) {
		t.Errorf("found %v", got)
	}
}
