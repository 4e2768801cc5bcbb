// Package sql is the connection to a SQLite, MySQL (or MariaDB) or PostgreSQL
// database, which the sql backends of all packages stand on.
//
//	e, err := sql.Open("postgres://shop:secret@10.0.0.1/shop")
//	records, err := db.New(dbsql.On(e))
//	store, err := kv.New(kvsql.On(e))
//
// # Addresses
//
//	postgres://user:password@host:5432/database   also postgresql://; parameters as libpq has them
//	mysql://user:password@host:3306/database      also mariadb://; parameters of go-sql-driver/mysql
//	sqlite:shop.db                                a file; sqlite:///var/lib/shop.db, sqlite::memory:
//
// WithDialect takes a database's own form: libpq's "host=… user=…", that of
// go-sql-driver/mysql, a file's name.
//
// # Semantics
//
// The drivers are pgx, go-sql-driver/mysql and modernc.org/sqlite. All backends
// share one pool. On PostgreSQL each package that follows changes takes one
// connection of it to listen on. A SQLite file has one connection that writes, so
// a transaction of one package keeps the writes of the others waiting: do not
// write through another package within a transaction of db. Sessions of MySQL have the
// time zone UTC, unless the address has a time_zone, and autocommit whatever the
// server's default is; a *sql.DB given to FromDB has to have it.
//
// A pooler that shares connections between transactions, such as PgBouncer with
// pool_mode=transaction, loses prepared statements: give the address the parameter
// default_query_exec_mode=exec. It loses notifications too, so that changes by other
// processes are noticed up to 5 s late; session pooling, or an address past the pooler,
// has them.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close closes the pool. A *sql.DB given to FromDB stays open.
package sql
