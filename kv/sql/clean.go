package sql

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

// Dead rows are kept for a while, so that a watch that was cut off can go on.
const (
	keepDead   = 10 * time.Minute
	cleanEvery = time.Minute
	cleanMost  = 1000 // rows in one transaction
)

// clean removes dead rows behind a write, now and then.
func (d *driver) clean() {
	last, now := d.cleaned.Load(), time.Now().UnixNano()
	if now-last < int64(cleanEvery) || !d.cleaned.CompareAndSwap(last, now) {
		return
	}
	d.cleaning.Go(func() {
		ctx, cancel := context.WithTimeout(d.writes.Context, time.Minute)
		defer cancel()
		for {
			n, err := d.cleanSome(ctx, keepDead, cleanMost)
			if err != nil || n < cleanMost { // what is left is removed another time
				return
			}
		}
	})
}

// cleanSome removes up to most rows that are dead for long enough, and keeps
// the greatest of their revisions: watches behind it start again.
func (d *driver) cleanSome(ctx context.Context, keep time.Duration, most int) (n int, err error) {
	t, err := d.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer t.Rollback()
	_, now, err := d.next(ctx, t, 0)
	if err != nil {
		return 0, err
	}
	found, err := t.QueryContext(ctx, d.kind.Rebind("SELECT k, rev FROM kv_items WHERE until > 0 AND until < ? ORDER BY until LIMIT ?"), now-keep.Milliseconds(), most)
	if err != nil {
		return 0, err
	}
	defer found.Close()
	var (
		keys    []any
		highest int64
	)
	for found.Next() {
		var (
			key []byte
			rev int64
		)
		if err := found.Scan(&key, &rev); err != nil {
			return 0, err
		}
		keys, highest = append(keys, key), max(highest, rev)
	}
	if err := found.Err(); err != nil || len(keys) == 0 {
		return 0, err
	}
	if _, err := t.ExecContext(ctx, d.kind.Rebind("DELETE FROM kv_items WHERE k IN ("+sql.Places(len(keys))+")"), keys...); err != nil {
		return 0, err
	}
	greater := "GREATEST(cleaned, ?)"
	if d.kind == sql.SQLite {
		greater = "MAX(cleaned, ?)"
	}
	if _, err := t.ExecContext(ctx, d.kind.Rebind("UPDATE kv_state SET cleaned = "+greater+" WHERE id = 1"), highest); err != nil {
		return 0, err
	}
	return len(keys), t.Commit()
}
