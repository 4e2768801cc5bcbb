package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/config/store"
)

func (d *driver) Newest(ctx context.Context, namespace string) (store.Record, error) {
	return d.one(ctx, "WHERE namespace = ? ORDER BY number DESC LIMIT 1", namespace)
}

func (d *driver) Read(ctx context.Context, namespace string, number uint64) (store.Record, error) {
	return d.one(ctx, "WHERE namespace = ? AND number = ?", namespace, int64(number))
}

func (d *driver) one(ctx context.Context, where string, args ...any) (store.Record, error) {
	err := d.ready(ctx)
	if err != nil {
		return store.Record{}, err
	}
	row := d.db.Read.QueryRowContext(ctx, d.query("SELECT "+columns+" FROM TABLE_ "+where), args...)
	r, err := scan(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, fmt.Errorf("no such version: %w", store.ErrNotFound)
	}
	return r, d.readError(err)
}

func scan(into func(...any) error) (store.Record, error) {
	var r store.Record
	var number, of, at int64
	var deleted int
	var namespace []byte
	err := into(&namespace, &number, &r.ID, &at, &r.Author, &r.Comment, &r.Action, &r.Path, &of, &r.Checksum, &deleted, &r.Data)
	r.Namespace, r.Number, r.Of, r.Time, r.Deleted = string(namespace), uint64(number), uint64(of), time.UnixMicro(at).UTC(), deleted != 0
	if r.Deleted {
		r.Data = nil
	}
	return r, err
}

func (d *driver) History(ctx context.Context, namespace string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		const page = 100
		cols := strings.TrimSuffix(columns, "data") + "NULL"
		for below := int64(1)<<62 - 1; ; {
			rows, err := d.page(ctx, "SELECT "+cols+" FROM TABLE_ WHERE namespace = ? AND number < ? ORDER BY number DESC LIMIT 100", namespace, below)
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
				below = int64(r.Number)
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			if len(rows) < page {
				return
			}
		}
	}
}

// page reads all rows before any is used: no connection is held while the
// caller does something else.
func (d *driver) page(ctx context.Context, query string, args ...any) ([]store.Record, error) {
	err := d.ready(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := d.db.Read.QueryContext(ctx, d.query(query), args...)
	if err != nil {
		return nil, d.readError(err)
	}
	defer rows.Close()
	var out []store.Record
	for rows.Next() {
		r, err := scan(rows.Scan)
		if err != nil {
			return nil, d.readError(err)
		}
		out = append(out, r)
	}
	return out, d.readError(rows.Err())
}

func (d *driver) Namespaces(ctx context.Context) ([]string, error) {
	newest, err := d.newest(ctx, "")
	return slices.Collect(maps.Keys(newest)), err
}

// newest returns the highest number of each namespace.
func (d *driver) newest(ctx context.Context, where string, args ...any) (map[string]int64, error) {
	err := d.ready(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := d.db.Read.QueryContext(ctx, d.query("SELECT namespace, MAX(number) FROM TABLE_ "+where+" GROUP BY namespace"), args...)
	if err != nil {
		return nil, d.readError(err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name []byte
		var number int64
		if err := rows.Scan(&name, &number); err != nil {
			return nil, d.readError(err)
		}
		out[string(name)] = number
	}
	return out, d.readError(rows.Err())
}
