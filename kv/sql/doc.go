// Package sql is the kv backend on SQLite, MySQL (or MariaDB) and PostgreSQL.
//
//	store, err := kv.New(sql.SQLite("app.db"), kv.WithNamespace("shop"))
//	store, err := kv.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"))
//
// # Backends
//
// Items are rows of the table kv_items: the key and the value as bytes, the
// revision, and the end of the life as milliseconds since 1970, 0 for none.
// kv_state has one row, the newest revision. Tables that are missing are made,
// which needs the right to do so once.
//
// # Semantics
//
// A write takes its revision from the row of kv_state, which stays locked until
// the write is committed: revisions rise in the order of the commits, over all
// keys and processes. Writes that one process makes at the same time share a
// transaction. On PostgreSQL a Put alone is one statement.
//
// The database's clock ends lives; SQLite's is this machine's. A deleted item
// stays as an empty row, and an expired one as it was, for ten minutes, so that
// watches can go on where they stopped. Then whoever writes removes them.
//
// PostgreSQL notifies watches (LISTEN), which takes one connection of the pool.
// SQLite and MySQL are asked for the newest revision, once for all watches of a
// process, up to four times a second while nothing happens. So is PostgreSQL if
// the pool has one connection, or the database was opened with a client other
// than pgx.
//
// SQLite's file has one writer at a time, also over several processes. With
// WithSync of engine/sql a write is on the disk when Put returns; without it, it survives the
// end of the process but perhaps not that of the machine.
//
// # Errors
//
// As in package kv. A commit without an answer is kv.ErrUnknownOutcome.
//
// # Closing
//
// Close closes the engine that was made from an address; one given to On stays
// open.
package sql
