package sql

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/fault"
)

// records reads what a search finds.
func (x *existing) records(ctx context.Context, s *session, q db.Query) ([]*db.Record, error) {
	text, args, err := x.search(q)
	if err != nil {
		return nil, err
	}
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	keys := slices.Concat(x.own, x.keys)
	row := make([]any, 1+len(keys))
	to := make([]any, len(row))
	for i := range row {
		to[i] = &row[i]
	}
	var rs []*db.Record
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		r, err := x.read(row, keys)
		if err == nil {
			err = x.placed(r, row, q.Order)
		}
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, rows.Err()
}

// placed returns an error for a record after which no page can begin, since its time,
// by which records are sorted, can't be told from NULL.
func (x *existing) placed(r *db.Record, row []any, order []db.Order) error {
	for i, key := range x.own {
		in := slices.ContainsFunc(order, func(o db.Order) bool { return o.Key == key })
		if f := x.fields[key]; in && row[i+1] != nil && f.stored(r.Value(key)) == nil {
			return fault.Markf(fault.Unsupported, "an order by %s, whose column may be NULL and has the time of NULL", key)
		}
	}
	return nil
}

// get reads one record.
func (x *existing) get(ctx context.Context, s *session, id string) (*db.Record, error) {
	rs, err := x.records(ctx, s, db.Query{Filter: db.Equal(db.FieldID, id), Order: []db.Order{{Key: db.FieldID}}, Limit: 1})
	if err == nil && len(rs) == 0 {
		return nil, fault.NotFound
	}
	if err != nil {
		return nil, err
	}
	return rs[0], nil
}

// explain asks the engine for its plan.
func (x *existing) explain(ctx context.Context, s *session, q db.Query) (p db.Plan, err error) {
	text, args, err := x.search(q)
	if err != nil {
		return p, err
	}
	lines, err := s.lines(ctx, explains[x.kind]+text, args)
	if err != nil {
		return p, err
	}
	p.Engine = strings.Join(lines, "\n")
	for name, parts := range x.indexes {
		if regexp.MustCompile(`(^|[\s"` + "`" + `])` + regexp.QuoteMeta(name) + `($|[\s"` + "`" + `])`).MatchString(p.Engine) {
			keys := make([]string, len(parts))
			for i, c := range parts {
				keys[i] = x.names[c.column]
			}
			p.Indexes = append(p.Indexes, strings.Join(keys, ","))
		}
	}
	slices.Sort(p.Indexes)
	p.Indexes = slices.Compact(p.Indexes) // several partitions' are one
	p.Scan, p.Sort = steps(x.kind, p, q)
	return p, nil
}

// read makes a record of a row: the id, then keys, which are own and metadata's.
func (x *existing) read(row []any, keys []string) (*db.Record, error) {
	id, err := x.fields[db.FieldID].value(row[0])
	if err != nil {
		return nil, err
	}
	if id == nil || id == "" {
		return nil, fault.Markf(fault.Unsupported, "existing table %s: a row without an id", x.from)
	}
	r := &db.Record{ID: fmt.Sprint(id)}
	for i, key := range keys {
		v, err := x.fields[key].value(row[i+1])
		if err != nil {
			return nil, err
		}
		switch {
		case v == nil:
		case i < len(x.own):
			if err := x.set(r, key, v); err != nil {
				return nil, err
			}
		default:
			if r.Metadata == nil {
				r.Metadata = map[string]any{}
			}
			r.Metadata[key] = v
		}
	}
	return r, nil
}

// set sets a field of a record. A column of SQLite may hold what its type does not
// say.
func (x *existing) set(r *db.Record, key string, v any) error {
	ok := false
	switch key {
	case db.FieldVersion:
		var n int64
		n, ok = v.(int64)
		r.Version = uint64(n)
	case db.FieldCreated:
		r.Created, ok = v.(time.Time)
	case db.FieldUpdated:
		r.Updated, ok = v.(time.Time)
	case fieldContentType:
		r.ContentType, ok = v.(string)
	case fieldData:
		var text string
		r.Data, ok = v.([]byte)
		if !ok {
			text, ok = v.(string)
			r.Data = []byte(text)
		}
	}
	if !ok {
		return fault.Markf(fault.Unsupported, "column %s has what no record can hold: a %T", x.fields[key].column, v)
	}
	return nil
}
