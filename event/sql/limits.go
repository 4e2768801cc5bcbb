package sql

import (
	"context"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// askLimits asks the server for the largest statement that it takes.
func (d *driver) askLimits(ctx context.Context) error {
	if d.kind != sql.MySQL {
		return nil // PostgreSQL and SQLite take 1 GB
	}
	var n int64
	if err := d.db.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&n); err != nil {
		return sql.ReadError(err)
	}
	d.packet.Store(n)
	return nil
}

// limits refuses, before anything is sent, a record whose row does not fit into
// one statement.
func (d *driver) limits(records []*event.Record) error {
	limit := d.packet.Load()
	if limit == 0 {
		return nil
	}
	for _, r := range records {
		size := 1024 + escaped(r.ID) + escaped(r.Type) + escaped(r.Source) + escaped(r.RootID) + escaped(r.ParentID) + escaped(r.Subject) + escaped(r.ContentType) + escaped(r.Data)
		for k, v := range r.Metadata { // JSON inside of SQL
			size += 2*(escaped(k)+escaped(v)) + 8
		}
		if int64(size) > limit {
			return fault.Markf(fault.TooLarge, "the record's row has %d bytes as SQL, the server's max_allowed_packet is %d", size, limit)
		}
	}
	return nil
}

// escaped is the length of a string or bytes as SQL.
func escaped[T string | []byte](s T) int {
	n := len(s) + len("_binary''")
	for i := range len(s) {
		switch s[i] {
		case 0, '\n', '\r', 0x1a, '\'', '"', '\\':
			n++
		}
	}
	return n
}
