package sql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/leak"
)

// fill creates n records: an owner has n/1000 of them, a state n/7.
func fill(t testing.TB, tb db.Table, n int) {
	t.Helper()
	for i := 0; i < n; i += 1000 {
		ops := make([]db.Op, min(1000, n-i))
		for j := range ops {
			k := i + j
			ops[j] = db.CreateOp(&db.Record{ID: fmt.Sprintf("id%06d", k), Data: make([]byte, 200), Metadata: map[string]any{
				"owner": fmt.Sprint("owner", k%1000), "state": fmt.Sprint("state", k%7), "total": k * 7919 % n, "note": fmt.Sprint("note", k),
			}})
		}
		if err := tb.Batch(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
}

// few reports whether a database may rather sort the few records that an index
// finds.
func few(name, index string) bool { return name == "mysql" || name == "postgres" && index == "owner" }

// analyze does at once what the database does now and then.
func analyze(t testing.TB, name, table string) {
	t.Helper()
	text := map[string]string{"postgres": `ANALYZE "` + table + `"`, "mysql": "ANALYZE TABLE " + table}[name]
	if text == "" { // SQLite needs none
		return
	}
	if _, err := openRaw(t, name).Exec(text); err != nil {
		t.Fatal(err)
	}
}

func TestSearchesReadTheirIndexes(t *testing.T) {
	for name, backend := range backends(t) {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			ns := "i" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
			d, err := db.New(patient(backend(t), db.WithNamespace(ns))...)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(t.Context(), "things", db.Index("owner"), db.Index("state"), db.Index("total"), db.Index("state", "-total"))
			if err != nil {
				t.Fatal(err)
			}
			n := 7000
			if name == "sqlite" { // whose plans go by no statistics
				n = 4100
			}
			fill(t, tb, n)
			analyze(t, name, ns+"__things")
			owner, state := db.Equal("owner", "owner7"), db.Equal("state", "state3")
			for what, c := range map[string]struct {
				opts  []db.SearchOption
				index string
				sort  bool
			}{
				"by id":               {[]db.SearchOption{db.Where(db.Equal("@id", "id000007"))}, "@id", false},
				"equal":               {[]db.SearchOption{db.Where(owner)}, "owner", false},
				"range, in order":     {[]db.SearchOption{db.Where(db.GreaterOrEqual("total", 100), db.Less("total", 200)), db.OrderBy("total")}, "total", false},
				"order by a key":      {[]db.SearchOption{db.OrderBy("total")}, "total", false},
				"the other way round": {[]db.SearchOption{db.OrderBy("-total")}, "total", false},
				"newest":              {[]db.SearchOption{db.OrderBy("-@created")}, "@created", false},
				"last changed":        {[]db.SearchOption{db.OrderBy("-@updated")}, "@updated", false},
				"two keys of one":     {[]db.SearchOption{db.Where(state, db.Less("total", 500)), db.OrderBy("-total")}, "state,-total", false},
				"equal, in order":     {[]db.SearchOption{db.Where(state), db.OrderBy("-total")}, "state,-total", false},
				"rare and common":     {[]db.SearchOption{db.Where(owner, state)}, "owner", false},
				"common and rare":     {[]db.SearchOption{db.Where(state, owner)}, "owner", false},
				"rare, sorted":        {[]db.SearchOption{db.Where(owner), db.OrderBy("note")}, "owner", true},
			} {
				opts := append(c.opts, db.Limit(20))
				p, err := tb.Explain(t.Context(), opts...)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				if !slices.Equal(p.Indexes, []string{c.index}) || p.Scan || p.Sort && !c.sort && !few(name, c.index) || c.sort && !p.Sort {
					t.Errorf("%s: indexes %q, scan %v, sort %v, want the index %q, sorting %v:\n%s", what, p.Indexes, p.Scan, p.Sort, c.index, c.sort, p.Engine)
				}
				first, err := tb.Search(t.Context(), opts...)
				if err != nil || len(first.Records) == 0 {
					t.Errorf("%s: found %d, %v", what, len(first.Records), err)
				}
				if first.Next != "" { // a later page is no other plan
					if p, err = tb.Explain(t.Context(), append(opts, db.After(first.Next))...); err != nil || !slices.Contains(p.Indexes, c.index) || p.Scan {
						t.Errorf("%s, the second page: indexes %q, scan %v, %v:\n%s", what, p.Indexes, p.Scan, err, p.Engine)
					}
				}
			}
			if tb, err = d.Table(t.Context(), "things", db.FullText("note")); err != nil {
				t.Fatal(err)
			}
			analyze(t, name, ns+"__things")
			if p, err := tb.Explain(t.Context(), db.Where(db.Match("note", "note77")), db.Limit(20)); err != nil || !slices.Contains(p.Indexes, "match note") || p.Scan {
				t.Errorf("words: indexes %q, scan %v, %v:\n%s", p.Indexes, p.Scan, err, p.Engine)
			}
			for what, opts := range map[string][]db.SearchOption{"another key": {db.Where(db.Equal("note", "note3")), db.AllowScan()}, "not": {db.Where(db.NotEqual("owner", "owner7")), db.OrderBy("note"), db.AllowScan()}} {
				if p, err := tb.Explain(t.Context(), opts...); err != nil || !p.Scan {
					t.Errorf("%s: no scan, %v, of %q:\n%s", what, err, p.Indexes, p.Engine)
				}
			}
		})
	}
}

// TestAnIndexIsAddedWhileOthersWrite has a second process, which declares no
// index, write before, while and after the first one adds it.
func TestAnIndexIsAddedWhileOthersWrite(t *testing.T) {
	addWhileOthersWrite(t, 5000)
}

func addWhileOthersWrite(t *testing.T, n int) {
	for name, backend := range backends(t) {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			ns := "a" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
			option := backend(t)
			open := func() db.DB {
				d, err := db.New(patient(option, db.WithNamespace(ns))...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
				return d
			}
			here, there := open(), open()
			old, err := there.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			n := n
			if name == "sqlite" && n < 100_000 { // the race detector makes it slow, and more shows no more
				n /= 5
			}
			fill(t, old, n)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var written []string // while the index is built, and a little longer
			var writes atomic.Int64
			var begun, done int64 // writes before the indexes were built, and then
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					r := &db.Record{ID: fmt.Sprintf("while%06d", i), Metadata: map[string]any{"total": -1}}
					if err := old.Create(context.Background(), r); err != nil {
						t.Error(err)
						return
					}
					r.Metadata["total"] = -2
					if err := old.Update(context.Background(), r); err != nil {
						t.Error(err)
						return
					}
					written = append(written, r.ID)
					writes.Add(1)
				}
			})
			var told []db.IndexProgress
			tb, err := here.Table(t.Context(), "things", db.Index("total"), db.Index("owner", "total"), db.OnIndexProgress(func(p db.IndexProgress) {
				told = append(told, p)
				if len(told) == 1 {
					begun = writes.Load()
				}
				done = writes.Load()
			}))
			if err != nil {
				t.Fatal(err)
			}
			close(stop)
			wg.Wait()
			if len(told) < 4 || told[0].Total < int64(n) || told[0].Ready || !told[len(told)-1].Ready || told[len(told)-1].Done < int64(n) {
				t.Errorf("told %+v, want two indexes from their beginning to their end", told)
			}
			if during := done - begun; n >= 100_000 && name != "sqlite" && during < 10 {
				t.Errorf("%d writes while two indexes of %d records were built in %v", during, n, told[len(told)-1].Elapsed)
			} else {
				t.Logf("%d writes while two indexes of %d records were built", during, n)
			}
			last := &db.Record{ID: "last", Metadata: map[string]any{"total": -2}}
			if err := old.Create(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			written = append(written, "last")
			slices.Sort(written)
			var found []string
			for r, err := range tb.All(t.Context(), db.Where(db.Equal("total", -2))) {
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, r.ID)
			}
			if !slices.Equal(found, written) {
				t.Errorf("the index finds %d of %d records that were written meanwhile", len(found), len(written))
			}
			if c, err := tb.Count(t.Context(), db.Where(db.GreaterOrEqual("total", 0))); err != nil || c != int64(n) {
				t.Errorf("the index finds %d of %d records that were there, %v", c, n, err)
			}
			again := 0
			if _, err := here.Table(t.Context(), "things", db.Index("total"), db.OnIndexProgress(func(db.IndexProgress) { again++ })); err != nil || again > 0 {
				t.Errorf("opened again: %v, built %d times", err, again)
			}
		})
	}
}

func TestLongValuesOfSeveralKeysAreIndexed(t *testing.T) {
	each(t, func(t *testing.T, d db.DB, _ db.Table) {
		tb, err := d.Table(t.Context(), "long", db.Index("a", "b"), db.Index("a", "b", "c"), db.Index("a", "b", "c", "d"))
		if err != nil {
			t.Fatal(err)
		}
		long := func(c string) string { return strings.Repeat(c, 1024) }
		r := &db.Record{Metadata: map[string]any{"a": long("a"), "b": long("b"), "c": long("c"), "d": long("d")}}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if p, err := tb.Search(t.Context(), db.Where(db.Equal("a", long("a")), db.Equal("b", long("b")), db.Equal("c", long("c")), db.Equal("d", long("d")))); err != nil || len(p.Records) != 1 {
			t.Errorf("found %d, %v", len(p.Records), err)
		}
	})
}

// MySQL's names have 64 bytes; a key of 64 bytes has more as a column, and one with capitals
// from 31 bytes on.
func TestKeysWithLongNamesAreIndexed(t *testing.T) {
	camel := "customerShippingAddressPostalCode"
	a, b := strings.Repeat("k", 63)+"a", strings.Repeat("k", 63)+"b"
	keys := []string{strings.Repeat("k", 62), strings.Repeat("k", 63), a, b, strings.Repeat("C", 30), strings.Repeat("C", 31), camel, strings.Repeat("é", 32)}
	each(t, func(t *testing.T, d db.DB, _ db.Table) {
		_, err := d.Table(t.Context(), "longkeys", db.Index(keys[:4]...))
		if err != nil {
			t.Fatal(err)
		}
		var indexes []db.TableOption
		for _, key := range keys {
			indexes = append(indexes, db.Index(key))
		}
		tb, err := d.Table(t.Context(), "longkeys", indexes...) // which adds some to a table that is there
		if err != nil {
			t.Fatal(err)
		}
		r := &db.Record{Metadata: map[string]any{}}
		for i, key := range keys {
			r.Metadata[key] = i
		}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for i, key := range keys {
			for value, want := range map[int]int64{i: 1, i + 1: 0} {
				if n, err := tb.Count(t.Context(), db.Where(db.Equal(key, value))); err != nil || n != want {
					t.Errorf("%d records have %d under %q, %v, want %d", n, value, key, err, want)
				}
			}
		}
	})
}
