package sql

import (
	"context"
	dbsql "database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// writeTimeout bounds what has no deadline of its own.
const writeTimeout = 10 * time.Second

func (d *driver) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	// A group that is there needs no write: many who write may keep one out of SQLite.
	there, err := d.joined(ctx, g)
	if err != nil {
		return nil, err
	}
	if there {
		return &member{d: d, g: g}, nil
	}
	last, trimmed, err := d.ends(ctx)
	if err != nil {
		return nil, err
	}
	start, err := d.locate(ctx, g.Start, last, trimmed)
	if err != nil {
		return nil, err
	}
	types, _ := json.Marshal(g.Types.List())
	err = d.tx(ctx, func(t *tx) error {
		var stored []byte
		err := t.row(ctx, "SELECT types FROM event_groups WHERE stream = ? AND name = ?"+t.forUpdate(), d.stream, g.Name).Scan(&stored)
		if errors.Is(err, dbsql.ErrNoRows) {
			_, err = t.exec(ctx, "INSERT INTO event_groups (stream, name, types, handed, holder, holder_until) VALUES (?, ?, ?, ?, '', 0)", d.stream, g.Name, types, min(max(start, trimmed), last))
			return err
		}
		if err == nil {
			err = sameTypes(g, stored)
		}
		return err
	})
	if sql.IsDuplicate(err) { // another made it in between
		return d.Join(ctx, g)
	}
	if err != nil {
		return nil, err
	}
	return &member{d: d, g: g}, nil
}

// joined reports whether a group is there, and of the same types.
func (d *driver) joined(ctx context.Context, g event.GroupConfig) (bool, error) {
	if err := d.tables(ctx); err != nil {
		return false, err
	}
	var stored []byte
	err := d.db.Read.QueryRowContext(ctx, d.kind.Rebind("SELECT types FROM event_groups WHERE stream = ? AND name = ?"), d.stream, g.Name).Scan(&stored)
	switch {
	case errors.Is(err, dbsql.ErrNoRows), sql.IsMissing(err):
		return false, nil
	case err != nil:
		return false, sql.ReadError(err)
	}
	return true, sameTypes(g, stored)
}

// sameTypes refuses a group that was made with other types.
func sameTypes(g event.GroupConfig, stored []byte) error {
	var has []string
	if err := json.Unmarshal(stored, &has); err != nil {
		return err
	}
	return g.CheckTypes(has)
}

func (d *driver) groupsQuery() string {
	return "SELECT g.name, g.types, " + d.last() + ` - g.handed, (SELECT COUNT(*) FROM event_pending p WHERE p.stream = g.stream AND p.name = g.name)
FROM event_groups g JOIN event_streams s ON s.stream = g.stream WHERE g.stream = ?`
}

func (d *driver) Groups(ctx context.Context) ([]event.GroupInfo, error) {
	return d.groups(ctx, d.groupsQuery()+" ORDER BY g.name", d.stream)
}

func (d *driver) groups(ctx context.Context, query string, args ...any) ([]event.GroupInfo, error) {
	if err := d.tables(ctx); err != nil {
		return nil, err
	}
	rs, err := d.db.Read.QueryContext(ctx, d.kind.Rebind(query), args...)
	if err != nil {
		return nil, sql.ReadError(err)
	}
	defer rs.Close()
	var list []event.GroupInfo
	for rs.Next() {
		var g event.GroupInfo
		var types []byte
		if err := rs.Scan(&g.Name, &types, &g.Lag.Behind, &g.Lag.Pending); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(types, &g.Types); err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, sql.ReadError(rs.Err())
}

func (d *driver) DeleteGroup(ctx context.Context, name string) error {
	return d.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM event_groups WHERE stream = ? AND name = ?", d.stream, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NotFound
		}
		_, err = t.exec(ctx, "DELETE FROM event_pending WHERE stream = ? AND name = ?", d.stream, name)
		return err
	})
}
