package sql

import (
	"math"
	"slices"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// mappedQuery is a statement over an existing table.
type mappedQuery struct {
	statement
	x   *existing
	err error // of the first key or value that can't be asked for
}

func (w *mappedQuery) fail(kind error, format string, args ...any) {
	if w.err == nil {
		w.err = fault.Markf(kind, format, args...)
	}
}

func (w *mappedQuery) text() (string, []any, error) {
	return w.x.kind.Rebind(w.String()), w.args, w.err
}

// field returns the column of a key; "" stands for none, which is a missing key.
func (w *mappedQuery) field(key string) mappedColumn {
	f, ok := w.x.fields[key]
	if !ok && strings.HasPrefix(key, "@") {
		w.fail(fault.Unsupported, "the existing table has no column for %s", key)
	}
	return f
}

// search makes the statement of a search.
func (x *existing) search(q db.Query) (string, []any, error) {
	w := &mappedQuery{x: x}
	w.put("SELECT " + x.fields[db.FieldID].expr(x.kind))
	for _, key := range slices.Concat(x.own, x.keys) {
		if q.NoData && (key == fieldData || key == fieldContentType) {
			w.put(", NULL")
			continue
		}
		f := x.fields[key]
		expr := f.expr(x.kind)
		in := slices.ContainsFunc(q.Order, func(o db.Order) bool { return o.Key == key })
		if in && x.kind == sql.Postgres && f.class.timed() {
			expr = f.column // an infinite time is an error: no page can begin after it
		}
		if in && f.dated(x.kind) { // nor after a zero date
			expr = "COALESCE(" + expr + ", IF(" + f.column + " IS NULL, NULL, 'a zero date'))"
		}
		w.put(", " + expr)
	}
	w.put(" FROM " + x.from + " r WHERE ")
	w.condition(q.Filter)
	w.orderable(q.Order)
	order := slices.DeleteFunc(slices.Clone(q.Order), func(o db.Order) bool { return x.missing(o.Key) })
	if q.After != nil {
		after := make([]any, 0, len(order))
		for i, o := range q.Order {
			if !x.missing(o.Key) {
				after = append(after, w.field(o.Key).stored(q.After[i]))
			}
		}
		w.put(" AND ")
		w.after(order, after)
	}
	by := make([]string, len(order))
	for i, o := range order {
		by[i] = w.field(o.Key).sorted(x.kind)
	}
	w.page(order, by, q.Limit)
	return w.text()
}

// orderable notes an order by lists, which the engine sorts in another way than pages
// go on.
func (w *mappedQuery) orderable(order []db.Order) {
	for _, o := range order {
		if w.x.fields[o.Key].class == classTexts {
			w.fail(fault.Unsupported, "an order by %q, whose values are lists in an existing table", o.Key)
		}
	}
}

// missing reports whether no record has a metadata key, by which nothing is sorted.
func (x *existing) missing(key string) bool {
	_, ok := x.fields[key]
	return !ok && !strings.HasPrefix(key, "@")
}

func (x *existing) count(f db.Filter) (string, []any, error) {
	w := &mappedQuery{x: x}
	w.put("SELECT COUNT(*) FROM " + x.from + " r WHERE ")
	w.condition(f)
	return w.text()
}

// after is what comes after the last record of the page before.
func (w *mappedQuery) after(order []db.Order, at []any) {
	if first := w.field(order[0].Key); at[0] != nil && (first.notNull || w.nullsFirst(order[0])) { // for the index
		w.compare(first, either(order[0].Desc, " <= ", " >= "), at[0])
		w.put(" AND ")
	}
	for i, o := range order {
		w.put(either(i == 0, "(", " OR ") + "(")
		for j := range i {
			if f := w.field(order[j].Key); at[j] == nil {
				w.put(f.column + " IS NULL")
			} else {
				w.compare(f, " = ", at[j])
			}
			w.put(" AND ")
		}
		f, last := w.field(o.Key), !w.nullsFirst(o)
		switch {
		case at[i] == nil && last:
			w.put("1 = 0")
		case at[i] == nil:
			w.put(f.column + " IS NOT NULL")
		default:
			w.put("(")
			w.compare(f, either(o.Desc, " < ", " > "), at[i])
			if last && !f.notNull {
				w.put(" OR " + f.column + " IS NULL")
			}
			w.put(")")
		}
		w.put(")")
	}
	w.put(")")
}

// nullsFirst reports whether the engine has columns without a value first in an
// order.
func (w *mappedQuery) nullsFirst(o db.Order) bool { return (w.x.kind == sql.Postgres) == o.Desc }

// compare writes a comparison in an order.
func (w *mappedQuery) compare(f mappedColumn, op string, v any) {
	arg, ok := f.arg(w.x.kind, v)
	if !ok {
		w.fail(fault.Invalid, "%s is compared with a %T", f.key, v)
	}
	w.put(f.sorted(w.x.kind)+op+f.place(w.x.kind), arg)
}

// condition writes a filter, which is NULL for some records that don't match.
func (w *mappedQuery) condition(f db.Filter) {
	switch f.Op {
	case db.OpAll:
		w.put("1 = 1")
	case db.OpAnd, db.OpOr:
		w.put(either(f.Op == db.OpAnd, "(1 = 1", "(1 = 0"))
		for _, s := range f.Filters {
			w.put(either(f.Op == db.OpAnd, " AND ", " OR "))
			w.condition(s)
		}
		w.put(")")
	case db.OpNot:
		w.put("NOT COALESCE((")
		w.condition(f.Filters[0])
		w.put("), 1 = 0)")
	case db.OpNotEqual:
		f.Op = db.OpEqual
		w.condition(db.Not(f))
	default:
		w.filter(w.field(f.Key), f)
	}
}

// filter writes a filter on one column.
func (w *mappedQuery) filter(c mappedColumn, f db.Filter) {
	switch {
	case c.class == classTexts && (f.Op == db.OpHas || f.Op == db.OpContains):
		w.element(c, f.Value.(string))
	case c.column == "" || f.Op == db.OpHas: // nobody has it; and it is no list
		w.put("1 = 0")
	case f.Op == db.OpExists && c.dated(w.x.kind):
		w.put("(" + c.column + " IS NOT NULL AND " + c.expr(w.x.kind) + " IS NOT NULL)")
	case f.Op == db.OpExists:
		w.put(c.column + " IS NOT NULL")
	case f.Op == db.OpEqual:
		w.equal(c, f.Value)
	case f.Op == db.OpIn:
		w.put("(1 = 0")
		for _, v := range f.Values {
			w.put(" OR ")
			w.equal(c, v)
		}
		w.put(")")
	case f.Op == db.OpPrefix || f.Op == db.OpContains:
		w.part(c, f.Op, f.Value.(string))
	case f.Op == db.OpMatch:
		w.put("1 = 0") // nothing is declared with FullText
	default:
		w.between(c, f.Op, f.Value)
	}
}

// equal is exact: a collation may take other strings for the same.
func (w *mappedQuery) equal(c mappedColumn, v any) {
	arg, ok := c.arg(w.x.kind, v)
	s, text := arg.(string)
	if !ok || text && w.x.kind == sql.Postgres && strings.Contains(s, "\x00") {
		w.put("1 = 0")
		return
	}
	if c.enum != nil && slices.Contains(c.enum.values, s) { // by its index
		w.put(c.column+"::"+c.enum.name+" = ?::"+c.enum.name, arg)
		return
	}
	w.put("("+c.ref(w.x.kind)+" = "+c.place(w.x.kind), arg)
	if text && c.class == classText {
		switch w.x.kind {
		case sql.SQLite:
			w.put(" AND "+c.column+" = ? COLLATE BINARY", arg)
		case sql.MySQL:
			w.put(" AND CAST(CONVERT("+c.column+" USING utf8mb4) AS BINARY) = CAST(? AS BINARY)", arg)
		default:
			w.put(" AND "+c.ref(w.x.kind)+` = ?::text COLLATE "C"`, arg)
		}
	}
	w.put(")")
}

// element finds lists with a string.
func (w *mappedQuery) element(c mappedColumn, s string) {
	if strings.Contains(s, "\x00") {
		w.put("1 = 0")
		return
	}
	list := c.column + "::text[]"
	w.put("("+list+" @> ARRAY[?::text] AND ?::text COLLATE \"C\" = ANY("+list+"))", s, s) // by a GIN index, and then exactly
}

// part finds strings that begin with another one, or contain it.
func (w *mappedQuery) part(c mappedColumn, op db.Operator, s string) {
	column, kind := c.column, w.x.kind
	switch {
	case c.enum != nil:
		column = c.ref(kind)
	case c.class == classUUID || c.class == classInteger && c.key == db.FieldID:
		column = map[sql.Kind]string{sql.SQLite: "CAST(" + column + " AS TEXT)", sql.MySQL: "CAST(" + column + " AS CHAR)", sql.Postgres: column + "::text"}[kind]
	case c.class != classText:
		w.put("1 = 0")
		return
	}
	nul := strings.Contains(s, "\x00")
	switch {
	case s == "":
		w.put(c.column + " IS NOT NULL")
	case kind == sql.Postgres && nul:
		w.put("1 = 0")
	case op == db.OpContains && kind == sql.Postgres:
		w.put("STRPOS("+column+", ?::text) > 0", s)
	case op == db.OpContains && kind == sql.MySQL:
		w.put("LOCATE(CAST(? AS BINARY), CAST(CONVERT("+column+" USING utf8mb4) AS BINARY)) > 0", s)
	case op == db.OpContains || nul:
		w.put("INSTR("+column+", ?) "+either(op == db.OpContains, "> 0", "= 1"), s)
	case kind == sql.Postgres:
		w.put(column+" LIKE ?::text ESCAPE '|'", likeSigns.Replace(s)+"%")
	case kind == sql.MySQL: // by the index, and then exactly
		w.put("("+column+" LIKE ? ESCAPE '|' AND LOCATE(CAST(? AS BINARY), CAST(CONVERT("+column+" USING utf8mb4) AS BINARY)) = 1)", likeSigns.Replace(s)+"%", s)
	default:
		w.put(column+" GLOB ?", globSigns.Replace(s)+"*")
	}
}

var (
	likeSigns = strings.NewReplacer("|", "||", "%", "|%", "_", "|_")
	globSigns = strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]")
)

// The operators that say of a bound's neighbour, which is just below or just above
// it, what is said of the bound.
var (
	fromBelow = map[db.Operator]db.Operator{db.OpLess: db.OpLessOrEqual, db.OpLessOrEqual: db.OpLessOrEqual, db.OpGreater: db.OpGreater, db.OpGreaterOrEqual: db.OpGreater}
	fromAbove = map[db.Operator]db.Operator{db.OpLess: db.OpLess, db.OpLessOrEqual: db.OpLess, db.OpGreater: db.OpGreaterOrEqual, db.OpGreaterOrEqual: db.OpGreaterOrEqual}
)

// between writes Less, LessOrEqual, Greater or GreaterOrEqual.
func (w *mappedQuery) between(c mappedColumn, op db.Operator, v any) {
	kind := w.x.kind
	if s, ok := v.(string); ok && (c.class == classText || c.class == classUUID && !isUUID(s)) {
		if before, _, nul := strings.Cut(s, "\x00"); nul && kind == sql.Postgres { // s is right after before
			s = before
			op = fromBelow[op]
		}
		if c.class == classUUID {
			w.put(c.column+`::text COLLATE "C" `+string(op)+" ?::text", s)
			return
		}
		v = s
	}
	switch n := v.(type) {
	case float64:
		if c.class == classInteger && kind != sql.SQLite { // the integer next to it says the same
			if n >= 1<<63 || n < -1<<63 {
				w.put(either((n > 0) == (op == db.OpLess || op == db.OpLessOrEqual), c.column+" IS NOT NULL", "1 = 0"))
				return
			}
			if r := math.Floor(n); r != n {
				v = int64(r)
				op = fromBelow[op]
			}
		}
	case int64:
		if c.class == classFloat || c.class == classInexact { // the float next to it
			if r := float64(n); r >= 1<<63 || int64(r) > n {
				v, op = r, fromAbove[op]
			} else if int64(r) < n {
				v, op = r, fromBelow[op]
			}
		}
	}
	arg, ok := c.arg(kind, v)
	switch {
	case ok && c.dated(kind):
		w.put("("+c.ref(kind)+" "+string(op)+" "+c.place(kind)+" AND "+c.expr(kind)+" IS NOT NULL)", arg)
	case ok:
		w.put(c.ref(kind)+" "+string(op)+" "+c.place(kind), arg)
	case c.key == db.FieldID && c.class == classInteger:
		w.fail(fault.Invalid, "the ids of this table are integers, and are compared with %q", v)
	default:
		w.put("1 = 0")
	}
}
