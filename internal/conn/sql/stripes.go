package sql

import (
	"context"
	"database/sql"
	"hash/fnv"
	"strconv"
	"strings"
)

// Stripes is how many rows the names of a table of stripes share. Two names of one
// stripe wait for each other for the time of a transaction.
const Stripes = 64

// Counts are those of the stripes: what has changed shows in them.
type Counts [Stripes]int64

// StripeOf returns the stripe of a name.
func StripeOf(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() % Stripes)
}

// MakeStripes are the statements that make a table of stripes, all of its rows or
// none. They begin at the clock, so that after a loss of the table counts are
// larger than those before it.
func MakeStripes(table string) []string {
	rows := make([]string, Stripes)
	for i := range rows {
		rows[i] = "(" + strconv.Itoa(i) + ", NOW)"
	}
	return []string{
		"CREATE TABLE IF NOT EXISTS " + table + " (id INTEGER NOT NULL PRIMARY KEY, seq BIGINT NOT NULL)",
		"INSERT INTO " + table + " (id, seq) VALUES " + strings.Join(rows, ", "),
	}
}

// HasStripes is Tables.There of a backend whose last table is one of stripes.
func (d *DB) HasStripes(ctx context.Context, table string) error {
	var n int
	err := d.Read.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n)
	if err == nil && n != Stripes {
		return sql.ErrNoRows
	}
	return ReadError(err)
}

// Counts reads the counts of a table of stripes.
func (d *DB) Counts(ctx context.Context, table string) (c Counts, err error) {
	rows, err := d.Read.QueryContext(ctx, "SELECT id, seq FROM "+table)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int
		var seq int64
		err := rows.Scan(&id, &seq)
		if err != nil {
			return c, err
		}
		if id >= 0 && id < Stripes {
			c[id] = seq
		}
	}
	return c, rows.Err()
}
