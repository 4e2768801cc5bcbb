package sql

import (
	"context"
	"strings"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
)

// conditions are those of a filter that the database decides.
type conditions struct {
	text    string // each begins with AND
	args    []any
	indexed bool // one of them is that of an index, and leaves few rows
}

func (d *driver) conditions(f event.Filter) conditions {
	var b strings.Builder
	var c conditions
	add := func(text string, v any) { b.WriteString(" AND " + text); c.args = append(c.args, v) }
	for _, by := range []struct{ column, value string }{{"id", f.ID}, {"root", f.RootID}} {
		if by.value == "" {
			continue
		}
		c.indexed = true
		add(by.column+" = ?", by.value)
		if d.kind == sql.Postgres {
			add(d.indexed(by.column)+" = left(?, 255)", by.value)
		}
	}
	if f.Source != "" {
		add("source = ?", f.Source)
	}
	if f.Subject != "" {
		add("subject = ?", f.Subject)
	}
	if !f.Since.IsZero() {
		add("time >= ?", nanos(f.Since))
	}
	if !f.Until.IsZero() {
		add("time < ?", nanos(f.Until))
	}
	if types := f.Types.List(); len(types) > 0 && len(types) <= 20 && f.ID == "" && !strings.Contains(strings.Join(types, ""), "*") {
		b.WriteString(" AND type IN (" + sql.Places(len(types)) + ")")
		for _, t := range types {
			c.args = append(c.args, t)
		}
	}
	c.text = b.String()
	return c
}

// maxWindow is how many numbers one statement looks at.
const maxWindow = 1 << 16

// find returns up to limit records whose numbers are after one and up to
// another, in order.
//
// Numbers have no gaps, so a window of them bounds what a statement can look at,
// whatever plan the database makes. Without statistics, PostgreSQL believes that
// hardly a row matches, and sorts all that is left of the table for each page.
// The window begins with a page and grows while little is found in it.
func (d *driver) find(ctx context.Context, c conditions, limit int, reverse bool, after, upto int64) ([]*event.Record, error) {
	if c.indexed { // the number must not tempt the planner away from the index
		return d.query(ctx, c, limit, reverse, "seq + 0", after, upto)
	}
	var list []*event.Record
	for size := int64(limit); after < upto && len(list) < limit; size = min(2*size, max(maxWindow, size)) {
		from, to := after, min(after+size, upto)
		if reverse {
			from, to = max(upto-size, after), upto
		}
		found, err := d.query(ctx, c, limit-len(list), reverse, "seq", from, to)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
		if reverse {
			upto = from
		} else {
			after = to
		}
	}
	return list, nil
}

func (d *driver) query(ctx context.Context, c conditions, limit int, reverse bool, seq string, after, upto int64) ([]*event.Record, error) {
	order := ""
	if reverse {
		order = " DESC"
	}
	text := "SELECT " + columns + " FROM " + d.table + " WHERE " + seq + " > ? AND " + seq + " <= ?" + c.text + " ORDER BY seq" + order + " LIMIT ?"
	args := append(append([]any{after, upto}, c.args...), limit)
	rs, err := d.db.Read.QueryContext(ctx, d.kind.Rebind(text), args...)
	if err != nil {
		return nil, sql.ReadError(err)
	}
	list, err := scan(rs)
	return list, sql.ReadError(err)
}
