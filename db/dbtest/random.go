package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
)

// random compares random searches with a model: Filter.Match and dbdriver.SortKey over
// the records in a slice. The seed is fixed, unless DB_SEED names another.
func random(t *testing.T, b *bench) { searches(t, b, fromEnv(t, "DB_SEED", 7)) }

// fromEnv is the number in the environment's variable name, or otherwise.
func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// Searches is the case of the suite that compares random searches with a model,
// with records and searches that come from a seed.
func Searches(t *testing.T, h Harness, seed uint64) {
	t.Logf("seed %d", seed)
	searches(t, newBench(h), seed)
}

// searches leaves out what a backend refuses that does not do all searches.
func searches(t *testing.T, b *bench, seed uint64) {
	d := b.open(t)
	fs := d.Features()
	all := fs.Compare && fs.Prefix && fs.Contains && fs.Exists && fs.Or && fs.Not && fs.Order
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.Index("b"), db.Index("a", "b"), db.Index("b", "-c"), db.Index("-c"))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 8))
	rs := populateFrom(t, tb, 120, seed-6)
	for i := 0; i < len(rs); i += 3 { // some are written again
		r := rs[i]
		r.Metadata[[]string{"a", "b", "c"}[rnd.IntN(3)]] = values[rnd.IntN(len(values))]
		if err := tb.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	b.settle(t)
	n := b.Searches
	if n == 0 {
		n = 300
		if !all {
			n = 100
		}
	}
	n = int(fromEnv(t, "DB_SEARCHES", uint64(n)))
	taken := 0
	g := generator{rnd}
	for i := range n {
		f, order := g.filter(0), g.order()
		want := model(rs, f, order)
		limit := []int{1000, 1000, 7, 31}[rnd.IntN(4)]
		opts := []db.SearchOption{db.Where(f), db.OrderByKeys(order...), db.Limit(limit), db.AllowScan()}
		if !all {
			_, err := tb.Search(t.Context(), opts...)
			if errors.Is(err, db.ErrUnsupported) {
				continue
			}
		}
		taken++
		if got := ids(t, tb, opts...); !slices.Equal(got, want) {
			t.Fatalf("search %d, by %v in pages of %d: %+v\n got %v\nwant %v", i, order, limit, f, got, want)
		}
		if i%4 == 0 && fs.Count {
			if c, err := tb.Count(t.Context(), opts...); err != nil || int(c) != len(want) {
				t.Fatalf("search %d, %+v: Count = %d, %v, want %d", i, f, c, err, len(want))
			}
		}
	}
	t.Logf("%d of %d searches taken", taken, n)
	if taken < n/20 {
		t.Errorf("the backend took %d of %d searches, want at least one of twenty", taken, n)
	}
}

// model returns the ids that a search must find, in order.
func model(rs []*db.Record, f db.Filter, order []db.Order) []string {
	found := slices.DeleteFunc(slices.Clone(rs), func(r *db.Record) bool { return !f.Match(r) })
	id := db.Order{Key: db.FieldID}
	if len(order) > 0 {
		id.Desc = order[len(order)-1].Desc
	}
	order = append(slices.Clone(order), id)
	slices.SortFunc(found, func(x, y *db.Record) int {
		for _, o := range order {
			c := bytes.Compare(dbdriver.SortKey(x.Value(o.Key)), dbdriver.SortKey(y.Value(o.Key)))
			if o.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	all := []string{}
	for _, r := range found {
		all = append(all, r.ID)
	}
	return all
}

type generator struct{ *rand.Rand }

func (g generator) key() string { return []string{"a", "b", "c", "none"}[g.IntN(4)] }

func (g generator) value() any {
	for {
		v := values[g.IntN(len(values))]
		if _, list := v.([]string); !list {
			return v
		}
	}
}

func (g generator) text() string { return []string{"", "a", "ab", "b", "é", "%", "abcd"}[g.IntN(7)] }

func (g generator) order() []db.Order {
	var order []db.Order
	for range g.IntN(3) {
		k := []string{"a", "b", "c", db.FieldCreated, db.FieldVersion, "none", db.FieldID}[g.IntN(7)]
		if !slices.ContainsFunc(order, func(o db.Order) bool { return o.Key == k || o.Key == db.FieldID }) {
			order = append(order, db.Order{Key: k, Desc: g.IntN(2) == 0})
		}
	}
	return order // where the id is in it, model adds it again, which makes no difference
}

func (g generator) filter(depth int) db.Filter {
	n := 14
	if depth < 3 {
		n = 20
	}
	switch g.IntN(n) {
	case 0, 1, 2:
		return db.Equal(g.key(), g.value())
	case 3:
		return db.NotEqual(g.key(), g.value())
	case 4:
		return db.Less(g.key(), g.value())
	case 5:
		return db.LessOrEqual(g.key(), g.value())
	case 6:
		return db.Greater(g.key(), g.value())
	case 7:
		return db.GreaterOrEqual(g.key(), g.value())
	case 8:
		return db.In(g.key(), g.value(), g.value(), g.value())
	case 9:
		return db.Prefix(g.key(), g.text())
	case 10:
		return db.Contains(g.key(), g.text())
	case 11:
		return db.Exists(g.key())
	case 12:
		return db.Has(g.key(), g.text())
	case 13:
		return g.own()
	case 14:
		return db.Not(g.filter(depth + 1))
	case 15, 16:
		return db.Or(g.some(depth)...)
	}
	return db.And(g.some(depth)...)
}

func (g generator) some(depth int) []db.Filter {
	fs := make([]db.Filter, g.IntN(4))
	for i := range fs {
		fs[i] = g.filter(depth + 1)
	}
	return fs
}

// own is a filter on a record's own fields.
func (g generator) own() db.Filter {
	id := fmt.Sprintf("id%05d", g.IntN(130))
	switch g.IntN(6) {
	case 0:
		return db.Equal(db.FieldID, id)
	case 1:
		return db.Less(db.FieldID, id)
	case 2:
		return db.In(db.FieldID, id, "id00001", "none")
	case 3:
		return db.Prefix(db.FieldID, id[:g.IntN(len(id))])
	case 4:
		return db.Greater(db.FieldVersion, 1)
	}
	return db.LessOrEqual(db.FieldCreated, time.Now().Add(time.Hour))
}
