package sql

import (
	"strings"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/dbvalue"
)

// column is the column of a record's own field.
func column(key string) (name string, ok bool) {
	switch key {
	case db.FieldID:
		return "r.id", true
	case db.FieldVersion:
		return "r.version", true
	case db.FieldCreated:
		return "r.created", true
	case db.FieldUpdated:
		return "r.updated", true
	}
	return "", false
}

// ownValue is what a field's column holds for a value.
func ownValue(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.UnixMicro()
	}
	return v
}

// condition writes a filter. aside keeps SQLite from using the key's index.
func (w *text) condition(f db.Filter, aside bool) {
	switch f.Op {
	case db.OpAll:
		w.put("1 = 1")
		return
	case db.OpAnd, db.OpOr:
		if len(f.Filters) == 0 {
			w.put(either(f.Op == db.OpAnd, "1 = 1", "1 = 0"))
			return
		}
		for i, s := range f.Filters {
			w.put(either(i == 0, "(", either(f.Op == db.OpAnd, " AND ", " OR ")))
			w.condition(s, aside)
		}
		w.put(")")
		return
	case db.OpNot:
		w.put("NOT (")
		w.condition(f.Filters[0], aside)
		w.put(")")
		return
	case db.OpNotEqual:
		f.Op = db.OpEqual
		w.condition(db.Not(f), aside)
		return
	}
	if c, ok := column(f.Key); ok {
		if aside {
			c = "+" + c
		}
		w.own(c, f)
		return
	}
	if f.Op == db.OpMatch {
		w.match(f)
		return
	}
	v := w.t.key(w.kind, f.Key)
	if aside {
		v = "+" + v
	}
	w.value(v, f)
}

// value writes what a filter says of a key's sortable text, which is empty for a
// record without the key.
func (w *text) value(v string, f db.Filter) {
	switch f.Op {
	case db.OpExists:
		w.put(v+" > ?", w.arg(""))
		return
	case db.OpIn:
		w.put(v + " IN (")
		for i, e := range f.Values {
			w.put(either(i == 0, "?", ", ?"), w.arg(sortable(e)))
		}
		w.put(")")
		return
	case db.OpHas:
		w.has(f)
		return
	case db.OpContains:
		w.put("("+v+" >= ? AND "+v+" < ?", w.arg("s"), w.arg("t"))
		if s := f.Value.(string); s != "" {
			w.put(" AND ")
			w.contains("SUBSTR("+v+", 2)", w.arg(escape(s)))
		}
		w.put(" OR ")
		w.has(f)
		w.put(")")
		return
	}
	k := sortable(f.Value)
	if f.Op == db.OpEqual {
		w.put(v+" = ?", w.arg(k))
		return
	}
	low, high, place := " >= ", " < ", w.place("text")
	from, to := k[:1], string(k[0]+1) // values of other types don't compare
	switch f.Op {
	case db.OpLess:
		to = k
	case db.OpLessOrEqual:
		to, high = k, " <= "
	case db.OpGreater:
		from, low = k, " > "
	case db.OpGreaterOrEqual:
		from = k
	case db.OpPrefix:
		from = k
		if end, ok := dbvalue.Successor(k); ok {
			to = end
		}
	}
	w.put("("+v+low+place+" AND "+v+high+place+")", w.arg(from), w.arg(to))
}

// has finds a list with an element.
func (w *text) has(f db.Filter) {
	w.put("r.id IN (SELECT l.id FROM "+w.t.lists+" l WHERE l.k = ? AND l.v = ?)", w.arg(escape(f.Key)), w.arg(escape(f.Value.(string))))
}

// contains finds a text in another.
func (w *text) contains(v string, part any) {
	if w.kind == sql.Postgres {
		w.put("STRPOS("+v+", ?) > 0", part)
		return
	}
	w.put("INSTR("+v+", ?) > 0", part)
}

// own writes a filter on a record's own field.
func (w *text) own(c string, f db.Filter) {
	op := string(f.Op)
	if f.Key == db.FieldID {
		w.id(f)
		return
	}
	switch f.Op {
	case db.OpExists:
		w.put("1 = 1")
	case db.OpIn:
		w.put(c + " IN (")
		for i, e := range f.Values {
			w.put(either(i == 0, "?", ", ?"), ownValue(e))
		}
		w.put(")")
	default:
		w.put(c+" "+op+" "+w.place("bigint"), ownValue(f.Value))
	}
}

// id writes a filter on the id, which has no control characters: PostgreSQL
// takes no text with a NUL, and need not be asked.
func (w *text) id(f db.Filter) {
	const c = "r.id"
	switch f.Op {
	case db.OpExists:
		w.put("1 = 1")
		return
	case db.OpIn:
		w.put(c + " IN (''")
		for _, e := range f.Values {
			if s := e.(string); strings.IndexByte(s, 0) < 0 {
				w.put(", ?", s)
			}
		}
		w.put(")")
		return
	}
	s := f.Value.(string)
	if before, _, nul := strings.Cut(s, "\x00"); nul {
		switch f.Op { // s is right after before, and before all that begins with it
		case db.OpLess, db.OpLessOrEqual:
			w.put(c+" <= "+w.place("text"), before)
		case db.OpGreater, db.OpGreaterOrEqual:
			w.put(c+" > "+w.place("text"), before)
		default:
			w.put("1 = 0")
		}
		return
	}
	switch f.Op {
	case db.OpPrefix:
		w.put(c+" >= "+w.place("text"), s)
		if end, ok := dbvalue.Successor(s); ok {
			w.put(" AND "+c+" < "+w.place("text"), end)
		}
	case db.OpContains:
		if s == "" {
			w.put("1 = 1")
			return
		}
		w.contains(c, s)
	default:
		w.put(c+" "+string(f.Op)+" "+w.place("text"), s)
	}
}
