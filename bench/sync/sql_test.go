package sync_test

import (
	dbsql "database/sql"
	"errors"
	"path/filepath"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/sync/sql"
	_ "modernc.org/sqlite"
)

// advisory is the database's own lock: PostgreSQL's advisory lock and MySQL's
// GET_LOCK, on a connection that is held meanwhile. It has no token, and says
// nothing when the connection is lost.
func advisory(b *testing.B, driver, dsn, lock, unlock string) locker {
	db, err := dbsql.Open(driver, dsn)
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxIdleConns(64)
	b.Cleanup(func() { db.Close() })
	ctx := b.Context()
	return locker{"advisory", func(id string) (func(), error) {
		c, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := c.ExecContext(ctx, lock, id); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return func() {
			_, err := c.ExecContext(ctx, unlock, id)
			if err := errors.Join(err, c.Close()); err != nil {
				b.Error(err)
			}
		}, nil
	}}
}

// row is a lock by hand in a database that has none: a row that is there or not.
func row(b *testing.B, file string) locker {
	db, err := dbsql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { db.Close() })
	ctx := b.Context()
	if _, err := db.ExecContext(ctx, "CREATE TABLE locks (id TEXT PRIMARY KEY)"); err != nil {
		b.Fatal(err)
	}
	return locker{"row", func(id string) (func(), error) {
		if _, err := db.ExecContext(ctx, "INSERT INTO locks (id) VALUES (?)", id); err != nil {
			return nil, err
		}
		return func() {
			if _, err := db.ExecContext(ctx, "DELETE FROM locks WHERE id = ?", id); err != nil {
				b.Error(err)
			}
		}, nil
	}}
}

func BenchmarkSQLiteUncontended(b *testing.B) {
	dir := b.TempDir()
	uncontended(b, ours(b, sql.SQLite(filepath.Join(dir, "sync.db"))), row(b, filepath.Join(dir, "row.db")))
}

func BenchmarkPostgresUncontended(b *testing.B) {
	dsn := servertest.Postgres(b, servertest.WithArgs("-c", "max_connections=200")).DSN()
	uncontended(b, ours(b, sql.Postgres(dsn)), advisory(b, "pgx", dsn, "SELECT pg_advisory_lock(hashtextextended($1, 0))", "SELECT pg_advisory_unlock(hashtextextended($1, 0))"))
}

func BenchmarkMySQLUncontended(b *testing.B) {
	dsn := servertest.MariaDB(b, servertest.WithArgs("--max-connections=200")).DSN() + "mysql"
	uncontended(b, ours(b, sql.MySQL(dsn)), advisory(b, "mysql", dsn, "DO GET_LOCK(?, 60)", "DO RELEASE_LOCK(?)"))
}

func BenchmarkPostgresHandOff(b *testing.B) {
	dsn := servertest.Postgres(b).DSN()
	lock, unlock := "SELECT pg_advisory_lock(hashtextextended($1, 0))", "SELECT pg_advisory_unlock(hashtextextended($1, 0))"
	handOff(b,
		[2]locker{ours(b, sql.Postgres(dsn)), ours(b, sql.Postgres(dsn))},
		[2]locker{advisory(b, "pgx", dsn, lock, unlock), advisory(b, "pgx", dsn, lock, unlock)})
}

func BenchmarkMySQLHandOff(b *testing.B) {
	dsn := servertest.MariaDB(b).DSN() + "mysql"
	lock, unlock := "DO GET_LOCK(?, 60)", "DO RELEASE_LOCK(?)"
	handOff(b,
		[2]locker{ours(b, sql.MySQL(dsn)), ours(b, sql.MySQL(dsn))},
		[2]locker{advisory(b, "mysql", dsn, lock, unlock), advisory(b, "mysql", dsn, lock, unlock)})
}

func BenchmarkSQLiteHandOff(b *testing.B) {
	file := filepath.Join(b.TempDir(), "sync.db")
	handOff(b, [2]locker{ours(b, sql.SQLite(file)), ours(b, sql.SQLite(file))})
}
