// Package sql keeps tables of package db in SQLite, MySQL (or MariaDB) or
// PostgreSQL.
//
//	d, err := db.New(sql.SQLite("orders.db"))
//	d, err := db.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"))
//
// # Semantics
//
// A table "orders" has a row for each record: the metadata as JSON in the
// column "metadata", and again in the column "sortable", as texts whose bytes
// compare as the values do. The database itself takes that apart for its indexes:
// generated columns on SQLite and MySQL, expressions on PostgreSQL. So an Index
// holds for the writes of every process, also of those that don't declare it.
// "orders$lists" has the elements of lists, for db.Has.
//
// A search reads the index that finds least. MySQL and PostgreSQL choose it by
// their statistics; on SQLite, where several could lead, what each of them finds
// is counted, up to a limit. Table.Explain tells what was chosen. Declare what is
// searched and sorted by together as one Index.
//
//	Index("customer")            Equal, In, ranges, Prefix, Exists, OrderBy
//	Index("customer", "-total")  a customer's largest: no sorting
//
// Adding an Index to a table with records builds it while others read and write,
// on SQLite while writers wait. OnIndexProgress tells how far it is, PostgreSQL's
// about every second. What an Index has of a record is bounded: 2704 bytes on
// PostgreSQL (compressed), more is db.ErrTooLarge; an Index of three or more keys
// on MySQL does not sort.
//
// The words of FullText are in PostgreSQL's own index of a tsvector (GIN, the
// configuration 'simple'), on SQLite in a table of FTS5, and on MySQL in a table of
// words: its FULLTEXT leaves out short words, and what the transaction itself
// wrote. Triggers keep these tables up. MySQL's need the right TRIGGER, version
// 8.0.4 or MariaDB 10.6, and with a binary log log_bin_trust_function_creators.
//
// "orders$view" is a view for people and for statements of your own, with a column
// for each key of an Index that is a plain word. Who may make no views has none.
// In a transaction db.SQL is the *sql.Tx.
//
// Values are always bound; names are checked and quoted. Table makes what is
// missing, under a lock that holds also between processes, and needs the right
// to do so only then.
//
// Transactions are serializable: SERIALIZABLE on PostgreSQL and MySQL, where
// those that conflict or deadlock run again; on SQLite there is one writer at a
// time, and readers beside it. Writers of one engine take turns in the order in which
// they came; between engines and processes SQLite lets any of those who wait go first,
// so let a program have one engine for each file. With db.Isolation(db.LevelSnapshot) they are
// REPEATABLE READ on PostgreSQL and MySQL, and one that wrote over what another
// changed since it was read runs again. Single writes and a Batch need no more.
//
// # Errors
//
// A commit without an answer is db.ErrUnknownOutcome.
//
// # Closing
//
// Close closes the engine that was made from an address; one given to On stays
// open.
package sql
