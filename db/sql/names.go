package sql

import (
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
)

// catalog has a row for each table, with the version of its schema and the
// version that its new records are above. No table of a user has a '$' in its
// name.
const catalog = "db$tables"

// schema is the version of what Ensure makes.
const schema = 3

// physical is a table's name in the database. PostgreSQL cuts names at 63
// bytes, so that long ones get a hash.
func physical(name string) string { return short(name, 50) }

// short returns a name of up to n bytes that stands for a longer one.
func short(name string, n int) string {
	if len(name) <= n {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s$%016x", name[:n-17], h.Sum64())
}

// indexName names an index in the database after its table and its keys, so
// that one that is there by name is the one that is wanted.
func indexName(table string, keys []db.Order) string {
	parts := []string{table}
	for _, o := range keys {
		part := strings.TrimPrefix(o.Key, "@")
		if o.Key[0] != '@' {
			part = "k_" + field(o.Key)
		}
		if o.Desc {
			part += "$d"
		}
		parts = append(parts, part)
	}
	return short(strings.Join(parts, "$"), 60)
}

// keyColumn names the column of a metadata key. MySQL takes names of 64 bytes.
func keyColumn(kind sql.Kind, key string) string {
	name := "k$" + field(key)
	if kind == sql.MySQL {
		return short(name, 64)
	}
	return name
}

// table is the statements of one table.
type table struct {
	name        string // in the catalog
	rows, lists string // quoted names

	get, look, create, update, overwrite, replace, remove, removeIf, drop, forget string
	raise                                                                         string // the version that new records are above

	existing atomic.Pointer[existing] // what it is, if it is not ours

	mu      sync.RWMutex
	columns map[string]bool   // of metadata keys, which the table has
	words   map[string]string // keys by the names of the indexes of their words
	indexes [][]db.Order      // declared by this process
	seen    map[string]bool   // the names of those that Ensure found, until HasIndex has asked
}

const columns = "r.id, r.version, r.created, r.updated, r.metadata, r.content_type, r.data"

func newTable(kind sql.Kind, name string) *table {
	t := &table{columns: map[string]bool{}, words: map[string]string{}, name: physical(name), rows: kind.Quote(physical(name)), lists: kind.Quote(physical(name) + "$lists")}
	lock, share := " FOR UPDATE", " FOR SHARE"
	switch kind {
	case sql.SQLite:
		lock, share = "", "" // what writes is alone
	case sql.MySQL:
		share = " LOCK IN SHARE MODE"
	}
	cat := kind.Quote(catalog)
	const fields = "(id, version, created, updated, metadata, sortable, lists, content_type, data)"
	t.get = "SELECT " + columns + " FROM " + t.rows + " r WHERE r.id = ?"
	t.look = "SELECT version, created, lists FROM " + t.rows + " WHERE id = ?" + lock

	// A new record's version is above all that were deleted. Who deletes raises
	// that number first and holds it until then; so whoever finds the id free has
	// read the new number: also one that waited for the id.
	version := "floor + 1"
	end := " ON CONFLICT (id) DO NOTHING RETURNING version"
	if kind == sql.MySQL {
		version, end = "LAST_INSERT_ID(floor + 1)", ""
	}
	t.create = "INSERT INTO " + t.rows + " " + fields + " SELECT " + value(kind, "text") + ", " + version + ", " + value(kind, "bigint") + ", " + value(kind, "bigint") + ", " +
		value(kind, "text") + ", " + value(kind, "jsonb") + ", " + value(kind, "int") + ", " + value(kind, "text") + ", " + value(kind, "bytea") + " FROM " + cat + " WHERE name = ?" + share + end
	t.raise = "UPDATE " + cat + " SET floor = ? WHERE name = ? AND floor < ?"

	const set = " SET version = version + 1, updated = ?, metadata = ?, sortable = ?, content_type = ?, data = ?"
	t.update = "UPDATE " + t.rows + set + t.free(kind, "id = ? AND version = ? AND lists = 0") + " RETURNING version, created"
	t.overwrite = "UPDATE " + t.rows + set + t.free(kind, "id = ? AND lists = 0") + " RETURNING version, created"
	if kind == sql.MySQL { // which returns a number at most
		t.update = "UPDATE " + t.rows + strings.Replace(set, "= version + 1", "= version + 1 + 0 * LAST_INSERT_ID(created)", 1) + " WHERE id = ? AND version = ? AND lists = 0"
		t.overwrite = ""
	}
	t.replace = "UPDATE " + t.rows + " SET version = ?, updated = ?, metadata = ?, sortable = ?, lists = ?, content_type = ?, data = ? WHERE id = ?"

	gone := "id = ? AND lists = 0 AND version <= (SELECT floor FROM " + cat + " WHERE name = ?)"
	t.remove = "DELETE FROM " + t.rows + t.free(kind, gone)
	t.removeIf = "DELETE FROM " + t.rows + t.free(kind, gone+" AND version = ?")
	t.drop = "DELETE FROM " + t.rows + " WHERE id = ?"
	t.forget = "DELETE FROM " + t.lists + " WHERE id = ?"
	for _, s := range []*string{&t.get, &t.look, &t.create, &t.raise, &t.update, &t.overwrite, &t.replace, &t.remove, &t.removeIf, &t.drop, &t.forget} {
		*s = kind.Rebind(*s)
	}
	return t
}

// free is the WHERE of a statement that is a write by itself. On PostgreSQL it
// finds no record that another transaction has locked: a statement that waits
// goes on when its caller has left, and is applied then. The way through a
// transaction waits instead.
func (t *table) free(kind sql.Kind, condition string) string {
	if kind == sql.Postgres {
		condition = "id = (SELECT id FROM " + t.rows + " WHERE " + condition + " FOR UPDATE SKIP LOCKED)"
	}
	return " WHERE " + condition
}

// value is a placeholder in a SELECT, where PostgreSQL wants to know its type.
func value(kind sql.Kind, typ string) string {
	if kind == sql.Postgres {
		return "?::" + typ
	}
	return "?"
}

// insertLists is the statement that adds n rows of lists.
func (t *table) insertLists(kind sql.Kind, n int) string {
	return kind.Rebind("INSERT INTO " + t.lists + " (id, k, v) VALUES (?, ?, ?)" + strings.Repeat(", (?, ?, ?)", n-1))
}
