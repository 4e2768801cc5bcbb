package sql

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
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

// own1 is what a field's column holds for a value.
func own1(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.UnixMicro()
	}
	return v
}

// condition writes a filter. enter says that nothing has narrowed the records
// yet, so that the index of keys should.
func (w *text) condition(f db.Filter, enter bool) {
	switch f.Op {
	case db.OpAll:
		w.put("1 = 1")
		return
	case db.OpAnd, db.OpOr:
		w.put("(" + map[db.Operator]string{db.OpAnd: "1 = 1", db.OpOr: "1 = 0"}[f.Op])
		for _, s := range f.Filters {
			w.put(map[db.Operator]string{db.OpAnd: " AND ", db.OpOr: " OR "}[f.Op])
			w.condition(s, enter)
		}
		w.put(")")
		return
	case db.OpNot:
		w.put("NOT (")
		w.condition(f.Filters[0], false)
		w.put(")")
		return
	case db.OpNotEqual:
		f.Op = db.OpEqual
		w.condition(db.Not(f), false)
		return
	}
	if c, ok := column(f.Key); ok {
		w.own(c, f)
		return
	}
	if enter {
		w.put("r.id IN (SELECT m.id FROM "+w.t.keys+" m WHERE m.k = ?", []byte(f.Key))
	} else {
		w.put("EXISTS (SELECT 1 FROM "+w.t.keys+" m WHERE m.id = r.id AND m.k = ?", []byte(f.Key))
	}
	if f.Op != db.OpExists {
		w.put(" AND ")
		w.value("m.v", f, bounds{})
	}
	w.put(")")
}

// value writes what a filter says of a key's value, as bytes, without the ends
// to skip of a range.
func (w *text) value(v string, f db.Filter, skip bounds) {
	switch f.Op {
	case db.OpIn:
		w.put(v + " IN (")
		for i, e := range f.Values {
			w.put([]string{"?", ", ?"}[min(i, 1)], db.SortKey(e))
		}
		w.put(")")
		return
	case db.OpContains:
		s := f.Value.(string)
		w.put("("+v+" >= ? AND "+v+" < ?", []byte("s"), []byte("t"))
		if s != "" {
			w.put(" AND ")
			w.contains(v, 2, []byte(s))
		}
		w.put(" OR "+v+" = ?)", append([]byte{listElement}, s...))
		return
	}
	k := db.SortKey(f.Value)
	if f.Op == db.OpEqual {
		w.put(v+" = ?", k)
		return
	}
	low, high := "1 = 1", "1 = 1"
	if !skip.low {
		low = v + " >= ?"
	}
	if !skip.high {
		high = v + " < ?"
	}
	from, to := []byte{k[0]}, []byte{k[0] + 1} // values of other types don't compare
	switch f.Op {
	case db.OpLess:
		to = k
	case db.OpLessOrEqual:
		to, high = k, strings.Replace(high, "<", "<=", 1)
	case db.OpGreater:
		from, low = k, strings.Replace(low, ">=", ">", 1)
	case db.OpGreaterOrEqual:
		from = k
	case db.OpPrefix:
		from, to = k, append([]byte(nil), k...)
		to[len(to)-1]++ // UTF-8 has no byte 0xff
	}
	w.put(low)
	if !skip.low {
		w.args = append(w.args, from)
	}
	w.put(" AND " + high)
	if !skip.high {
		w.args = append(w.args, to)
	}
}

// bounds are ends of a range.
type bounds struct{ low, high bool }

// contains finds bytes in a column from a position on.
func (w *text) contains(v string, from int, part any) {
	at := v
	if from > 1 {
		at = "SUBSTR(" + v + ", 2)"
	}
	switch w.kind {
	case sql.Postgres:
		w.put("POSITION(?::bytea IN "+at+") > 0", part)
	default:
		w.put("INSTR("+at+", ?) > 0", part)
	}
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
			w.put([]string{"?", ", ?"}[min(i, 1)], own1(e))
		}
		w.put(")")
	default:
		w.put(c+" "+op+" ?", own1(f.Value))
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
			w.put(c+" <= ?", before)
		case db.OpGreater, db.OpGreaterOrEqual:
			w.put(c+" > ?", before)
		default:
			w.put("1 = 0")
		}
		return
	}
	switch f.Op {
	case db.OpPrefix:
		w.put(c+" >= ?", s)
		if end, ok := successor(s); ok {
			w.put(" AND "+c+" < ?", end)
		}
	case db.OpContains:
		if s == "" {
			w.put("1 = 1")
		} else if w.kind == sql.Postgres {
			w.put("POSITION(? IN "+c+") > 0", s)
		} else {
			w.put("INSTR("+c+", ?) > 0", s)
		}
	default:
		w.put(c+" "+string(f.Op)+" ?", s)
	}
}

// successor returns the least UTF-8 above all that begins with a prefix.
func successor(prefix string) (string, bool) {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == 0xd7ff:
			return prefix + "\ue000", true
		case r < utf8.MaxRune:
			return prefix + string(r+1), true
		}
	}
	return "", false
}
