package sql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
)

// text is a statement in the making, with its arguments.
type text struct {
	strings.Builder
	args []any
	kind sql.Kind
	t    *table
}

func (w *text) put(s string, args ...any) {
	w.WriteString(s)
	w.args = append(w.args, args...)
}

func newSearch(kind sql.Kind, t *table, q db.Query) (string, []any) {
	w := &text{kind: kind, t: t}
	lead, rest := leader(q.Filter, q.Order)
	w.put("SELECT " + columns)
	// The expression for each key of the order.
	by := make([]string, len(q.Order))
	w.from(lead)
	for i, o := range q.Order {
		switch c, own := column(o.Key); {
		case o.Key == db.FieldID && lead != nil:
			by[i] = "d.id"
		case own:
			by[i] = c
		case lead != nil && lead.Key == o.Key && single(*lead):
			by[i] = "d.v"
		default: // a missing key and a list sort as nothing
			alias := "o" + string(rune('0'+i))
			w.put(" LEFT JOIN "+t.keys+" "+alias+" ON "+alias+".id = r.id AND "+alias+".k = ? AND "+alias+".v < ?", []byte(o.Key), []byte{listThere})
			by[i] = "COALESCE(" + alias + ".v, " + w.empty() + ")"
		}
	}
	var skip bounds
	if q.After != nil && by[0] == "d.v" { // the last record was in the range; of two ends SQLite may use the wrong one
		skip = bounds{low: !q.Order[0].Desc, high: q.Order[0].Desc}
	}
	w.where(lead, rest, skip)
	if q.After != nil {
		w.put(" AND ")
		w.after(q, by)
	}
	for i, o := range q.Order {
		w.put([]string{" ORDER BY ", ", "}[min(i, 1)] + by[i])
		if o.Desc {
			w.put(" DESC")
		}
	}
	w.put(" LIMIT " + strconv.Itoa(q.Limit)) // SQLite reads half as fast with one that is bound
	return kind.Rebind(w.String()), w.args
}

func newCount(kind sql.Kind, t *table, f db.Filter) (string, []any) {
	w := &text{kind: kind, t: t}
	lead, rest := leader(f, nil)
	w.put("SELECT COUNT(*)")
	w.from(lead)
	w.where(lead, rest, bounds{})
	return kind.Rebind(w.String()), w.args
}

// from begins with the rows of keys that the leading filter finds, or with the
// records.
func (w *text) from(lead *db.Filter) {
	if lead == nil {
		w.put(" FROM " + w.t.rows + " r")
		return
	}
	w.put(" FROM " + w.t.keys + " d JOIN " + w.t.rows + " r ON r.id = d.id")
}

func (w *text) where(lead *db.Filter, rest []db.Filter, skip bounds) {
	if lead == nil {
		w.put(" WHERE 1 = 1")
	} else {
		w.put(" WHERE d.k = ? AND ", []byte(lead.Key))
		w.value("d.v", *lead, skip)
	}
	for _, f := range rest {
		w.put(" AND ")
		w.condition(f, lead == nil)
	}
}

// leader picks the filter by which a search enters the index: one by whose key
// the result is ordered, else the first Equal. rest are the others.
func leader(f db.Filter, order []db.Order) (lead *db.Filter, rest []db.Filter) {
	rest = conjuncts(f, nil)
	pick := -1
	for i, c := range rest {
		if _, own := column(c.Key); own || !single(c) {
			continue
		}
		if len(order) > 0 && c.Key == order[0].Key {
			pick = i
			break
		}
		if c.Op == db.OpEqual && pick < 0 {
			pick = i
		}
	}
	if pick >= 0 {
		l := rest[pick]
		return &l, slices.Delete(rest, pick, pick+1)
	}
	return nil, rest
}

// single reports whether a filter holds for at most one row of keys of a
// record, which then has the value that the record is ordered by.
func single(f db.Filter) bool {
	switch f.Op {
	case db.OpEqual, db.OpLess, db.OpLessOrEqual, db.OpGreater, db.OpGreaterOrEqual, db.OpIn, db.OpPrefix:
		return true
	}
	return false
}

// conjuncts appends the filters that must all hold.
func conjuncts(f db.Filter, to []db.Filter) []db.Filter {
	switch f.Op {
	case db.OpAll:
		return to
	case db.OpAnd:
		for _, s := range f.Filters {
			to = conjuncts(s, to)
		}
		return to
	}
	return append(to, f)
}

// after is what comes after the last record of the page before: greater in the
// first key, or equal in it and greater in the second, and so on.
func (w *text) after(q db.Query, by []string) {
	mixed := slices.ContainsFunc(q.Order, func(o db.Order) bool { return o.Desc != q.Order[0].Desc })
	if !mixed && w.kind != sql.MySQL { // which reads no index for a comparison of rows
		w.put("(" + strings.Join(by, ", ") + ")" + []string{" > ", " < "}[b2i(q.Order[0].Desc)] + "(")
		for i, o := range q.Order {
			w.bound([]string{"", ", "}[min(i, 1)], "", o.Key, q.After[i])
		}
		w.put(")")
		return
	}
	w.bound(by[0], []string{" >= ", " <= "}[b2i(q.Order[0].Desc)], q.Order[0].Key, q.After[0]) // for the index
	w.put(" AND (")
	for i, o := range q.Order {
		if i > 0 {
			w.put(" OR ")
		}
		w.put("(")
		for j := range i {
			w.bound(by[j], " = ", q.Order[j].Key, q.After[j])
			w.put(" AND ")
		}
		w.bound(by[i], []string{" > ", " < "}[b2i(o.Desc)], o.Key, q.After[i])
		w.put(")")
	}
	w.put(")")
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *text) bound(expr, op, key string, v any) {
	w.put(expr + op)
	if _, own := column(key); own {
		w.put("?", own1(v))
		return
	}
	if k := db.SortKey(v); len(k) > 0 {
		w.put("?", k)
	} else {
		w.put(w.empty())
	}
}

// empty is the value of no bytes.
func (w *text) empty() string {
	return [...]string{sql.SQLite: "X''", sql.MySQL: "_binary''", sql.Postgres: "''::bytea"}[w.kind]
}
