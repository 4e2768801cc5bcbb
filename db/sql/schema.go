package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// table is the statements of one table.
type table struct {
	name       string
	rows, keys string // quoted names

	get, look, insert, update, remove, forget string

	floor, raise string // the version that new records are above
}

// schema is the version of what Ensure makes.
const schema = 2

// catalog has a row for each table, with the version of its schema. No table
// of a user has a '$' in its name.
const catalog = "db$tables"

// physical is a table's name in the database. PostgreSQL cuts names at 63
// bytes, so that long ones get a hash.
func physical(name string) string {
	if len(name) <= 50 {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%.32s$%016x", name, h.Sum64())
}

const columns = "r.id, r.version, r.created, r.updated, r.metadata, r.content_type, r.data"

func newTable(kind sql.Kind, name string) *table {
	t := &table{name: physical(name), rows: kind.Quote(physical(name)), keys: kind.Quote(physical(name) + "$keys")}
	lock, ignore := " FOR UPDATE", " ON CONFLICT DO NOTHING" // an error would end a transaction of PostgreSQL
	switch kind {
	case sql.SQLite:
		lock = "" // a transaction that writes is alone
	case sql.MySQL:
		ignore = ""
	}
	t.get = kind.Rebind("SELECT " + columns + " FROM " + t.rows + " r WHERE r.id = ?")
	t.look = kind.Rebind("SELECT version, created, metadata FROM " + t.rows + " WHERE id = ?" + lock)
	t.insert = kind.Rebind("INSERT INTO " + t.rows + " (id, version, created, updated, metadata, content_type, data) VALUES (?, ?, ?, ?, ?, ?, ?)" + ignore)
	t.update = kind.Rebind("UPDATE " + t.rows + " SET version = ?, updated = ?, metadata = ?, content_type = ?, data = ? WHERE id = ?")
	t.remove = kind.Rebind("DELETE FROM " + t.rows + " WHERE id = ?")
	t.forget = kind.Rebind("DELETE FROM " + t.keys + " WHERE id = ?")
	share := map[sql.Kind]string{sql.MySQL: " LOCK IN SHARE MODE", sql.Postgres: " FOR SHARE"}[kind] // who deletes raises it first, so none reads an old one
	t.floor = kind.Rebind("SELECT floor FROM " + kind.Quote(catalog) + " WHERE name = ?" + share)
	t.raise = kind.Rebind("UPDATE " + kind.Quote(catalog) + " SET floor = ? WHERE name = ? AND floor < ?")
	return t
}

// table returns a table's statements.
func (d *driver) table(name string) *table {
	d.mu.RLock()
	t := d.tables[name]
	d.mu.RUnlock()
	if t == nil {
		t = newTable(d.kind, name)
		d.mu.Lock()
		d.tables[name] = t
		d.mu.Unlock()
	}
	return t
}

// Ensure makes the table if it isn't there. All keys are indexed.
func (d *driver) Ensure(ctx context.Context, spec db.TableSpec) error {
	there, err := d.there(ctx, spec.Name)
	if err != nil || there {
		return err
	}
	switch d.kind {
	case sql.MySQL: // whose CREATE commits
		return d.ensureMySQL(ctx, spec.Name)
	case sql.Postgres:
		return d.do(ctx, nil, func(s *session) error {
			if _, err := s.exec(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
				return err
			}
			return d.create(ctx, s.tx, spec.Name)
		})
	}
	return d.do(ctx, nil, func(s *session) error { return d.create(ctx, s.tx, spec.Name) })
}

// migrationLock is the number of PostgreSQL's lock.
const migrationLock = int64(0x676f2d706c617466)

func (d *driver) ensureMySQL(ctx context.Context, name string) error {
	c, err := d.pool.Conn(ctx)
	if err != nil {
		return sql.ReadError(err)
	}
	defer c.Close()
	var got dbsql.NullInt64
	if err := c.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 40), '.db$tables'), 60)").Scan(&got); err != nil {
		return sql.ReadError(err)
	}
	if got.Int64 != 1 {
		return fault.Markf(fault.Unavailable, "the lock for making tables is held by another")
	}
	defer func() { // also when ctx has ended; a connection that is gone holds nothing
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		c.ExecContext(ctx, "DO RELEASE_LOCK(CONCAT(LEFT(DATABASE(), 40), '.db$tables'))")
	}()
	return sql.WriteError(d.create(ctx, c, name))
}

// there reports whether all of a table is there, of a version that we know.
func (d *driver) there(ctx context.Context, name string) (bool, error) {
	t := d.table(name)
	var version int64
	// On the writer's side, whose view of the schema is the newest. The catalog
	// is asked first: servers log questions about tables that aren't there.
	err := d.pool.QueryRowContext(ctx, d.kind.Rebind("SELECT version FROM "+d.kind.Quote(catalog)+" WHERE name = ?"), physical(name)).Scan(&version)
	if err == nil {
		var n int64
		err = d.pool.QueryRowContext(ctx, "SELECT (SELECT COUNT(*) FROM "+t.rows+" WHERE 1 = 0) + (SELECT COUNT(*) FROM "+t.keys+" WHERE 1 = 0)").Scan(&n)
	}
	switch {
	case sql.IsMissing(err) || errors.Is(err, dbsql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, sql.ReadError(err)
	case version != schema:
		return false, fault.Markf(fault.Unsupported, "made by another version of this package: schema %d, want %d", version, schema)
	}
	return true, nil
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error)
}

// create makes a table; the caller holds the lock.
func (d *driver) create(ctx context.Context, x execer, name string) error {
	t := d.table(name)
	id, key, value, word, text, blob, end := "TEXT", "BLOB", "BLOB", "TEXT", "TEXT", "BLOB", ""
	switch d.kind {
	case sql.MySQL:
		id, key, value, word, text, blob, end = "VARBINARY(128)", "VARBINARY(64)", "VARBINARY(1025)", "VARBINARY(255)", "LONGTEXT", "LONGBLOB", " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	case sql.Postgres:
		id, key, value, blob = `TEXT COLLATE "C"`, "BYTEA", "BYTEA", "BYTEA"
	}
	keysEnd := end
	if d.kind == sql.SQLite {
		keysEnd = " WITHOUT ROWID"
	}
	index := "CREATE INDEX IF NOT EXISTS "
	if d.kind == sql.MySQL {
		index = "CREATE INDEX " // MySQL has no IF NOT EXISTS here; that it is there is no error below
	}
	for _, q := range []string{
		"CREATE TABLE IF NOT EXISTS " + d.kind.Quote(catalog) + " (name " + word + " NOT NULL PRIMARY KEY, version BIGINT NOT NULL, floor BIGINT NOT NULL)" + end,
		"CREATE TABLE IF NOT EXISTS " + t.rows + " (id " + id + " NOT NULL PRIMARY KEY, version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, metadata " +
			text + " NOT NULL, content_type " + word + " NOT NULL, data " + blob + ")" + end,
		// By record, to replace and to sort; by key and value, to find.
		"CREATE TABLE IF NOT EXISTS " + t.keys + " (id " + id + " NOT NULL, k " + key + " NOT NULL, v " + value + " NOT NULL, PRIMARY KEY (id, k, v))" + keysEnd,
		index + d.kind.Quote(physical(name)+"$find") + " ON " + t.keys + " (k, v, id)",
	} {
		if _, err := x.ExecContext(ctx, q); err != nil && !(d.kind == sql.MySQL && sql.IsThere(err)) {
			return err
		}
	}
	ignore := " ON CONFLICT DO NOTHING"
	if d.kind == sql.MySQL {
		ignore = " ON DUPLICATE KEY UPDATE version = version"
	}
	_, err := x.ExecContext(ctx, d.kind.Rebind("INSERT INTO "+d.kind.Quote(catalog)+" (name, version, floor) VALUES (?, ?, 0)"+ignore), physical(name), schema)
	return err
}

// insertKeys is the statement that adds n rows of keys.
func (t *table) insertKeys(kind sql.Kind, n int) string {
	return kind.Rebind("INSERT INTO " + t.keys + " (id, k, v) VALUES (?, ?, ?)" + strings.Repeat(", (?, ?, ?)", n-1))
}
