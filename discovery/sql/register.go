package sql

import (
	"context"
	dbsql "database/sql"
	"encoding/json"
	"errors"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// errEnded: the lease has ended, and nothing was written.
var errEnded = fault.Markf(fault.Lost, "the lease has ended")

// Register writes the row while the stripe of its service is locked, so that
// nobody takes the id meanwhile.
func (d *driver) Register(ctx context.Context, e discovery.Entry, replace func(held discovery.Entry) bool) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	row := nameOf(e)
	for {
		id, err := d.leases.get(ctx, e)
		if err != nil {
			return err
		}
		settle := d.leases.writing(row, e, id)
		err = d.in(ctx, e.Service, func(t *sql.Tx) error { return put(ctx, t, e, id, string(text), replace) })
		settle(err)
		if errors.Is(err, errEnded) {
			err = d.leases.ended(ctx, e, id)
			if err == nil {
				continue
			}
		}
		if err == nil {
			d.clean()
		}
		return err
	}
}

// put writes an entry, unless another owner's lives.
func put(ctx context.Context, t *sql.Tx, e discovery.Entry, lease, text string, replace func(held discovery.Entry) bool) error {
	var (
		owner, old       dbsql.NullString
		end, gone, until int64
	)
	err := t.QueryRowContext(ctx, t.Kind.Rebind(`SELECT COALESCE((SELECT until FROM discovery_leases WHERE id = ?), 0), i.owner, i.entry, COALESCE(i.gone, 0), COALESCE(l.until, 0)
		FROM (SELECT 1 AS one) o LEFT JOIN discovery_instances i ON i.service = ? AND i.id = ? LEFT JOIN discovery_leases l ON l.id = i.lease`),
		lease, e.Service, e.ID).Scan(&end, &owner, &old, &gone, &until)
	switch {
	case err != nil:
		return err
	case end <= t.Now:
		return errEnded
	}
	if owner.Valid && gone == 0 && until > t.Now && owner.String != e.Owner {
		var held discovery.Entry
		_ = json.Unmarshal([]byte(old.String), &held) // what can't be read has no address
		if !replace(held) {
			return discovery.ErrExists
		}
	}
	query := "INSERT INTO discovery_instances (owner, lease, gone, entry, service, id) VALUES (?, ?, 0, ?, ?, ?)"
	if owner.Valid {
		query = "UPDATE discovery_instances SET owner = ?, lease = ?, gone = 0, entry = ? WHERE service = ? AND id = ?"
	}
	_, err = t.Change(ctx, query, e.Owner, lease, text, e.Service, e.ID)
	return err
}

func (d *driver) Renew(ctx context.Context, e discovery.Entry) error {
	ok, err := d.leases.renew(ctx, e)
	if ok || err != nil {
		return err
	}
	owner := ""
	err = d.rows(ctx, "SELECT i.owner FROM discovery_instances i JOIN discovery_leases l ON l.id = i.lease WHERE i.service = ? AND i.id = ? AND i.gone = 0 AND l.until > NOW",
		[]any{e.Service, e.ID}, func(scan func(...any) error) error { return scan(&owner) })
	switch {
	case err != nil:
		return err
	case owner != "" && owner != e.Owner:
		return discovery.ErrExists
	}
	return discovery.ErrNotFound
}

// errNobody ends a transaction that has found nothing to do.
var errNobody = fault.Markf(fault.NotFound, "nothing to deregister")

// Deregister leaves the row, from which readers learn that this was no expiry.
func (d *driver) Deregister(ctx context.Context, e discovery.Entry) error {
	lease := d.leases.forget(e)
	err := d.in(ctx, e.Service, func(t *sql.Tx) error {
		n, err := t.Change(ctx, "UPDATE discovery_instances SET gone = ? WHERE service = ? AND id = ? AND owner = ? AND gone = 0", t.Now, e.Service, e.ID, e.Owner)
		if err == nil && n == 0 {
			return errNobody
		}
		return err
	})
	if errors.Is(err, errNobody) {
		return nil
	}
	if err == nil && e.Once && lease != "" {
		_, _ = d.exec(ctx, "DELETE FROM discovery_leases WHERE id = ?", lease) // else it ends by itself
	}
	return err
}
