package sql

import (
	"context"
	dbsql "database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

func parse(position string) (int64, error) {
	if position == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(position, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Markf(fault.Invalid, "position %q is not one of this stream", position)
	}
	return n, nil
}

func format(n int64) string { return strconv.FormatInt(n, 10) }

// ends returns the numbers of the newest record and of the newest that is gone.
func (d *driver) ends(ctx context.Context) (last, trimmed int64, err error) {
	if err := d.tables(ctx); err != nil {
		return 0, 0, err
	}
	err = d.db.Read.QueryRowContext(ctx, d.kind.Rebind("SELECT last, trimmed FROM event_streams WHERE stream = ?"), d.stream).Scan(&last, &trimmed)
	return last, trimmed, sql.ReadError(err)
}

// locate returns the number that reading begins after.
func (d *driver) locate(ctx context.Context, p event.Position, last, trimmed int64) (int64, error) {
	switch p.Kind {
	case event.AtEnd:
		return last, nil
	case event.AfterPosition:
		return parse(p.ID)
	case event.AtTime:
		var seq int64
		err := d.db.Read.QueryRowContext(ctx, d.kind.Rebind("SELECT seq FROM "+d.table+" WHERE stored >= ? ORDER BY seq LIMIT 1"), p.Time.UnixMilli()).Scan(&seq)
		if errors.Is(err, dbsql.ErrNoRows) {
			return last, nil
		}
		return seq - 1, sql.ReadError(err)
	}
	return trimmed, nil
}

func (d *driver) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	last, trimmed, err := d.ends(ctx) // first: all up to last is there to be read
	if err != nil {
		return event.Page{}, err
	}
	after, err := d.locate(ctx, q.From, last, trimmed)
	if err != nil {
		return event.Page{}, err
	}
	var page event.Page
	where, args := conditions(q.Filter)
	if q.Reverse {
		before := last + 1
		if q.From.Kind == event.AfterPosition || q.From.Kind == event.AtTime {
			if before = min(before, after); q.From.Kind == event.AtTime {
				before++
			}
		}
		if page.Records, err = d.find(ctx, "seq < ?"+where+" ORDER BY seq DESC LIMIT ?", append(append([]any{before}, args...), q.Max)...); err != nil {
			return event.Page{}, err
		}
		page.More = len(page.Records) == q.Max
		if page.More {
			page.Next = page.Records[q.Max-1].Position
		}
		return page, nil
	}
	if after < trimmed {
		if q.From.Kind == event.AfterPosition && after > 0 {
			page.Missed = trimmed - after
		}
		after = trimmed
	}
	page.Next = format(after)
	if q.Max == 0 {
		return page, nil
	}
	if page.Records, err = d.find(ctx, "seq > ? AND seq <= ?"+where+" ORDER BY seq LIMIT ?", append(append([]any{after, last}, args...), q.Max)...); err != nil {
		return event.Page{}, err
	}
	if page.More = len(page.Records) == q.Max; page.More {
		page.Next = page.Records[q.Max-1].Position
	} else {
		page.Next = format(max(after, last))
	}
	return page, nil
}

// conditions are those of a filter that the database decides.
func conditions(f event.Filter) (string, []any) {
	var b strings.Builder
	var args []any
	add := func(text string, v any) { b.WriteString(" AND " + text); args = append(args, v) }
	for column, v := range map[string]string{"id": f.ID, "source": f.Source, "root": f.RootID, "subject": f.Subject} {
		if v != "" {
			add(column+" = ?", v)
		}
	}
	if !f.Since.IsZero() {
		add("time >= ?", nanos(f.Since))
	}
	if !f.Until.IsZero() {
		add("time < ?", nanos(f.Until))
	}
	if types := f.Types.List(); len(types) > 0 && len(types) <= 20 && f.ID == "" && !strings.Contains(strings.Join(types, ""), "*") {
		b.WriteString(" AND type IN (?" + strings.Repeat(", ?", len(types)-1) + ")")
		for _, t := range types {
			args = append(args, t)
		}
	}
	return b.String(), args
}

// nanos keeps to what 64 bits can say.
func nanos(t time.Time) int64 {
	switch y := t.Year(); {
	case y < 1678:
		return -1 << 63
	case y > 2261:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

func (d *driver) find(ctx context.Context, where string, args ...any) ([]*event.Record, error) {
	rs, err := d.db.Read.QueryContext(ctx, d.kind.Rebind("SELECT "+columns+" FROM "+d.table+" WHERE "+where), args...)
	if err != nil {
		return nil, sql.ReadError(err)
	}
	list, err := scan(rs)
	return list, sql.ReadError(err)
}

// scan reads rows of records.
func scan(rs *dbsql.Rows) ([]*event.Record, error) {
	defer rs.Close()
	var list []*event.Record
	for rs.Next() {
		r := &event.Record{}
		var seq, at, stored, size int64
		var metadata []byte
		if err := rs.Scan(&seq, &r.ID, &r.Type, &r.Source, &r.RootID, &r.ParentID, &r.Subject, &at, &stored, &size, &metadata, &r.ContentType, &r.Data); err != nil {
			return nil, err
		}
		r.Position, r.Time = format(seq), time.Unix(0, at).UTC()
		if len(metadata) > 0 {
			if err := json.Unmarshal(metadata, &r.Metadata); err != nil {
				return nil, err
			}
		}
		list = append(list, r)
	}
	return list, rs.Err()
}

func (d *driver) Behind(ctx context.Context, after string) (int64, error) {
	n, err := parse(after)
	if err != nil {
		return 0, err
	}
	last, trimmed, err := d.ends(ctx)
	return max(last-max(n, trimmed), 0), err
}

func (d *driver) Wait(ctx context.Context, after string) error {
	n, err := parse(after)
	if err != nil {
		return err
	}
	return d.tail.wait(ctx, n)
}
