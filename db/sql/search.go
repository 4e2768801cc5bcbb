package sql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
)

// statement is a statement in the making, with its arguments.
type statement struct {
	strings.Builder
	args []any
}

func (w *statement) put(s string, args ...any) {
	w.WriteString(s)
	w.args = append(w.args, args...)
}

// page writes the order and the limit of a search.
func (w *statement) page(order []db.Order, by []string, limit int) {
	for i, o := range order {
		w.put(either(i == 0, " ORDER BY ", ", ") + by[i] + either(o.Desc, " DESC", ""))
	}
	w.put(" LIMIT " + strconv.Itoa(limit)) // SQLite reads half as fast with one that is bound
}

func either(is bool, then, otherwise string) string {
	if is {
		return then
	}
	return otherwise
}

// text is a statement over a table of ours.
type text struct {
	statement
	kind sql.Kind
	t    *table
	lead string // SQLite: the key whose index is to be used; "": any

	// PostgreSQL is to plan ranges without their bounds.
	blind bool
}

// newSearch makes the statement of a search. lead is the key whose index SQLite
// is to use.
func newSearch(kind sql.Kind, t *table, q db.Query, lead string) (string, []any) {
	w := &text{kind: kind, t: t, lead: lead}
	read := columns
	if q.NoData {
		read = strings.Replace(columns, "r.content_type, r.data", "'', NULL", 1)
	}
	w.put("SELECT " + read + " FROM " + t.rows + " r")
	must := q.Filter.Conjuncts()
	w.blind = kind == sql.Postgres && ranges(must, q.Order[0].Key)
	w.where(must)
	by := make([]string, len(q.Order)) // the expression for each key of the order
	for i, o := range q.Order {
		by[i] = w.expr(o.Key)
	}
	if q.After != nil {
		w.put(either(len(must) == 0, " WHERE ", " AND "))
		w.after(q, by)
	}
	w.page(q.Order, by, q.Limit)
	return kind.Rebind(w.String()), w.args
}

func newCount(kind sql.Kind, t *table, f db.Filter, lead string) (string, []any) {
	w := &text{kind: kind, t: t, lead: lead}
	w.put("SELECT COUNT(*) FROM " + t.rows + " r")
	w.where(f.Conjuncts())
	return kind.Rebind(w.String()), w.args
}

// where writes the filters that must all match.
func (w *text) where(must []db.Filter) {
	for i, f := range must {
		w.put(either(i == 0, " WHERE ", " AND "))
		w.condition(f, w.lead != "" && w.lead != f.Key)
	}
}

// ranges reports whether filters are ranges of the key that leads the order. Then the
// search goes by that key's index whatever the bounds are, and PostgreSQL plans it once.
// With the bounds it would plan each search again as long as it takes a range for
// smaller than the page, as it does of texts.
func ranges(must []db.Filter, key string) bool {
	return !slices.ContainsFunc(must, func(f db.Filter) bool {
		return f.Key != key || !slices.Contains([]db.Operator{db.OpLess, db.OpLessOrEqual, db.OpGreater, db.OpGreaterOrEqual, db.OpPrefix}, f.Op)
	})
}

// place is the placeholder for a bound of a range.
func (w *text) place(typ string) string {
	if w.blind {
		return "(SELECT ?::" + typ + ")"
	}
	return "?"
}

// expr is the expression for a metadata key or a field.
func (w *text) expr(key string) string {
	if c, own := column(key); own {
		return c
	}
	return w.t.key(w.kind, key)
}

// after is what comes after the last record of the page before: greater in the
// first key, or equal in it and greater in the second, and so on.
func (w *text) after(q db.Query, by []string) {
	mixed := slices.ContainsFunc(q.Order, func(o db.Order) bool { return o.Desc != q.Order[0].Desc })
	if !mixed && w.kind != sql.MySQL { // which reads no index for a comparison of rows
		w.put("(" + strings.Join(by, ", ") + ")" + either(q.Order[0].Desc, " < ", " > ") + "(")
		for i, o := range q.Order {
			w.bound(either(i == 0, "", ", "), "", o.Key, q.After[i])
		}
		w.put(")")
		return
	}
	w.bound(by[0], either(q.Order[0].Desc, " <= ", " >= "), q.Order[0].Key, q.After[0]) // for the index
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
		w.bound(by[i], either(o.Desc, " < ", " > "), o.Key, q.After[i])
		w.put(")")
	}
	w.put(")")
}

func (w *text) bound(expr, op, key string, v any) {
	if _, own := column(key); own {
		w.put(expr+op+"?", ownValue(v))
		return
	}
	w.put(expr+op+"?", w.arg(sortable(v)))
}

// arg is a sortable text as an argument: MySQL compares bytes with bytes.
func (w *text) arg(s string) any {
	if w.kind == sql.MySQL {
		return []byte(s)
	}
	return s
}
