package inbox

import (
	"context"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

const (
	pruneFor  = time.Second // how long a handler may wait for what is forgotten
	pruneSome = 500         // notes that are removed at once
)

// prune forgets what is older than keep, about a hundred times in it. It does so beside
// the caller's transaction, in the order of the primary key and row by row, so that it
// takes no locks that others wait for or that it can wait for in a circle. If that fails
// it is tried again at the next time. Only SQLite, which has one writer, needs the
// transaction itself; without one it does as the others.
func (b *Inbox) prune(ctx context.Context, tx Execer) error {
	now, last := time.Now().UnixMilli(), b.pruned.Load()
	if now-last < b.keep.Milliseconds()/100 {
		return nil
	}
	inside := tx != nil && b.db.Kind == sql.SQLite
	if tx != nil && !inside && exhausted(b.db.Stats()) || !b.pruned.CompareAndSwap(last, now) {
		return nil
	}
	before := now - b.keep.Milliseconds()
	if inside {
		_, err := tx.ExecContext(ctx, b.db.Kind.Rebind("DELETE FROM event_inbox WHERE name = ? AND handled < ?"), b.name, before)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pruneFor)
	defer cancel()
	for b.forget(ctx, before) == pruneSome {
	}
	return nil
}

// exhausted reports whether a pool has no connection left. One of them may be that of
// the transaction, which does not end while its caller waits for another.
func exhausted(pool dbsql.DBStats) bool {
	return pool.MaxOpenConnections > 0 && pool.InUse >= pool.MaxOpenConnections
}

// forget removes some notes, and returns how many it has found.
func (b *Inbox) forget(ctx context.Context, before int64) int {
	rows, err := b.db.QueryContext(ctx, b.db.Kind.Rebind("SELECT record FROM event_inbox WHERE name = ? AND handled < ? LIMIT ?"), b.name, before, pruneSome)
	if err != nil {
		return 0
	}
	args := []any{b.name}
	for rows.Next() {
		var record string
		if rows.Scan(&record) == nil {
			args = append(args, record)
		}
	}
	if rows.Close() != nil || rows.Err() != nil || len(args) == 1 {
		return 0
	}
	_, err = b.db.ExecContext(ctx, b.db.Kind.Rebind("DELETE FROM event_inbox WHERE name = ? AND record IN ("+sql.Places(len(args)-1)+")"), args...)
	if err != nil {
		return 0
	}
	return len(args) - 1
}
