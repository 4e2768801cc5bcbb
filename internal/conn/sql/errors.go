package sql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/micro/go-platform/internal/fault"
)

// state returns PostgreSQL's SQLSTATE, MySQL's number, SQLite's extended code.
func state(err error) (pg string, my uint16, lite int) {
	var p interface{ SQLState() string }
	if errors.As(err, &p) {
		pg = p.SQLState()
	}
	var m *mysql.MySQLError
	if errors.As(err, &m) {
		my = m.Number
	}
	var l interface {
		Code() int
		Error() string
	}
	if errors.As(err, &l) && strings.Contains(l.Error(), "("+strconv.Itoa(l.Code())+")") { // SQLite's text has it; others have codes too
		lite = l.Code()
	}
	return pg, my, lite
}

// IsDuplicate reports whether a row with that key is there.
func IsDuplicate(err error) bool {
	pg, my, lite := state(err)
	return pg == "23505" || my == 1062 || lite == 1555 || lite == 2067
}

// IsCollision reports whether a transaction should be run again from the
// start: it did not go together with another, waited too long for its locks, or
// met a change of the tables.
func IsCollision(err error) bool {
	pg, my, lite := state(err)
	return pg == "40001" || pg == "40P01" || slices.Contains([]uint16{1020, 1205, 1213, 3572}, my) || slices.Contains([]int{5, 6, 17}, lite&0xff)
}

// IsMissing reports whether a table isn't there.
func IsMissing(err error) bool {
	pg, my, lite := state(err)
	return pg == "42P01" || my == 1146 || unknown(lite) && strings.Contains(err.Error(), "no such table")
}

// IsMissingColumn reports whether a table is there without a column.
func IsMissingColumn(err error) bool {
	pg, my, lite := state(err)
	return pg == "42703" || my == 1054 || unknown(lite) && strings.Contains(err.Error(), "no such column")
}

// unknown reports whether SQLite's text says what it does not know: 1, or 17 if
// the tables were changed meanwhile.
func unknown(lite int) bool { return lite == 1 || lite == 17 }

// IsTooLarge reports whether a row, or what an index has of it, is larger than
// the database takes.
func IsTooLarge(err error) bool {
	pg, my, lite := state(err)
	return pg == "54000" || my == 1406 || my == 1118 || my == 1153 || lite&0xff == 18
}

// IsThere reports whether what a statement was to make is there already, as
// another that ran at the same time may have made it.
func IsThere(err error) bool {
	pg, my, lite := state(err)
	return pg == "42P07" || pg == "42710" || pg == "23505" || my == 1050 || my == 1060 || my == 1061 || lite == 1 && (strings.Contains(err.Error(), "already exists") || strings.Contains(err.Error(), "duplicate column"))
}

// isDenied: the database refuses the user, or lacks a right of its.
func isDenied(pg string, my uint16, lite int) bool {
	return strings.HasPrefix(pg, "28") || pg == "42501" ||
		slices.Contains([]uint16{1044, 1045, 1130, 1142, 1143, 1227, 1370, 1419, 1698, 3118, 4151}, my) || lite&0xff == 3 || lite&0xff == 23
}

// ReadError gives the error of a statement that changes nothing its kind.
func ReadError(err error) error { return kind(err, false) }

// Ended returns the error of a transaction that its context has rolled back before err
// came of it, and nil if err is another: nothing was done.
func Ended(ctx context.Context, err error) error {
	switch {
	case !errors.Is(err, sql.ErrTxDone):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fault.Mark(fault.Unavailable, err)
}

// WriteError gives the error of a statement or a commit that changes something
// its kind: UnknownOutcome, unless the server answered or was not reached.
func WriteError(err error) error { return kind(err, true) }

func kind(err error, write bool) error {
	if err == nil || fault.KindOf(err) != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if pg, my, lite := state(err); pg != "" || my != 0 || lite != 0 {
		switch {
		case write && parting(pg, my):
			return fault.Mark(fault.UnknownOutcome, err)
		case pg == "26000" || pg == "42P05": // of a statement that this client has prepared, on another connection
			return fault.Markf(fault.Unavailable, "%w; through a pooler that shares connections the address needs default_query_exec_mode=exec", err)
		case isDenied(pg, my, lite):
			return fault.Mark(fault.Denied, err)
		case strings.HasPrefix(pg, "57P") || strings.HasPrefix(pg, "53") || strings.HasPrefix(pg, "08") || pg == "25006",
			slices.Contains([]uint16{1040, 1053, 1077, 1129, 1158, 1159, 1160, 1161, 1203, 1226, 1290, 1792, 1836, 1927, 3024}, my),
			slices.Contains([]int{5, 6, 8, 10, 13, 14, 17}, lite&0xff):
			return fault.Mark(fault.Unavailable, err) // an answer: it was not done
		}
		return err
	}
	if strings.Contains(err.Error(), closed) { // under who still uses it
		return fault.Markf(fault.Unavailable, "the connection to the database was closed: %w", err)
	}
	var op *net.OpError
	var refused *pgconn.ConnectError
	switch {
	// What pgx calls safe to retry is not asked: it says so of a COMMIT that was
	// sent before the connection broke.
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &op) && op.Op == "dial", errors.As(err, &refused),
		errors.Is(err, pgx.ErrTxCommitRollback): // a statement had failed
		return fault.Mark(fault.Unavailable, err)
	case write:
		return fault.Mark(fault.UnknownOutcome, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}

// closed is what database/sql says of a pool that was closed before the call.
const closed = "sql: database is closed"

// parting reports whether an answer is a server's or a connection's last word: it
// may come after a commit, in place of the answer to it. PostgreSQL's 57P03 and
// what begins with 53 refuse at the door.
func parting(pg string, my uint16) bool {
	return strings.HasPrefix(pg, "57P") && pg != "57P03" || strings.HasPrefix(pg, "08") ||
		slices.Contains([]uint16{1053, 1158, 1159, 1160, 1161, 1927}, my)
}
