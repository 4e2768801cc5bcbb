// Package sql keeps locks, semaphores and elections of package sync in SQLite,
// MySQL (or MariaDB) or PostgreSQL.
//
//	s, err := sync.New(sql.Postgres("postgres://shop:secret@127.0.0.1/shop"))
//	s, err := sync.New(sql.SQLite("app.db")) // among the processes of one machine
//
// # Backends
//
// A claim is a row of the table sync_claims: its key, its place in the queue,
// its token once it is granted, and when it ends, by the database's clock.
// sync_stripes has 64 rows. A key belongs to one of them, which whoever acquires
// or releases the key locks and counts up. Tables that are missing are made,
// which needs the right to do so once.
//
// # Semantics
//
// Claims of a key are granted in the order in which their transactions locked
// the stripe: the order of arrival, over all processes. The fencing token is the
// stripe's count at the grant, which begins at the database's clock: it rises
// also after a key was deleted, and after the tables were lost if the clock does.
//
// A waiting claim keeps its place alive as a holder keeps its lock: a process
// that was killed is skipped when its TTL has passed.
//
// Those who wait hear of a release from PostgreSQL at once (LISTEN, which takes
// one connection of the pool), from MySQL and SQLite by asking, once for all of
// a process, every 5 to 50 ms. Within a process they hear at once.
//
// A database that answers from a copy, as after a failover to a replica that
// was behind, may have forgotten a grant: use synchronous replication, or fence.
//
// # Errors
//
// As in package sync.
//
// # Closing
//
// Close closes the engine that was made from an address; one given to On stays
// open.
package sql
