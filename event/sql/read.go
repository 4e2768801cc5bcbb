package sql

import (
	"context"
	dbsql "database/sql"
	"encoding/json"
	"errors"
	"strconv"
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
	before := d.tail.newest()
	var now int64
	err = d.db.Read.QueryRowContext(ctx, d.kind.Rebind("SELECT "+d.last()+", s.trimmed, "+d.now()+" FROM event_streams s WHERE s.stream = ?"), d.stream).Scan(&last, &trimmed, &now)
	if err == nil {
		d.tail.saw(before, last, now)
	}
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
		return d.since(ctx, p.Time.UnixMilli(), trimmed, last)
	}
	return trimmed, nil
}

// since returns the number before the first record that was stored at a time or
// later. It halves what is left, since only the number has an index.
func (d *driver) since(ctx context.Context, at, after, upto int64) (int64, error) {
	for after < upto {
		middle := after + (upto-after+1)/2
		var stored int64
		err := d.db.Read.QueryRowContext(ctx, d.kind.Rebind("SELECT stored FROM "+d.table+" WHERE seq = ?"), middle).Scan(&stored)
		switch {
		case err != nil && !errors.Is(err, dbsql.ErrNoRows):
			return 0, sql.ReadError(err)
		case err != nil || stored < at: // trimmed meanwhile, or older
			after = middle
		default:
			upto = middle - 1
		}
	}
	return after, nil
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
	f := d.conditions(q.Filter)
	if q.Reverse {
		before := last + 1
		if q.From.Kind == event.AfterPosition || q.From.Kind == event.AtTime {
			before = min(before, after)
			if q.From.Kind == event.AtTime {
				before++
			}
		}
		page.Records, err = d.find(ctx, f, q.Max, true, trimmed, before-1)
		if err != nil {
			return event.Page{}, err
		}
		page.More = len(page.Records) == q.Max
		if page.More {
			page.Next = page.Records[q.Max-1].Position
		}
		return page, nil
	}
	if q.From.Kind == event.AfterPosition && after > last { // the database was restored, and has lost its end
		page.Missed = 1
		after, err = d.since(ctx, d.tail.seen(), trimmed, last)
		if err != nil {
			return event.Page{}, err
		}
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
	page.Records, err = d.find(ctx, f, q.Max, false, after, last)
	if err != nil {
		return event.Page{}, err
	}
	page.More = len(page.Records) == q.Max
	if page.More {
		page.Next = page.Records[q.Max-1].Position
	} else {
		page.Next = format(max(after, last))
	}
	return page, nil
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

// scan reads rows of records.
func scan(rs *dbsql.Rows) ([]*event.Record, error) {
	var list []*event.Record
	err := each(rs, func() error {
		r := &event.Record{}
		var seq, at, stored, size int64
		var metadata []byte
		if err := rs.Scan(&seq, &r.ID, &r.Type, &r.Source, &r.RootID, &r.ParentID, &r.Subject, &at, &stored, &size, &metadata, &r.ContentType, &r.Data); err != nil {
			return err
		}
		r.Position, r.Time = format(seq), time.Unix(0, at).UTC()
		if len(metadata) > 0 {
			if err := json.Unmarshal(metadata, &r.Metadata); err != nil {
				return err
			}
		}
		list = append(list, r)
		return nil
	})
	return list, err
}

func (d *driver) Behind(ctx context.Context, after string) (int64, error) {
	n, err := parse(after)
	if err != nil {
		return 0, err
	}
	last, trimmed, err := d.ends(ctx)
	return max(last-max(n, trimmed), 0), err
}

// longest is how long Wait waits before it lets its caller look.
const longest = 15 * time.Second

func (d *driver) Wait(ctx context.Context, after string) error {
	n, err := parse(after)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err = d.tail.wait(bounded, n)
	if ctx.Err() == nil {
		return nil
	}
	return err
}
