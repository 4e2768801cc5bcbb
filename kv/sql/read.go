package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/kv"
)

// scan reads columns.
func scan(scan func(...any) error) (item kv.Item, dead bool, err error) {
	var (
		key        []byte
		until, now int64
		rev        int64
	)
	if err := scan(&key, &item.Value, &rev, &until, &now); err != nil {
		return item, false, err
	}
	item.Key, item.Revision = string(key), kv.Revision(rev)
	if item.Value == nil {
		item.Value = []byte{}
	}
	if until > 0 {
		item.Expires = time.Now().Add(time.Duration(until-now) * time.Millisecond)
	}
	return item, until > 0 && until <= now, nil
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	if err := d.tables.Make(ctx); err != nil {
		return kv.Item{}, err
	}
	item, _, err := scan(d.row(ctx, []byte(key)).Scan)
	switch {
	case err == nil:
		return item, nil
	case errors.Is(err, dbsql.ErrNoRows):
		return kv.Item{}, kv.ErrNotFound
	}
	return kv.Item{}, d.readError(err)
}

// row looks a key up.
func (d *driver) row(ctx context.Context, key []byte) *dbsql.Row {
	if s := d.quick.Load(); s != nil {
		return s.QueryRowContext(ctx, key)
	}
	if d.kind == sql.SQLite {
		s, err := d.db.Read.PrepareContext(ctx, d.get)
		if err == nil && !d.quick.CompareAndSwap(nil, s) {
			_ = s.Close() // another was faster
		}
	}
	return d.db.Read.QueryRowContext(ctx, d.get, key)
}

// perStatement is how many keys one statement names.
const perStatement = 100

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	if err := d.tables.Make(ctx); err != nil {
		return nil, err
	}
	items := make(map[string]kv.Item, len(keys))
	bad := map[string]error{}
	for chunk := range slices.Chunk(keys, perStatement) {
		args := make([]any, len(chunk))
		for i, k := range chunk {
			args[i] = []byte(k)
		}
		_, err := d.page(ctx, "k IN ("+sql.Places(len(chunk))+") AND "+alive, args, func(item kv.Item, _ bool) { items[item.Key] = item })
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			for _, key := range chunk {
				bad[key] = err
			}
		}
	}
	if len(bad) > 0 {
		return items, &kv.BatchError{Errors: bad}
	}
	return items, nil
}

// A page has no more items, and not much more bytes of values.
const (
	perPage      = 256
	bytesPerPage = 4 << 20
)

// page calls f for the items of a query until the page is full, which it reports.
func (d *driver) page(ctx context.Context, where string, args []any, f func(item kv.Item, dead bool)) (full bool, err error) {
	ctx, cancel := sql.Bound(ctx)
	defer cancel()
	rows, err := d.db.Read.QueryContext(ctx, d.kind.Text("SELECT "+columns+" FROM kv_items WHERE "+where), args...)
	if err != nil {
		return false, d.readError(err)
	}
	defer rows.Close()
	for n, size := 0, 0; rows.Next(); {
		item, dead, err := scan(rows.Scan)
		if err != nil {
			return false, d.readError(err)
		}
		f(item, dead)
		n++
		size += len(item.Value)
		if n == perPage || size > bytesPerPage {
			return true, nil
		}
	}
	return false, d.readError(rows.Err())
}

func (d *driver) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		if err := d.tables.Make(ctx); err != nil {
			yield(kv.Item{}, err)
			return
		}
		from, end := prefix, endOf(prefix)
		if after >= from {
			from = after + "\x00"
		}
		for {
			var items []kv.Item // so that no connection is held while the caller works
			full, err := d.page(ctx, "k >= ? AND k < ? AND "+alive+" ORDER BY k LIMIT 256", []any{[]byte(from), end}, func(item kv.Item, _ bool) { items = append(items, item) })
			if err != nil {
				yield(kv.Item{}, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if !full {
				return
			}
			from = items[len(items)-1].Key + "\x00"
		}
	}
}

// endOf is the first key after all that begin with prefix. 0xff is in no key.
func endOf(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0xff}
}
