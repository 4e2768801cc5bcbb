package sql

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// entry is one call of Append that waits to be written.
type entry struct {
	records []*event.Record
	done    chan error
}

// shared is how many records publishers share a transaction for.
const shared = 1000

// Append writes, together with what others of this process want to write at
// the same time. Each call is written as a whole or not at all.
func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	if err := d.tables(ctx); err != nil {
		return 0, err
	}
	mine := &entry{records: records, done: make(chan error, 1)}
	d.mu.Lock()
	d.queue = append(d.queue, mine)
	d.mu.Unlock()
	for {
		select {
		case err := <-mine.done:
			if err != nil {
				return 0, err
			}
			return len(records), nil
		case d.writer <- struct{}{}:
			go func() { // others may be written with it, and wait longer
				d.write(ctx, mine)
				<-d.writer
			}()
		case <-ctx.Done():
			if d.leave(mine) {
				return 0, ctx.Err()
			}
			select {
			case err := <-mine.done:
				if err != nil {
					return 0, err
				}
				return len(records), nil
			default:
				return 0, fault.Mark(fault.UnknownOutcome, ctx.Err())
			}
		}
	}
}

// leave takes a call out of the queue, unless it is being written.
func (d *driver) leave(a *entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, q := range d.queue {
		if q == a {
			d.queue = append(d.queue[:i:i], d.queue[i+1:]...)
			return true
		}
	}
	return false
}

// write writes what waits, in one transaction. Only the writer calls it. mine
// is the call that began it.
func (d *driver) write(ctx context.Context, mine *entry) {
	d.mu.Lock()
	var batch []*entry
	n := 0
	for len(d.queue) > 0 && (n == 0 || n+len(d.queue[0].records) <= shared) {
		n += len(d.queue[0].records)
		batch = append(batch, d.queue[0])
		d.queue = d.queue[1:]
	}
	d.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	records := make([]*event.Record, 0, n)
	for _, a := range batch {
		records = append(records, a.records...)
	}
	// Not cut off by the caller whose turn it is: others wait for it too.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if len(batch) == 1 && batch[0] == mine {
		bounded = ctx
	}
	var last int64
	err := d.tx(bounded, func(t *tx) (err error) {
		last, err = d.insert(bounded, t, records)
		return err
	})
	if err == nil {
		d.tail.advance(last)
	}
	for _, a := range batch {
		a.done <- err
	}
}

// columns of a record's row.
const columns = "seq, id, type, source, root, parent, subject, time, stored, size, metadata, content_type, data"

// rows is how many rows one statement inserts.
const rows = 50

// insert numbers the records and writes their rows.
func (d *driver) insert(ctx context.Context, t *tx, records []*event.Record) (last int64, err error) {
	var bytes, stored int64
	encoded := make([][]byte, len(records))
	sizes := make([]int, len(records))
	for i, r := range records {
		if len(r.Metadata) > 0 {
			if encoded[i], err = json.Marshal(r.Metadata); err != nil {
				return 0, fault.Mark(fault.Invalid, err)
			}
		}
		sizes[i] = 64 + len(r.ID) + len(r.Type) + len(r.Source) + len(r.RootID) + len(r.ParentID) + len(r.Subject) + len(r.ContentType) + len(r.Data) + len(encoded[i])
		bytes += int64(sizes[i])
	}
	count := "UPDATE event_streams SET last = last + ?, bytes = bytes + ? WHERE stream = ?"
	if d.kind == sql.MySQL {
		if _, err := t.exec(ctx, count, len(records), bytes, d.stream); err != nil {
			return 0, err
		}
		err = t.row(ctx, "SELECT last, "+d.now()+" FROM event_streams WHERE stream = ?", d.stream).Scan(&last, &stored)
	} else {
		err = t.row(ctx, count+" RETURNING last, "+d.now(), len(records), bytes, d.stream).Scan(&last, &stored)
	}
	if err != nil {
		return 0, err
	}
	seq := last - int64(len(records))
	if d.kind == sql.SQLite { // no round trips to save: one prepared statement, again and again
		one := t.StmtContext(ctx, d.insertOne)
		defer one.Close()
		// With a context that can end, the client starts a goroutine for each row.
		rest := context.WithoutCancel(ctx)
		for i, r := range records {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			seq++
			if _, err := one.ExecContext(rest, seq, r.ID, r.Type, r.Source, r.RootID, r.ParentID, r.Subject, r.Time.UnixNano(), stored, sizes[i], encoded[i], r.ContentType, r.Data); err != nil {
				return 0, err
			}
		}
		return last, nil
	}
	for from := 0; from < len(records); from += rows {
		part := records[from:min(from+rows, len(records))]
		args := make([]any, 0, 13*len(part))
		for i, r := range part {
			seq++
			args = append(args, seq, r.ID, r.Type, r.Source, r.RootID, r.ParentID, r.Subject, r.Time.UnixNano(), stored, sizes[from+i], encoded[from+i], r.ContentType, r.Data)
		}
		if _, err := t.exec(ctx, d.insertText(len(part)), args...); err != nil {
			return 0, err
		}
	}
	return last, nil
}

const insertRow = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

func (d *driver) insertText(n int) string {
	return "INSERT INTO " + d.table + " (" + columns + ") VALUES " + insertRow + strings.Repeat(", "+insertRow, n-1)
}
