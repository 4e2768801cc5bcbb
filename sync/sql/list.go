package sql

import (
	"context"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// List implements Lister of sync/driver.
func (d *driver) List(ctx context.Context, prefix string, yield func(string, dsync.Hold) bool) error {
	if err := d.tables.Make(ctx); err != nil {
		return err
	}
	rows, err := d.db.Read.QueryContext(ctx, d.kind.Text("SELECT k, owner, token, until, NOW FROM sync_claims WHERE k >= ? AND k < ? AND until > NOW ORDER BY k, seq"), prefix, after(prefix))
	if err != nil {
		return d.tables.ReadError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, owner string
		var token, until, now int64
		if err := rows.Scan(&key, &owner, &token, &until, &now); err != nil {
			return d.tables.ReadError(err)
		}
		h := dsync.Hold{Owner: owner, Token: uint64(token), Waiting: token == 0}
		if !h.Waiting {
			h.Until = time.Now().Add(time.Duration(until-now) * time.Millisecond)
		}
		if !yield(key, h) {
			return nil
		}
	}
	return d.tables.ReadError(rows.Err())
}

// after is the first key behind all that begin with a prefix of ASCII; the column
// is compared byte by byte.
func after(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string(prefix[last]+1)
}
