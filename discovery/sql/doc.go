// Package sql is a backend of package discovery on SQLite, MySQL (or MariaDB) or
// PostgreSQL.
//
//	d, err := discovery.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"))
//	d, err := discovery.New(sql.SQLite("app.db")) // among the processes of one machine
//
// # Backends
//
// An instance is a row of the table discovery_instances: its service, its id,
// its owner, its JSON, and its lease. A lease is a row of discovery_leases: when
// it ends, by the database's clock. All instances of a process that have the same
// TTL share a lease, so that a heartbeat is one statement for all of them.
// discovery_stripes has 64 rows. A service belongs to one of them, which whoever
// registers or deregisters an instance of it locks and counts up. Tables that are
// missing are made, which needs the right to do so once.
//
// # Semantics
//
// Readers hear of a change from PostgreSQL at once (LISTEN, which takes one
// connection of the pool), from MySQL and SQLite by asking, once for all services
// that a process follows, every 5 to 250 ms. Within a process they hear at once.
// That a lease has ended is asked for when the one that ends first is due.
//
// PostgreSQL does not wait for its disk when an instance registers or
// deregisters. What a crash of it loses, heartbeats notice and write again; in the
// meantime readers keep what they have.
//
// A row of an instance that deregistered or expired is kept for 10 minutes, for
// readers that were cut off, and then removed.
//
// # Errors
//
// As in package discovery.
//
// # Closing
//
// Close closes the engine that was made from an address; one given to On stays
// open.
package sql
