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

// BenchmarkGrowth has the same operations on 10 000, 100 000 and 1 000 000 records.
// The last column is how much more they cost among the most than among the
// fewest, over how much the logarithm has grown: 1 is logarithmic. The sizes take
// turns, so that what else the machine does hits all alike. PostgreSQL gets buffers
// that hold the largest table.
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{10_000, 100_000, 1_000_000}
	for name, open := range map[string]func(b *testing.B, n int) (o db.Option, settle func(table string)){
		"memory": func(*testing.B, int) (db.Option, func(string)) { return db.Memory(), func(string) {} },
		"sqlite": func(b *testing.B, n int) (db.Option, func(string)) {
			return sql.SQLite(filepath.Join(b.TempDir(), fmt.Sprint(n, ".db"))), func(string) {}
		},
		"postgres": func(b *testing.B, n int) (db.Option, func(string)) {
			dsn := servertest.Postgres(b, servertest.WithArgs("-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB")).DSN()
			return sql.Postgres(dsn), func(table string) { vacuum(b, dsn, table) }
		},
	} {
		b.Run(name, func(b *testing.B) {
			var all []*grown
			for _, n := range sizes {
				o, settle := open(b, n)
				all = append(all, grow(b, o, n, settle))
			}
			best := map[string][]float64{}
			for range rounds {
				for i, g := range all {
					for op, do := range g.ops(b) {
						start := time.Now()
						for k := range 500 {
							do(k)
						}
						us := time.Since(start).Seconds() * 1e6 / 500
						g.shrink(b)
						if best[op] == nil {
							best[op] = make([]float64, len(all))
						}
						if best[op][i] == 0 || us < best[op][i] {
							best[op][i] = us
						}
					}
				}
			}
			logs := math.Log(float64(sizes[len(sizes)-1])) / math.Log(float64(sizes[0]))
			for op, us := range best {
				ratio := us[len(us)-1] / us[0] / logs
				b.ReportMetric(ratio, op+"-over-log")
				b.Logf("%-10s %.1f µs, over the logarithm %.2f", op, us, ratio)
			}
			b.ReportMetric(0, "ns/op")
			most := all[len(all)-1]
			for op, opts := range most.searches() {
				most.indexed(b, op, opts(0))
			}
		})
	}
}

// vacuum does what PostgreSQL does by itself now and then.
func vacuum(b *testing.B, dsn, table string) {
	h, err := dbsql.Open("pgx", dsn)
	must(b, err)
	_, err = h.ExecContext(b.Context(), "VACUUM ANALYZE "+table)
	must(b, err)
	must(b, h.Close())
}

// grown is a table with n records. 100 of them have an owner, one has a total,
// every seventh has a state.
type grown struct {
	n      int
	tb     db.Table
	middle string   // the cursor of a page there
	extra  []string // ids of records that were made since
}

// shrink removes what was made since, or the smallest table would soon have three
// times its records.
func (g *grown) shrink(b *testing.B) {
	for _, id := range g.extra {
		must(b, g.tb.Delete(b.Context(), id))
	}
	g.extra = nil
}

func (g *grown) metadata(i int) map[string]any {
	return map[string]any{"owner": g.owner(i), "total": i * 7919 % g.n, "state": state(i)}
}

func (g *grown) owner(i int) string { return fmt.Sprint("owner", i%(g.n/100)) }

func grow(b *testing.B, backend db.Option, n int, settle func(table string)) *grown {
	d, err := db.New(backend, db.WithTimeout(time.Minute))
	must(b, err)
	b.Cleanup(func() { d.Close() })
	g := &grown{n: n}
	g.tb, err = d.Table(b.Context(), "things", db.Index("owner"), db.Index("total"), db.Index("state"))
	must(b, err)
	for i := 0; i < n; i += 1000 {
		ops := make([]db.Op, 1000)
		for j := range ops {
			ops[j] = db.CreateOp(&db.Record{ID: id(i + j), Metadata: g.metadata(i + j), Data: payload})
		}
		must(b, g.tb.Batch(b.Context(), ops...))
	}
	settle("things")
	p, err := g.tb.Search(b.Context(), db.Where(db.GreaterOrEqual("total", n/2)), db.OrderBy("total"), db.Limit(20))
	must(b, err)
	g.middle = p.Next
	return g
}

// searches are those of the speed table, each of which finds its page.
func (g *grown) searches() map[string]func(i int) []db.SearchOption {
	type options = []db.SearchOption
	return map[string]func(i int) options{
		"equal": func(i int) options { return options{db.Where(db.Equal("owner", g.owner(i*97)))} },
		"range": func(i int) options {
			from := i * 97 % (g.n - 100)
			return options{db.Where(db.GreaterOrEqual("total", from), db.Less("total", from+100)), db.OrderBy("total")}
		},
		"order": func(int) options { return options{db.OrderBy("-total")} },
		"two-equals": func(i int) options { // each owner has all states, and 14 or 15 records of each
			return options{db.Where(db.Equal("state", state(i)), db.Equal("owner", g.owner(i*97))), db.Limit(14)}
		},
		"deep": func(int) options {
			return options{db.Where(db.GreaterOrEqual("total", g.n/2)), db.OrderBy("total"), db.After(g.middle)}
		},
	}
}

// indexed fails if the backend looks at every record or sorts for a search.
func (g *grown) indexed(b *testing.B, op string, opts []db.SearchOption) {
	p, err := g.tb.Explain(b.Context(), append(opts, db.Limit(20))...)
	must(b, err)
	b.Logf("%-10s by %q, sorts: %v", op, p.Indexes, p.Sort)
	if len(p.Indexes) == 0 || p.Scan {
		b.Errorf("%s looks at every record:\n%s", op, p.Engine)
	}
}

// ops are what is measured.
func (g *grown) ops(b *testing.B) map[string]func(i int) {
	ops := map[string]func(i int){
		"read": func(i int) { _, err := g.tb.Read(b.Context(), id(i*7919%g.n)); must(b, err) },
		"create": func(i int) {
			r := &db.Record{Metadata: g.metadata(i), Data: payload}
			must(b, g.tb.Create(b.Context(), r))
			g.extra = append(g.extra, r.ID)
		},
		"update": func(i int) { // what the record has stays what it was
			k := i * 7919 % g.n
			must(b, g.tb.Update(b.Context(), &db.Record{ID: id(k), Metadata: g.metadata(k), Data: payload}, db.Force()))
		},
	}
	for op, opts := range g.searches() {
		want := 20
		if op == "two-equals" {
			want = 14
		}
		ops[op] = func(i int) {
			p, err := g.tb.Search(b.Context(), append([]db.SearchOption{db.Limit(20)}, opts(i)...)...)
			must(b, err)
			found(b, len(p.Records), want)
		}
	}
	return ops
}
