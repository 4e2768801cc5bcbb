// Package sql keeps tables of package db in SQLite, MySQL (or MariaDB) or
// PostgreSQL.
//
//	d, err := db.New(sql.SQLite("orders.db"))
//	d, err := db.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"))
//
// # Semantics
//
// A table is two: "orders" has a row for each record, with the metadata as
// JSON; "orders$keys" has an indexed row for each metadata key of a record, and
// searches read it. So every key is indexed, and Index need not declare any.
//
// A search by one Equal reads only the page that it returns. Further filters
// are tested on what the first Equal finds: give the one that finds least
// first. An order by a key is read from the index if a filter says what value
// the key has (GreaterOrEqual("total", 0)); else the records that match are
// sorted.
//
// Values are always bound; names are checked and quoted. Table makes what is
// missing, under a lock that holds also between processes, and needs the right
// to do so only then.
//
// Transactions are serializable: SERIALIZABLE on PostgreSQL and MySQL, where
// those that conflict or deadlock run again; on SQLite there is one writer at a
// time, and readers beside it. With db.Isolation(db.LevelSnapshot) they are
// REPEATABLE READ on PostgreSQL and MySQL, and one that wrote over what another
// changed since it was read runs again. Single writes and a Batch need no more.
//
// # Errors
//
// A commit without an answer is db.ErrUnknownOutcome.
//
// # Closing
//
// A *sql.DB given by WithDB stays open.
package sql
