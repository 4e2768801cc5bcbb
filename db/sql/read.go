package sql

import (
	"context"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

func (d *driver) Get(ctx context.Context, name, id string) (*db.Record, error) {
	r, err := d.reader().get(ctx, d.table(name), id)
	return r, sql.ReadError(err)
}

func (d *driver) Query(ctx context.Context, name string, q db.Query) ([]*db.Record, error) {
	rs, err := d.reader().search(ctx, d.table(name), q)
	return rs, sql.ReadError(err)
}

func (d *driver) Count(ctx context.Context, name string, f db.Filter) (int64, error) {
	n, err := d.reader().count(ctx, d.table(name), f)
	return n, sql.ReadError(err)
}

func (s *session) get(ctx context.Context, t *table, id string) (*db.Record, error) {
	if x := t.existing.Load(); x != nil {
		return x.get(ctx, s, id)
	}
	rows, err := s.query(ctx, t.get, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, err
		}
		return nil, fault.NotFound
	}
	r, err := newLine().record(rows)
	if err != nil {
		return nil, err
	}
	return r, rows.Close() // an id has one row: no Next to find the end
}

func (s *session) search(ctx context.Context, t *table, q db.Query) ([]*db.Record, error) {
	if x := t.existing.Load(); x != nil {
		return x.records(ctx, s, q)
	}
	lead, err := s.lead(ctx, t, q.Filter)
	if err != nil {
		return nil, err
	}
	text, args := newSearch(s.d.kind, t, q, lead)
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return scan(rows, min(q.Limit, 32))
}

func (s *session) count(ctx context.Context, t *table, f db.Filter) (int64, error) {
	text, args, err := s.counting(ctx, t, f)
	if err != nil {
		return 0, err
	}
	return s.number(ctx, text, args...)
}

// counting makes the statement of a count.
func (s *session) counting(ctx context.Context, t *table, f db.Filter) (string, []any, error) {
	if x := t.existing.Load(); x != nil {
		return x.count(f)
	}
	lead, err := s.lead(ctx, t, f)
	if err != nil {
		return "", nil, err
	}
	text, args := newCount(s.d.kind, t, f, lead)
	return text, args, nil
}

// line is where a row is scanned to: once allocated, for all rows of a result.
type line struct {
	id, metadata, contentType string
	version, created, updated number
	data                      []byte
	to                        [7]any
}

func newLine() *line {
	l := &line{}
	l.to = [...]any{&l.id, &l.version, &l.created, &l.updated, &l.metadata, &l.contentType, &l.data}
	return l
}

// number is an integer that is scanned without reflection; into an int64, database/sql
// scans with it.
type number int64

// Scan implements sql.Scanner.
func (n *number) Scan(v any) error {
	if i, ok := v.(int64); ok {
		*n = number(i)
		return nil
	}
	var i dbsql.NullInt64
	err := i.Scan(v)
	if err == nil && !i.Valid {
		err = fault.Markf(fault.Invalid, "NULL for a number")
	}
	*n = number(i.Int64)
	return err
}

// scan reads the records of a result and closes it.
func scan(rows *dbsql.Rows, expect int) ([]*db.Record, error) {
	defer rows.Close()
	rs := make([]*db.Record, 0, expect)
	l := newLine()
	for rows.Next() {
		r, err := l.record(rows)
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, rows.Err()
}

// record reads the row that rows are at.
func (l *line) record(rows *dbsql.Rows) (*db.Record, error) {
	if err := rows.Scan(l.to[:]...); err != nil {
		return nil, err
	}
	md, err := dbvalue.DecodeText(l.metadata)
	if err != nil {
		return nil, err
	}
	return &db.Record{
		ID: l.id, Version: uint64(l.version), Created: time.UnixMicro(int64(l.created)).UTC(), Updated: time.UnixMicro(int64(l.updated)).UTC(),
		Metadata: md, ContentType: l.contentType, Data: l.data,
	}, nil
}
