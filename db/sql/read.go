package sql

import (
	"context"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/db"
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
	text, args := newSearch(s.d.kind, t, q)
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return scan(rows, min(q.Limit, 16))
}

func (s *session) count(ctx context.Context, t *table, f db.Filter) (int64, error) {
	text, args := newCount(s.d.kind, t, f)
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

// scan reads the records of a result and closes it.
func scan(rows *dbsql.Rows, expect int) ([]*db.Record, error) {
	defer rows.Close()
	rs := make([]*db.Record, 0, expect)
	var md dbsql.RawBytes
	for rows.Next() {
		r := &db.Record{}
		var version, created, updated int64
		if err := rows.Scan(&r.ID, &version, &created, &updated, &md, &r.ContentType, &r.Data); err != nil {
			return nil, err
		}
		var err error
		if r.Metadata, err = db.DecodeMetadata(md); err != nil {
			return nil, err
		}
		r.Version, r.Created, r.Updated = uint64(version), time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		rs = append(rs, r)
	}
	return rs, rows.Err()
}
