package sql

import (
	"context"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

func (d *driver) Get(ctx context.Context, name, id string) (*db.Record, error) {
	r, err := (&session{d: d}).get(ctx, d.table(name), id)
	return r, sql.ReadError(err)
}

func (d *driver) Query(ctx context.Context, name string, q db.Query) ([]*db.Record, error) {
	rs, err := (&session{d: d}).search(ctx, d.table(name), q)
	return rs, sql.ReadError(err)
}

func (d *driver) Count(ctx context.Context, name string, f db.Filter) (int64, error) {
	n, err := (&session{d: d}).count(ctx, d.table(name), f)
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
	rs, err := scan(rows, 1)
	if err == nil && len(rs) == 0 {
		return nil, fault.NotFound
	}
	if err != nil {
		return nil, err
	}
	return rs[0], nil
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
	return scan(rows, min(q.Limit, 16))
}

func (s *session) count(ctx context.Context, t *table, f db.Filter) (int64, error) {
	text, args, err := s.counting(ctx, t, f)
	if err != nil {
		return 0, err
	}
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var n int64
	if rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
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
	id, contentType           string
	version, created, updated int64
	metadata                  dbsql.RawBytes
	data                      []byte
	to                        [7]any
}

func newLine() *line {
	l := &line{}
	l.to = [...]any{&l.id, &l.version, &l.created, &l.updated, &l.metadata, &l.contentType, &l.data}
	return l
}

// scan reads the records of a result and closes it.
func scan(rows *dbsql.Rows, expect int) ([]*db.Record, error) {
	defer rows.Close()
	rs := make([]*db.Record, 0, expect)
	l := newLine()
	for rows.Next() {
		if err := rows.Scan(l.to[:]...); err != nil {
			return nil, err
		}
		md, err := dbdriver.DecodeMetadata(l.metadata)
		if err != nil {
			return nil, err
		}
		rs = append(rs, &db.Record{
			ID: l.id, Version: uint64(l.version), Created: time.UnixMicro(l.created).UTC(), Updated: time.UnixMicro(l.updated).UTC(),
			Metadata: md, ContentType: l.contentType, Data: l.data,
		})
	}
	return rs, rows.Err()
}
