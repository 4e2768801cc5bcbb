package sql

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

// Attend keeps the members by the database's clock. Each writes its own row, so
// that they do not wait for each other.
func (d *driver) Attend(ctx context.Context, group, consumer string, ttl time.Duration) (list []string, err error) {
	if err := d.rostered(ctx); err != nil {
		return nil, err
	}
	update := " ON CONFLICT (stream, name, consumer) DO UPDATE SET until = excluded.until"
	if d.kind == sql.MySQL {
		update = " ON DUPLICATE KEY UPDATE until = VALUES(until)"
	}
	err = d.tx(ctx, func(t *tx) error {
		if ttl == 0 {
			_, err := t.exec(ctx, "DELETE FROM event_members WHERE stream = ? AND name = ? AND (consumer = ? OR until < "+d.now()+")", d.stream, group, consumer)
			return err
		}
		_, err := t.exec(ctx, "INSERT INTO event_members (stream, name, consumer, until) VALUES (?, ?, ?, "+d.now()+" + ?)"+update, d.stream, group, consumer, ttl.Milliseconds())
		return err
	})
	if err != nil {
		if sql.IsMissing(err) {
			d.roster.Store(false)
		}
		return nil, err
	}
	list, ended, err := d.attending(ctx, group)
	if err == nil && ended {
		// Rows of members that have crashed, of this group and others of the stream. If
		// it fails, the next one who looks removes them.
		_ = d.tx(ctx, func(t *tx) error {
			_, err := t.exec(ctx, "DELETE FROM event_members WHERE stream = ? AND until < "+d.now(), d.stream)
			return err
		})
	}
	return list, err
}

// attending returns who lives, and whether there are rows of others.
func (d *driver) attending(ctx context.Context, group string) (list []string, ended bool, err error) {
	rs, err := d.db.Read.QueryContext(ctx, d.kind.Rebind("SELECT consumer, CASE WHEN until > "+d.now()+" THEN 1 ELSE 0 END FROM event_members WHERE stream = ? AND name = ?"), d.stream, group)
	if err != nil {
		return nil, false, sql.ReadError(err)
	}
	err = each(rs, func() error {
		var name string
		var lives bool
		if err := rs.Scan(&name, &lives); err != nil {
			return err
		}
		if lives {
			list = append(list, name)
		} else {
			ended = true
		}
		return nil
	})
	return list, ended, sql.ReadError(err)
}
