package db_test

import (
	dbsql "database/sql"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// BenchmarkGrowth has the same searches on 10 000, 100 000 and 1 000 000 records.
// The last column is how much more they cost among the most than among the
// fewest, over how much the logarithm has grown: 1 is logarithmic.
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{10_000, 100_000, 1_000_000}
	for name, backend := range map[string]func(b *testing.B) db.Option{
		"memory":   func(*testing.B) db.Option { return db.Memory() },
		"sqlite":   func(b *testing.B) db.Option { return sql.SQLite(filepath.Join(b.TempDir(), "x.db")) },
		"postgres": func(b *testing.B) db.Option { return sql.Postgres(servertest.SharedPostgres(b).DSN()) },
	} {
		b.Run(name, func(b *testing.B) {
			costs := map[string][]float64{}
			for _, n := range sizes {
				grow(b, name, backend(b), n, costs)
			}
			logs := math.Log(float64(sizes[len(sizes)-1])) / math.Log(float64(sizes[0]))
			for op, us := range costs {
				ratio := us[len(us)-1] / us[0] / logs
				b.ReportMetric(ratio, op+"-over-log")
				b.Logf("%-10s %.1f µs, over the logarithm %.2f", op, us, ratio)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// grow fills a table with n records and appends what each operation costs there,
// in µs, the best of several rounds.
func grow(b *testing.B, name string, backend db.Option, n int, costs map[string][]float64) {
	ns := "g" + db.NewID()[24:]
	d, err := db.New(backend, db.WithNamespace(ns), db.WithTimeout(time.Minute))
	must(b, err)
	defer d.Close()
	tb, err := d.Table(b.Context(), "things", db.Index("owner"), db.Index("total"), db.Index("state"))
	must(b, err)
	at := func(i int) map[string]any { // 100 records have an owner, one has a total, every seventh a state
		return map[string]any{"owner": fmt.Sprint("owner", i%(n/100)), "total": i * 7919 % n, "state": fmt.Sprint("state", i%7)}
	}
	for i := 0; i < n; i += 1000 {
		ops := make([]db.Op, 1000)
		for j := range ops {
			ops[j] = db.CreateOp(&db.Record{ID: id(i + j), Metadata: at(i + j), Data: payload})
		}
		must(b, tb.Batch(b.Context(), ops...))
	}
	if name == "postgres" { // as it does by itself now and then
		h, err := dbsql.Open("pgx", servertest.SharedPostgres(b).DSN())
		must(b, err)
		_, err = h.ExecContext(b.Context(), `VACUUM ANALYZE "`+ns+`__things"`)
		must(b, err)
		must(b, h.Close())
	}
	p, err := tb.Search(b.Context(), db.Where(db.GreaterOrEqual("total", n/2)), db.OrderBy("total"), db.Limit(20))
	must(b, err)
	middle := p.Next // the cursor of a page there
	search := func(want int, opts ...db.SearchOption) {
		p, err := tb.Search(b.Context(), append([]db.SearchOption{db.Limit(20)}, opts...)...)
		must(b, err)
		found(b, len(p.Records), want)
	}
	for op, do := range map[string]func(i int){
		"read":  func(i int) { _, err := tb.Read(b.Context(), id(i*7919%n)); must(b, err) },
		"equal": func(i int) { search(20, db.Where(db.Equal("owner", fmt.Sprint("owner", i*97%(n/100))))) },
		"range": func(i int) {
			search(20, db.Where(db.GreaterOrEqual("total", i*97%(n-100)), db.Less("total", i*97%(n-100)+100)), db.OrderBy("total"))
		},
		"order": func(int) { search(20, db.OrderBy("-total")) },
		"two-equals": func(i int) { // each owner has all states, and 14 or 15 records of each
			search(14, db.Where(db.Equal("state", fmt.Sprint("state", i%7)), db.Equal("owner", fmt.Sprint("owner", i*97%(n/100)))), db.Limit(14))
		},
		"deep": func(int) {
			search(20, db.Where(db.GreaterOrEqual("total", n/2)), db.OrderBy("total"), db.After(middle))
		},
		"create": func(i int) {
			must(b, tb.Create(b.Context(), &db.Record{Metadata: at(i), Data: payload}))
		},
		"update": func(i int) { // what the record has stays what it was
			k := i * 7919 % n
			must(b, tb.Update(b.Context(), &db.Record{ID: id(k), Metadata: at(k), Data: payload}, db.Force()))
		},
	} {
		best := time.Duration(math.MaxInt64)
		for range rounds {
			start := time.Now()
			for i := range 500 {
				do(i)
			}
			best = min(best, time.Since(start))
		}
		costs[op] = append(costs[op], best.Seconds()*1e6/500)
	}
}
