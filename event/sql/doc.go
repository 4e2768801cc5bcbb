// Package sql keeps event streams in SQLite, MySQL (or MariaDB) or PostgreSQL.
//
//	s, err := event.New(sql.SQLite("events.db"))
//	s, err := event.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"))
//
// # Semantics
//
// Records of a namespace are rows of a table of its own, "events_<namespace>",
// numbered without gaps: a publisher takes its numbers from a counter row that
// it holds until it commits, so numbers become visible in their order and a
// reader that has passed one never finds a lower one later. Publishers of
// one process share transactions.
//
// A group is a row with the last number that was handed out, and a row for each
// record handed out and not acknowledged. Ordered groups have one working
// member at a time, whose turn is part of the group's row. Times are the
// database's.
//
// Readers of other processes find new records by asking: from 5 to 250 ms after
// they were committed. Within a process they are told.
//
// Tables are made when they are missing, which needs the right to do so once: who may
// only read and write rows uses those that are there.
//
// # Errors
//
// A commit without an answer is event.ErrUnknownOutcome.
//
// # Closing
//
// Close closes the engine that was made from an address; one given to On stays
// open.
package sql
