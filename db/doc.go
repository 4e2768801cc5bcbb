// Package db keeps records in databases: create, read, update, delete and
// search, the same on every backend.
//
//	d, err := db.New()                                             // in this process
//	d, err := db.New(sql.SQLite("orders.db"))                      // the same code on SQLite
//	orders, err := d.Table(ctx, "orders", db.Index("customer"))
//
//	err = orders.Create(ctx, &db.Record{Metadata: map[string]any{"customer": "ann", "total": 42}, Data: data})
//	page, err := orders.Search(ctx, db.Where(db.Equal("customer", "ann")), db.OrderBy("total"), db.Limit(20))
//
// Collection stores values of a Go type instead of records.
//
// # Backends
//
// Memory is the default, with the same indexes. Package db/sql has SQLite, MySQL and PostgreSQL,
// db/cassandra has Cassandra, db/elastic has Elasticsearch and OpenSearch, and
// db/cluster finds the nodes of a database in discovery.
// Features says what a backend can do; what it can't is ErrUnsupported, never
// a silent scan. WithDriver takes anyone's own, which package dbtest checks.
//
// # Semantics
//
// A record has an ID, Data that the database does not look into, and Metadata
// that it can search: strings, booleans, integers, floats, times (UTC, to the
// microsecond) and lists of strings. Values come back with the type they were
// given: integers as int64, floats as float64.
//
// Every write raises the record's Version by one. Update succeeds only if the
// record still has the Version that it was read with, else it returns
// ErrConflict: of several concurrent updates one wins. Versions of an id never
// repeat, also when its record is deleted and created again. Force and Upsert
// overwrite whatever is there.
//
// Filters are exact and typed: numbers compare by value, whether integer or
// float; strings and times by bytes and instant; values of different types
// never match, and a missing key matches nothing but Not. Order sorts missing
// keys first, then lists, booleans, numbers, strings, times.
//
// Match finds words in the texts of keys that FullText declares, on the backends
// that have it.
//
// A page names the next one by a signed cursor that holds the last record's
// place in the order. Paging costs the same on every page, and neither repeats
// nor skips records that stay while others come and go. A cursor is good for the
// query that it came from only.
//
// Tx runs a function in a transaction: what it does happens as a whole or not
// at all. Transactions are serializable on every backend that has them, unless
// Isolation(LevelSnapshot) asks for less: their result is as if they had run one
// after another. The function runs again when it conflicts with another. Use
// the database that Tx gives to it; using the outer one is ErrInvalid.
// WithChanges has every write told before it is committed; package db/changes
// makes events of that.
//
// TTL has records expire: from then on they are not there. SoftDelete keeps what
// was deleted for a time, and Table.Restore brings it back. Both work the same on
// every backend, but where Features has no Transactions a Delete that fails half way
// may have replaced the copy of an earlier record with that id.
//
// # Errors
//
// ErrNotFound and ErrExists, ErrConflict for versions, ErrInvalid and
// ErrTooLarge for what the caller gave, ErrUnsupported for what the backend
// lacks, ErrUnavailable when certainly nothing was done, ErrUnknownOutcome for
// a write that may have been applied, ErrClosed after Close.
//
// # Closing
//
// Close waits for the calls in progress, then releases the backend. A
// database handle that the user brought stays open.
package db
