package sql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// What is published later is in a table that all streams share, with the encoded
// record. Times are the database's.

// lost notes that the table may be gone, as after a loss of data.
func (d *driver) lost(err error) error {
	if sql.IsMissing(err) {
		d.made.Store(false)
		d.plan.Store(false)
	}
	return err
}

// planID is the key of an entry, whose ID may be long.
func planID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// plannedBytes is how many bytes of records go into one statement at most,
// unless one has more.
const plannedBytes = 256 << 10

func (d *driver) Schedule(ctx context.Context, entries []event.Scheduled) error {
	if err := d.planned(ctx); err != nil {
		return err
	}
	records := make([]*event.Record, len(entries))
	for i, e := range entries {
		records[i] = e.Record
	}
	if err := d.limits(records); err != nil {
		return err
	}
	const each = "(?, ?, ?, ?, ?, ?)"
	insert := "INSERT INTO event_scheduled (stream, id, due, name, recurrence, record) VALUES " + each
	update := ` ON CONFLICT (stream, id) DO UPDATE SET due = CASE WHEN event_scheduled.recurrence = excluded.recurrence AND excluded.recurrence <> '' THEN event_scheduled.due ELSE excluded.due END,
name = excluded.name, recurrence = excluded.recurrence, record = excluded.record`
	if d.kind == sql.MySQL {
		update = " ON DUPLICATE KEY UPDATE due = IF(recurrence = VALUES(recurrence) AND VALUES(recurrence) <> '', due, VALUES(due)), name = VALUES(name), recurrence = VALUES(recurrence), record = VALUES(record)"
	}
	return d.lost(d.tx(ctx, func(t *tx) error {
		for rest := entries; len(rest) > 0; {
			var args []any
			n, size := 0, 0
			for ; n < len(rest) && n < rows; n++ {
				e := rest[n]
				record := eventdriver.AppendRecord(nil, e.Record)
				if n > 0 && size+len(record) > plannedBytes {
					break
				}
				size += len(record)
				args = append(args, d.stream, planID(e.ID), e.Due.UnixMilli(), []byte(e.ID), e.Recurrence, record)
			}
			if _, err := t.exec(ctx, insert+strings.Repeat(", "+each, n-1)+update, args...); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}))
}

func (d *driver) Unschedule(ctx context.Context, id string) error {
	if err := d.planned(ctx); err != nil {
		return err
	}
	return d.lost(d.tx(ctx, func(t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM event_scheduled WHERE stream = ? AND id = ?", d.stream, planID(id))
		if err == nil && n == 0 {
			return fault.NotFound
		}
		return err
	}))
}

func (d *driver) Scheduled(ctx context.Context, from string, limit int) ([]event.Scheduled, string, error) {
	due, id := int64(-1<<63), ""
	if from != "" {
		ms, rest, _ := strings.Cut(from, " ")
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return nil, "", fault.Markf(fault.Invalid, "no place in the schedule: %q", from)
		}
		due, id = n, rest
	}
	list, err := d.entries(ctx, "AND (due > ? OR due = ? AND id > ?) ORDER BY due, id LIMIT ?", due, due, id, limit)
	if err != nil || len(list) < limit {
		return list, "", err
	}
	last := list[limit-1]
	return list, strconv.FormatInt(last.Due.UnixMilli(), 10) + " " + planID(last.ID), nil
}

func (d *driver) Due(ctx context.Context, limit int) (eventdriver.DueNow, error) {
	var out eventdriver.DueNow
	var now int64
	var first *int64
	err := d.db.Read.QueryRowContext(ctx, d.kind.Rebind("SELECT "+d.now()+", (SELECT MIN(due) FROM event_scheduled WHERE stream = ?)"), d.stream).Scan(&now, &first)
	if sql.IsMissing(err) { // the first who schedules makes the table: who asks may have no right to
		d.plan.Store(false)
		return out, nil
	}
	if err != nil {
		return out, sql.ReadError(err)
	}
	out.Now = time.UnixMilli(now)
	switch {
	case first == nil:
	case *first > now:
		out.Next = time.UnixMilli(*first).UTC()
	default:
		out.Entries, err = d.entries(ctx, "AND due <= ? ORDER BY due, id LIMIT ?", now, limit)
	}
	return out, err
}

// entries reads some of the table.
func (d *driver) entries(ctx context.Context, which string, args ...any) ([]event.Scheduled, error) {
	rs, err := d.db.Read.QueryContext(ctx, d.kind.Rebind("SELECT due, name, recurrence, record FROM event_scheduled WHERE stream = ? "+which), append([]any{d.stream}, args...)...)
	if sql.IsMissing(err) {
		d.plan.Store(false)
		return nil, nil
	}
	if err != nil {
		return nil, sql.ReadError(err)
	}
	var list []event.Scheduled
	err = each(rs, func() error {
		var due int64
		var name, record []byte
		var e event.Scheduled
		if err := rs.Scan(&due, &name, &e.Recurrence, &record); err != nil {
			return err
		}
		e.ID, e.Due = string(name), time.UnixMilli(due).UTC()
		e.Version = planVersion(e.Recurrence, record)
		e.Record, e.Err = eventdriver.ParseRecord(string(record))
		list = append(list, e)
		return nil
	})
	return list, sql.ReadError(err)
}

// Fire takes what others have not, and appends it, in one transaction.
func (d *driver) Fire(ctx context.Context, firings []eventdriver.Firing) (int, error) {
	if err := d.planned(ctx); err != nil {
		return 0, err
	}
	byID := make(map[string]eventdriver.Firing, len(firings))
	ids := []any{d.stream}
	for _, f := range firings {
		id := planID(f.ID)
		byID[id], ids = f, append(ids, id)
	}
	var fired int
	var last int64
	err := d.tx(ctx, func(t *tx) error {
		fired, last = 0, 0
		mine, err := d.lock(ctx, t, ids, byID)
		if err != nil {
			return err
		}
		gone := []any{d.stream}
		var records []*event.Record
		for _, id := range mine {
			f := byID[id]
			if f.Record != nil {
				records = append(records, f.Record)
			}
			if f.Next.IsZero() {
				gone = append(gone, id)
			} else if _, err := t.exec(ctx, "UPDATE event_scheduled SET due = ? WHERE stream = ? AND id = ?", f.Next.UnixMilli(), d.stream, id); err != nil {
				return err
			}
		}
		if len(gone) > 1 {
			if _, err := t.exec(ctx, "DELETE FROM event_scheduled WHERE stream = ? AND id IN ("+sql.Places(len(gone)-1)+")", gone...); err != nil {
				return err
			}
		}
		fired = len(mine)
		if len(records) == 0 {
			return nil
		}
		list, bytes, err := newRows(records)
		if err != nil {
			return err
		}
		last, err = d.insertIn(ctx, t, list, bytes)
		return err
	})
	if err != nil {
		return 0, d.lost(err)
	}
	d.tail.advance(last)
	return fired, nil
}

// planVersion tells what an entry has been replaced by from what it was.
func planVersion(recurrence string, record []byte) string {
	sum := sha256.Sum256(record)
	return hex.EncodeToString(sum[:]) + recurrence
}

// version is planVersion as an expression, where the server can work it out: the
// record need not travel again.
func (d *driver) version() string {
	switch d.kind {
	case sql.Postgres:
		return "encode(sha256(record), 'hex') || recurrence"
	case sql.MySQL:
		return "CONCAT(SHA2(record, 256), recurrence)"
	}
	return "record"
}

// lock returns the keys of the entries that are still there with their due time and
// version, in order of due, and keeps others from them until the transaction ends.
func (d *driver) lock(ctx context.Context, t *tx, ids []any, byID map[string]eventdriver.Firing) (mine []string, err error) {
	rs, err := t.query(ctx, "SELECT id, due, recurrence, "+d.version()+" FROM event_scheduled WHERE stream = ? AND id IN ("+sql.Places(len(ids)-1)+") ORDER BY due, id"+t.forUpdate(), ids...)
	if err != nil {
		return nil, err
	}
	err = each(rs, func() error {
		var id, recurrence string
		var due int64
		var version []byte
		if err := rs.Scan(&id, &due, &recurrence, &version); err != nil {
			return err
		}
		if d.kind == sql.SQLite {
			version = []byte(planVersion(recurrence, version))
		}
		if f, ok := byID[id]; ok && f.Due.UnixMilli() == due && f.Version == string(version) {
			mine = append(mine, id)
		}
		return nil
	})
	return mine, err
}
