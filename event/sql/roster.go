package sql

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

// rosterTable is like planTable, of the members of divided groups.
type rosterTable = planTable

func (d *driver) rostered(ctx context.Context) error {
	if err := d.tables(ctx); err != nil {
		return err
	}
	if d.roster.made.Load() {
		return nil
	}
	d.roster.making.Lock()
	defer d.roster.making.Unlock()
	text, engine := "TEXT", ""
	if d.kind == sql.MySQL {
		text, engine = "VARBINARY(255)", " ENGINE=InnoDB"
	}
	_, err := d.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS event_members (stream "+text+" NOT NULL, name "+text+" NOT NULL, consumer "+text+" NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (stream, name, consumer))"+engine)
	if err != nil && !sql.IsThere(err) {
		return sql.WriteError(err)
	}
	d.roster.made.Store(true)
	return nil
}

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
			d.roster.made.Store(false)
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
	defer rs.Close()
	for rs.Next() {
		var name string
		var lives int
		if err := rs.Scan(&name, &lives); err != nil {
			return nil, false, sql.ReadError(err)
		}
		if lives == 0 {
			ended = true
			continue
		}
		list = append(list, name)
	}
	return list, ended, sql.ReadError(rs.Err())
}
