package sql

import (
	"context"
	dbsql "database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// Numbers are given in the order in which transactions commit: whoever numbers
// records keeps others from doing so until it has committed.
//
//	SQLite       the next number is part of the INSERT; the file has one writer
//	PostgreSQL   one statement counts in event_streams and inserts; the row is locked
//	MySQL        two statements in a transaction, since UPDATE returns nothing

// columns of a record's row.
const columns = "seq, id, type, source, root, parent, subject, time, stored, size, metadata, content_type, data"

// rows is how many rows one statement inserts at most.
const rows = 50

// row is a record as it is stored, and its size in the books of retention.
type row struct {
	*event.Record
	metadata []byte
	size     int
}

func newRows(records []*event.Record) (list []row, bytes int64, err error) {
	list = make([]row, len(records))
	for i, r := range records {
		l := row{Record: r}
		if len(r.Metadata) > 0 {
			l.metadata, err = json.Marshal(r.Metadata)
			if err != nil {
				return nil, 0, fault.Mark(fault.Invalid, err)
			}
		}
		l.size = 64 + len(r.ID) + len(r.Type) + len(r.Source) + len(r.RootID) + len(r.ParentID) + len(r.Subject) + len(r.ContentType) + len(r.Data) + len(l.metadata)
		list[i] = l
		bytes += int64(l.size)
	}
	return list, bytes, nil
}

// insert numbers the records and writes their rows, all or none.
func (d *driver) insert(ctx context.Context, records []*event.Record) (last int64, err error) {
	list, bytes, err := newRows(records)
	if err != nil {
		return 0, err
	}
	switch {
	case d.kind == sql.SQLite && len(list) == 1:
		err = d.retry(ctx, func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			// With a context that can end, the client starts a goroutine.
			last, err = d.insertSQLite(context.WithoutCancel(ctx), d.insertOne, list[0])
			return d.alone(err)
		})
		return last, err
	case d.kind == sql.Postgres && len(list) <= rows:
		err = d.retry(ctx, func() error {
			args := append([]any{len(list), bytes, d.stream}, values(list)...)
			last, err = d.db.Number(ctx, d.countAndInsert(len(list)), args...)
			return d.alone(err)
		})
		return last, err
	}
	err = d.tx(ctx, func(t *tx) error {
		last, err = d.insertIn(ctx, t, list, bytes)
		return err
	})
	return last, err
}

// alone gives the error of a statement outside of a transaction its kind.
func (d *driver) alone(err error) error {
	switch {
	case err == nil:
		return nil
	case sql.IsMissing(err) || errors.Is(err, dbsql.ErrNoRows): // as after a loss of data
		d.made.Store(false)
		return fault.Mark(fault.Unavailable, err)
	case sql.IsTooLarge(err):
		return fault.Mark(fault.TooLarge, err)
	}
	return sql.WriteError(err)
}

// retry runs f again when it collides with another writer.
func (d *driver) retry(ctx context.Context, f func() error) error {
	if err := d.tables(ctx); err != nil {
		return err
	}
	return sql.Retry(ctx, f)
}

// insertIn writes rows in a transaction.
func (d *driver) insertIn(ctx context.Context, t *tx, list []row, bytes int64) (last int64, err error) {
	if d.kind == sql.SQLite { // no round trips to save: one prepared statement, again and again
		one := t.StmtContext(ctx, d.insertOne) // which ends with the transaction
		// With a context that can end, the client starts a goroutine for each row.
		rest := context.WithoutCancel(ctx)
		for _, r := range list {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			last, err = d.insertSQLite(rest, one, r)
			if err != nil {
				return 0, err
			}
		}
		return last, nil
	}
	count := "UPDATE event_streams SET last = last + ?, bytes = bytes + ? WHERE stream = ?"
	if d.kind == sql.MySQL {
		if _, err := t.exec(ctx, count, len(list), bytes, d.stream); err != nil {
			return 0, err
		}
		err = t.row(ctx, "SELECT last FROM event_streams WHERE stream = ?", d.stream).Scan(&last)
	} else {
		err = t.row(ctx, count+" RETURNING last", len(list), bytes, d.stream).Scan(&last)
	}
	if err != nil {
		return 0, err
	}
	seq := last - int64(len(list))
	for len(list) > 0 {
		n := d.fit(list)
		args := make([]any, 0, n*(valuesOfRow+1))
		for i := range list[:n] {
			seq++
			args = append(append(args, seq), values(list[i:i+1])...)
		}
		text := "INSERT INTO " + d.table + " (" + columns + ") VALUES " + d.insertRow("?") + strings.Repeat(", "+d.insertRow("?"), n-1)
		if _, err := t.exec(ctx, text, args...); err != nil {
			return 0, err
		}
		list = list[n:]
	}
	return last, nil
}

// fit is how many of the first rows go into one statement.
func (d *driver) fit(list []row) int {
	n := min(len(list), rows)
	if limit := int(d.packet.Load()); limit > 0 {
		size := 0
		for i := range list[:n] {
			size += 2*list[i].size + 1024 // twice: bytes may be escaped
			if size > limit && i > 0 {
				return i
			}
		}
	}
	return n
}

// valuesOfRow is how many arguments a row has beside its number.
const valuesOfRow = 11

func values(list []row) []any {
	args := make([]any, 0, valuesOfRow*len(list))
	for _, r := range list {
		args = append(args, r.ID, r.Type, r.Source, r.RootID, r.ParentID, r.Subject, r.Time.UnixNano(), r.size, r.metadata, r.ContentType, r.Data)
	}
	return args
}

// insertRow is the values of one row; the database tells when it was stored.
func (d *driver) insertRow(seq string) string {
	return "(" + seq + ", ?, ?, ?, ?, ?, ?, ?, " + d.now() + ", ?, ?, ?, ?)"
}

// sqliteInsert numbers the row it inserts: after the newest, or what was trimmed
// of an empty table.
func (d *driver) sqliteInsert() string {
	return "INSERT INTO " + d.table + " (" + columns + ") VALUES " +
		d.insertRow("COALESCE((SELECT MAX(seq) FROM "+d.table+"), (SELECT trimmed FROM event_streams WHERE stream = ?)) + 1")
}

func (d *driver) insertSQLite(ctx context.Context, s *dbsql.Stmt, r row) (int64, error) {
	res, err := s.ExecContext(ctx, append([]any{d.stream}, values([]row{r})...)...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId() // the number of the row
}

// countAndInsert is PostgreSQL's statement for n rows. Its first arguments are n,
// the bytes and the stream.
func (d *driver) countAndInsert(n int) string {
	var b strings.Builder
	b.WriteString("WITH s AS (UPDATE event_streams SET last = last + ?::bigint, bytes = bytes + ?::bigint WHERE stream = ? RETURNING last), i AS (INSERT INTO " + d.table + " (" + columns + ") ")
	if n == 1 {
		b.WriteString("SELECT s.last, ?, ?, ?, ?, ?, ?, ?::bigint, " + d.now() + ", ?::bigint, ?::bytea, ?, ?::bytea FROM s")
	} else {
		b.WriteString("SELECT s.last - " + format(int64(n)) + " + v.n, v.id, v.type, v.source, v.root, v.parent, v.subject, v.time, " + d.now() + ", v.size, v.metadata, v.content_type, v.data FROM s, (VALUES ")
		for i := range n {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(" + format(int64(i+1)) + ", ?, ?, ?, ?, ?, ?, ?::bigint, ?::bigint, ?::bytea, ?, ?::bytea)")
		}
		b.WriteString(") AS v (n, id, type, source, root, parent, subject, time, size, metadata, content_type, data)")
	}
	b.WriteString(") SELECT last FROM s")
	return d.kind.Rebind(b.String())
}
