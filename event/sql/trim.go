package sql

import (
	"context"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
)

// trimBatch is how many records one transaction removes.
const trimBatch = 1000

func (d *driver) Trim(ctx context.Context, keep event.Retention) (int64, error) {
	for total := int64(0); ; {
		n, err := d.trim(ctx, keep)
		total += n
		if err != nil || n < trimBatch {
			return total, err
		}
	}
}

// trim removes one batch at most.
func (d *driver) trim(ctx context.Context, keep event.Retention) (removed int64, err error) {
	err = d.tx(ctx, func(t *tx) error {
		removed = 0
		if err := d.balance(ctx, t); err != nil {
			return err
		}
		var last, trimmed, bytes, now int64
		err := t.row(ctx, "SELECT last, trimmed, bytes, "+d.now()+" FROM event_streams WHERE stream = ?"+t.forUpdate(), d.stream).Scan(&last, &trimmed, &bytes, &now)
		if err != nil {
			return err
		}
		limit, err := d.needed(ctx, t, last)
		if err != nil {
			return err
		}
		rs, err := t.query(ctx, "SELECT seq, stored, size FROM "+d.table+" WHERE seq <= ? ORDER BY seq LIMIT ?", limit, trimBatch)
		if err != nil {
			return err
		}
		upto, freed := int64(0), int64(0)
		for rs.Next() {
			var seq, stored, size int64
			if err := rs.Scan(&seq, &stored, &size); err != nil {
				rs.Close()
				return err
			}
			old := keep.Age > 0 && now-stored > keep.Age.Milliseconds()
			many := keep.Count > 0 && last-seq+1 > keep.Count
			large := keep.Bytes > 0 && bytes-freed > keep.Bytes
			if !old && !many && !large {
				break
			}
			upto, freed = seq, freed+size
			removed++
		}
		rs.Close()
		if err := rs.Err(); err != nil || removed == 0 {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM "+d.table+" WHERE seq <= ?", upto); err != nil {
			return err
		}
		_, err = t.exec(ctx, "UPDATE event_streams SET trimmed = ?, bytes = bytes - ? WHERE stream = ?", upto, freed, d.stream)
		return err
	})
	return removed, err
}

// balance brings SQLite's books up to date: an append only inserts.
func (d *driver) balance(ctx context.Context, t *tx) error {
	if d.kind != sql.SQLite {
		return nil
	}
	_, err := t.exec(ctx, "UPDATE event_streams SET bytes = bytes + COALESCE((SELECT SUM(size) FROM "+d.table+" WHERE seq > event_streams.last), 0), last = COALESCE((SELECT MAX(seq) FROM "+d.table+"), trimmed) WHERE stream = ?", d.stream)
	return err
}

// needed returns the highest number that no group needs any more. The groups'
// rows are locked: none moves, and a new one waits.
func (d *driver) needed(ctx context.Context, t *tx, last int64) (int64, error) {
	limit := last
	rs, err := t.query(ctx, "SELECT handed FROM event_groups WHERE stream = ?"+t.forUpdate(), d.stream)
	if err != nil {
		return 0, err
	}
	err = each(rs, func() error {
		var handed int64
		err := rs.Scan(&handed)
		limit = min(limit, handed)
		return err
	})
	if err != nil {
		return 0, err
	}
	var oldest int64
	err = t.row(ctx, "SELECT COALESCE(MIN(seq), ?) FROM event_pending WHERE stream = ?", limit+1, d.stream).Scan(&oldest)
	return min(limit, oldest-1), err
}
