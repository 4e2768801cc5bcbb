package kv_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/sql"
	_ "modernc.org/sqlite"
)

// plain is what one would write by hand: a table, and a prepared statement for
// each call. It has no TTLs, no watches, and revisions of each key alone, which
// begin again when the key is made again.
type plain struct{ get, put, cas *dbsql.Stmt }

func newPlain(b *testing.B, writes, reads *dbsql.DB, dialect string) plain {
	b.Helper()
	key, blob := "BLOB", "BLOB"
	get, cas := "SELECT v, rev FROM plain WHERE k = ?", "UPDATE plain SET v = ?, rev = rev + 1 WHERE k = ? AND rev = rev"
	put := "INSERT INTO plain (k, v, rev) VALUES (?, ?, 1) ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = plain.rev + 1"
	switch dialect {
	case "mysql":
		key = "VARBINARY(1024)"
		put = "INSERT INTO plain (k, v, rev) VALUES (?, ?, 1) ON DUPLICATE KEY UPDATE v = VALUES(v), rev = rev + 1"
	case "postgres":
		key, blob = "BYTEA", "BYTEA"
		get, cas = "SELECT v, rev FROM plain WHERE k = $1", "UPDATE plain SET v = $1, rev = rev + 1 WHERE k = $2 AND rev = rev"
		put = "INSERT INTO plain (k, v, rev) VALUES ($1, $2, 1) ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = plain.rev + 1"
	}
	_, err := writes.Exec("CREATE TABLE plain (k " + key + " NOT NULL PRIMARY KEY, v " + blob + " NOT NULL, rev BIGINT NOT NULL)")
	must(err)
	prepare := func(db *dbsql.DB, query string) *dbsql.Stmt {
		s, err := db.Prepare(query)
		must(err)
		b.Cleanup(func() { s.Close() })
		return s
	}
	p := plain{prepare(reads, get), prepare(writes, put), prepare(writes, cas)}
	for _, k := range keys {
		_, err := p.put.Exec([]byte(k), value)
		must(err)
	}
	return p
}

// BenchmarkSQL compares with prepared statements on the same database.
func BenchmarkSQL(b *testing.B) {
	connect := func(b *testing.B, driver, dsn string, most int) *dbsql.DB {
		db, err := dbsql.Open(driver, dsn)
		must(err)
		db.SetMaxOpenConns(most)
		db.SetMaxIdleConns(most)
		b.Cleanup(func() { db.Close() })
		return db
	}
	for _, engine := range []struct {
		name string
		open func(b *testing.B) (kv.Option, plain)
	}{
		{"SQLite", func(b *testing.B) (kv.Option, plain) {
			dir := b.TempDir()
			dsn := "file:" + filepath.Join(dir, "raw.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock="
			return sql.SQLite(filepath.Join(dir, "kv.db")), newPlain(b, connect(b, "sqlite", dsn+"immediate", 1), connect(b, "sqlite", dsn+"deferred", 4), "sqlite")
		}},
		{"PostgreSQL", func(b *testing.B) (kv.Option, plain) {
			dsn := servertest.Postgres(b, servertest.WithArgs("-c", "synchronous_commit=on")).DSN()
			db := connect(b, "pgx", dsn, 10)
			return sql.Postgres(dsn), newPlain(b, db, db, "postgres")
		}},
		{"MySQL", func(b *testing.B) (kv.Option, plain) {
			dsn := servertest.MariaDB(b).DSN() + "mysql"
			db := connect(b, "mysql", dsn, 10)
			return sql.MySQL(dsn), newPlain(b, db, db, "mysql")
		}},
	} {
		b.Run(engine.name, func(b *testing.B) {
			backend, raw := engine.open(b)
			store := open(b, backend)
			ctx := context.Background()
			revs := map[string]kv.Revision{}
			for _, callers := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("Get/%d", callers), func(b *testing.B) {
					compare(b, callers,
						contender{"kv", func(i int) { _, err := store.Get(ctx, keyOf(i)); must(err) }},
						contender{"prepared", func(i int) {
							var v []byte
							var rev int64
							must(raw.get.QueryRowContext(ctx, []byte(keyOf(i))).Scan(&v, &rev))
						}})
				})
				b.Run(fmt.Sprintf("Put/%d", callers), func(b *testing.B) {
					compare(b, callers,
						contender{"kv", func(i int) { _, err := store.Put(ctx, keyOf(i), value); must(err) }},
						contender{"prepared", func(i int) { _, err := raw.put.ExecContext(ctx, []byte(keyOf(i)), value); must(err) }})
				})
			}
			b.Run("CAS/1", func(b *testing.B) {
				for _, k := range keys {
					rev, err := store.Put(ctx, k, value)
					must(err)
					revs[k] = rev
				}
				compare(b, 1,
					contender{"kv", func(i int) {
						rev, err := store.Put(ctx, keyOf(i), value, kv.IfRevision(revs[keyOf(i)]))
						must(err)
						revs[keyOf(i)] = rev
					}},
					contender{"prepared", func(i int) { _, err := raw.cas.ExecContext(ctx, value, []byte(keyOf(i))); must(err) }})
			})
		})
	}
}
