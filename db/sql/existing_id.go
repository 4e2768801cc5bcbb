package sql

import (
	"context"
	dbsql "database/sql"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// identified returns an error for a table whose rows the ID column does not tell apart:
// a page that ends at one of two rows with the same id would leave the other one out. Of
// a view, and of what is partitioned or in another database, the catalog has nothing to
// say.
func (x *existing) identified(ctx context.Context, pool *dbsql.DB, e Existing) error {
	schema, name := e.named()
	var unique string // returns a row for a table without a unique index over the column alone
	var args []any
	switch x.kind {
	case sql.SQLite:
		unique = `SELECT 1 WHERE (SELECT type FROM pragma_table_list(?1) WHERE ?2 IN ('', schema) ORDER BY schema = 'temp' DESC, schema = 'main' DESC) = 'table'
			AND (SELECT GROUP_CONCAT(name, '?') FROM pragma_table_xinfo(?1, NULLIF(?2, '')) WHERE pk > 0) IS NOT ?3
			AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1, NULLIF(?2, '')) il WHERE il."unique" = 1 AND il.partial = 0
				AND (SELECT GROUP_CONCAT(COALESCE(name, '?'), '?') FROM pragma_index_xinfo(il.name, NULLIF(?2, '')) WHERE key = 1) = ?3)`
		args = []any{name, schema, e.ID}
	case sql.MySQL:
		const of = "table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?"
		unique = "SELECT 1 FROM information_schema.tables WHERE " + of + ` AND table_type = 'BASE TABLE' AND NOT EXISTS (
			SELECT 1 FROM information_schema.statistics WHERE ` + of + ` AND non_unique = 0
			GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(column_name) = ? AND MAX(sub_part) IS NULL)`
		args = []any{schema, name, schema, name, e.ID}
	default:
		unique = `SELECT 1 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 WHERE c.oid = to_regclass($1) AND c.relkind = 'r' AND NOT EXISTS (
			SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)`
		args = []any{x.from, e.ID}
	}
	rows, err := pool.QueryContext(ctx, unique, args...)
	if err != nil {
		return sql.ReadError(err)
	}
	defer rows.Close()
	if rows.Next() {
		return fault.Markf(fault.Invalid, "existing table %s: column %q is no ID, since no unique index is over it alone: see WithExisting", x.from, e.ID)
	}
	return sql.ReadError(rows.Err())
}
