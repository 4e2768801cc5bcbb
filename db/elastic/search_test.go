package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/internal/netfault"
)

func injection(t *testing.T, s *server) {
	d, tb := s.open(t, s.Addr(), "injection")
	attacks := []string{`x"}}}`, `"},"script":{"source":"1"`, `x\`, "x\n{\"delete\":{\"_id\":\"x\"}}", "../things/_search", "..", ".", "_all", "*", "a*", "?", "%2F..%2F_all", "/", "x?refresh", "x#", "x,y", "a.b", "a..b", ".a", " ", "[a-z]", "a|b", "(", "&", "~", "<1-9>", "@", "\x00", `\"`, "日本 🙂"}
	for _, a := range attacks {
		if _, err := d.Table(t.Context(), a); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("Table %q: %v, want ErrInvalid", a, err)
		}
		r := &db.Record{Metadata: map[string]any{"a": a, "l": []string{a}}, Data: []byte(a), ContentType: strings.ReplaceAll(a, "\x00", "")}
		if !strings.HasPrefix(a, "@") {
			r.Metadata[a] = a
		}
		if !strings.ContainsAny(a, "\x00\n") {
			r.ID = a
		}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatalf("Create %q: %v", a, err)
		}
		got, err := tb.Read(t.Context(), r.ID)
		if err != nil || got.Metadata["a"] != a || string(got.Data) != a {
			t.Errorf("Read %q: %+v, %v", a, got, err)
		}
	}
	for _, a := range attacks {
		filters := []db.Filter{db.Equal("a", a), db.In("a", a), db.And(db.Prefix("a", a), db.Contains("a", a), db.Equal("a", a)), db.Contains("l", a)}
		if !strings.HasPrefix(a, "@") {
			filters = append(filters, db.Equal(a, a), db.Exists(a), db.And(db.LessOrEqual(a, a), db.GreaterOrEqual(a, a)))
		}
		if !strings.ContainsAny(a, "\x00\n") {
			filters = append(filters, db.Equal(db.FieldID, a), db.And(db.Contains(db.FieldID, a), db.Prefix(db.FieldID, a), db.Equal("a", a)))
		}
		for _, f := range filters {
			if p, err := tb.Search(t.Context(), db.Where(f)); err != nil || len(p.Records) != 1 || p.Records[0].Metadata["a"] != a {
				t.Errorf("%+v finds %d, %v, want 1", f, len(p.Records), err)
			}
		}
		if !strings.HasPrefix(a, "@") {
			if p, err := tb.Search(t.Context(), db.OrderByKeys(db.Order{Key: a, Desc: true}), db.Limit(1)); err != nil || p.Records[0].Metadata["a"] != a {
				t.Errorf("order by %q: %v, %v", a, p.Records, err)
			}
		}
	}
	if n, err := tb.Count(t.Context()); err != nil || n != int64(len(attacks)) {
		t.Errorf("%d records, %v, want %d", n, err, len(attacks))
	}
}

func others(t *testing.T, s *server) {
	for i, c := range []struct{ writer, reader []elastic.Option }{
		{nil, []elastic.Option{elastic.WithRefresh(elastic.RefreshSearches)}},
		{[]elastic.Option{elastic.WithRefresh(elastic.RefreshWrites), elastic.WithRefreshInterval(50 * time.Millisecond)}, []elastic.Option{elastic.WithRefresh(elastic.RefreshNever)}},
	} {
		ns := fmt.Sprint("others", i)
		_, writer := s.open(t, s.Addr(), ns, c.writer...)
		_, reader := s.open(t, s.Addr(), ns, c.reader...)
		for i := range 10 {
			if err := writer.Create(t.Context(), &db.Record{Metadata: map[string]any{"a": "x"}}); err != nil {
				t.Fatal(err)
			}
			if n, err := reader.Count(t.Context(), db.Where(db.Equal("a", "x"))); err != nil || n != int64(i+1) {
				t.Errorf("after %d writes of another: %d, %v", i+1, n, err)
			}
		}
	}
}

func pages(t *testing.T, s *server) {
	_, tb := s.open(t, s.Addr(), "pages")
	var ops []db.Op
	stay := map[string]bool{}
	for i := range 200 {
		id := fmt.Sprintf("m%04d", 10*i)
		stay[id] = true
		ops = append(ops, db.CreateOp(&db.Record{ID: id, Metadata: map[string]any{"owner": "ann", "n": i % 7}}))
	}
	if err := tb.Batch(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { // others come and go everywhere
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("m%04dx%d", i*37%2000, w)
				tb.Create(ctx, &db.Record{ID: id, Metadata: map[string]any{"owner": "ann", "n": i % 7}})
				tb.Delete(ctx, id)
			}
		})
	}
	for _, order := range []db.SearchOption{db.OrderBy(), db.OrderBy("n"), db.OrderBy("-n", "missing")} {
		seen := map[string]int{}
		for r, err := range tb.All(t.Context(), db.Where(db.Equal("owner", "ann")), order, db.Limit(13)) {
			if err != nil {
				t.Fatal(err)
			}
			seen[r.ID]++
		}
		for id, n := range seen {
			if n != 1 && stay[id] {
				t.Errorf("%s came %d times", id, n)
			}
		}
		for id := range stay {
			if seen[id] == 0 {
				t.Errorf("%s was skipped", id)
			}
		}
	}
	stop()
	wg.Wait()
}

func parts(t *testing.T, s *server) {
	p := netfault.New(t, s.Addr())
	_, tb := s.open(t, p.Addr(), "parts", elastic.WithMaxResponse(64<<10))
	var want []string
	for i := range 20 {
		r := &db.Record{ID: fmt.Sprintf("%02d", i), Metadata: map[string]any{"n": i}, Data: make([]byte, 12_000)}
		if err := tb.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want = append(want, r.ID)
	}
	page, err := tb.Search(t.Context(), db.OrderBy("n"), db.Limit(19))
	if err != nil || len(page.Records) != 19 || page.Next == "" {
		t.Fatalf("%d records, %v, want 19", len(page.Records), err)
	}
	for i, r := range page.Records {
		if r.ID != want[i] || len(r.Data) != 12_000 {
			t.Errorf("record %d is %s with %d bytes", i, r.ID, len(r.Data))
		}
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "large", Data: make([]byte, 60_000)}); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Search(t.Context(), db.Where(db.Equal(db.FieldID, "large"))); !errors.Is(err, db.ErrTooLarge) {
		t.Errorf("a record above the limit: %v, want ErrTooLarge", err)
	}
}
