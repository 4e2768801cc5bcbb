package sql

import (
	"context"
	dbsql "database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// look asks the engine's catalog for the columns that are NOT NULL, and for the indexes
// that can serve our searches. One with another collation than its column's, or with
// NULLs at the other end, can't.
func (x *existing) look(ctx context.Context, pool *dbsql.DB, e Existing) error {
	schema, name := e.named()
	var full, indexes string // statements that return (column), and (index, column, its place from 1, descending, collation)
	var args []any
	switch x.kind {
	case sql.SQLite:
		full = `SELECT name FROM pragma_table_xinfo(?1, NULLIF(?2, '')) WHERE "notnull" = 1`
		indexes = `SELECT il.name, COALESCE(ii.name, ''), ii.seqno + 1, ii."desc", ii.coll
			FROM pragma_index_list(?1, NULLIF(?2, '')) il, pragma_index_xinfo(il.name, NULLIF(?2, '')) ii WHERE il.partial = 0 AND ii.key = 1 ORDER BY 1, 3`
		args = []any{name, schema}
	case sql.MySQL:
		const where = " WHERE table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?"
		full = "SELECT column_name FROM information_schema.columns" + where + " AND is_nullable = 'NO'"
		indexes = "SELECT index_name, COALESCE(column_name, ''), seq_in_index, COALESCE(collation, '') = 'D', '' FROM information_schema.statistics" + where +
			" AND sub_part IS NULL AND index_type NOT IN ('FULLTEXT', 'HASH') ORDER BY 1, 3"
		args = []any{schema, name}
	default:
		full = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnotnull AND attnum > 0"
		// An index of a partitioned table is in plans as those of its partitions.
		indexes = `SELECT p.relname::text, a.attname::text, k.n, i.indoption[k.n - 1] = 3, '' FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(att, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.att
			JOIN pg_opclass o ON o.oid = i.indclass[k.n - 1] LEFT JOIN LATERAL pg_partition_tree(i.indexrelid) t ON t.isleaf
			JOIN pg_class p ON p.oid = COALESCE(t.relid::oid, c.oid)
			WHERE i.indrelid = to_regclass($1) AND i.indisvalid AND i.indpred IS NULL AND k.n <= i.indnkeyatts
			AND i.indoption[k.n - 1] IN (0, 3) AND i.indcollation[k.n - 1] = a.attcollation
			AND EXISTS (SELECT FROM pg_opclass d WHERE d.opcfamily = o.opcfamily AND d.opcintype = o.opcintype AND d.opcdefault)
			AND c.relam NOT IN (SELECT oid FROM pg_am WHERE amname IN ('hash', 'gin', 'gist', 'spgist', 'brin')) ORDER BY 1, 3`
		args = []any{x.from}
	}
	never, err := texts(pool.QueryContext(ctx, full, args...))
	if err != nil {
		return sql.ReadError(err)
	}
	for _, key := range slices.Sorted(maps.Keys(x.fields)) {
		f := x.fields[key]
		column := strings.TrimPrefix(f.column, "r.")
		f.notNull = key == db.FieldID || never[column[1:len(column)-1]]
		if key == db.FieldVersion && !f.notNull { // as records have it; no index has this
			f.column, f.notNull = "COALESCE("+f.column+", 0)", true
		}
		if _, ok := x.names[f.column]; !ok {
			x.names[f.column] = key
		}
		x.fields[key] = f
	}
	collations, err := x.collations(ctx, pool)
	if err != nil {
		return err
	}
	rows, err := pool.QueryContext(ctx, indexes, args...)
	if err != nil {
		return sql.ReadError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var index, column, collation string
		var place int
		var desc bool
		if err := rows.Scan(&index, &column, &place, &desc, &collation); err != nil {
			return sql.ReadError(err)
		}
		column = "r." + x.kind.Quote(column)
		_, ok := x.names[column]
		if parts := x.indexes[index]; ok && len(parts) == place-1 && collation == collations[column] { // as far as they are keys of ours
			x.indexes[index] = append(parts, part{column, desc})
		}
	}
	return sql.ReadError(rows.Err())
}

// collations returns those of SQLite's columns. Its catalog does not have them, so they
// are told by what the column takes for equal. For other engines, look has compared
// indexes with columns in its statement.
func (x *existing) collations(ctx context.Context, pool *dbsql.DB) (map[string]string, error) {
	if x.kind != sql.SQLite {
		return nil, nil
	}
	var columns, values, answers []string
	for column := range x.names {
		if strings.HasPrefix(column, "r.") {
			c := "c" + strconv.Itoa(len(columns))
			columns, values = append(columns, column), append(values, "'a'")
			answers = append(answers, "("+c+" = 'A') + 2 * ("+c+" = 'a ')")
		}
	}
	selected := make([]string, len(columns))
	found, to := make([]int, len(columns)), make([]any, len(columns))
	for i, column := range columns {
		selected[i], to[i] = column+" AS c"+strconv.Itoa(i), &found[i]
	}
	err := pool.QueryRowContext(ctx, "SELECT "+strings.Join(answers, ", ")+" FROM (SELECT "+strings.Join(selected, ", ")+" FROM "+x.from+" r WHERE 1 = 0 UNION ALL SELECT "+strings.Join(values, ", ")+")").Scan(to...)
	if err != nil {
		return nil, sql.ReadError(err)
	}
	all := map[string]string{}
	for i, column := range columns {
		all[column] = []string{"BINARY", "NOCASE", "RTRIM"}[found[i]]
	}
	return all, nil
}

// has returns an error if no index begins with these keys in these directions, or
// with all of them the other way.
func (x *existing) has(index []db.Order) error {
	var keys []string
	var parts []part
	for _, o := range index {
		f, ok := x.fields[o.Key]
		if ok && f.class == classInexact {
			return fault.Markf(fault.Invalid, "existing table %s: no index serves %q, whose numbers have more than 15 digits", x.from, o.Key)
		}
		if ok && f.class == classTexts {
			return fault.Markf(fault.Invalid, "existing table %s: no index serves %q, whose values are lists", x.from, o.Key)
		}
		if !ok {
			return fault.Markf(fault.Invalid, "existing table %s: no column for the key %q of an Index", x.from, o.Key)
		}
		keys, parts = append(keys, o.String()), append(parts, part{f.column, o.Desc})
	}
	for _, have := range x.indexes {
		if len(have) < len(parts) {
			continue
		}
		back := have[0].desc != parts[0].desc
		if slices.EqualFunc(have[:len(parts)], parts, func(a, b part) bool { return a.column == b.column && (a.desc != b.desc) == back }) {
			return nil
		}
	}
	return fault.Markf(fault.Invalid, "existing table %s: it has no index over %s, and none is made: see WithExisting", x.from, strings.Join(keys, ", "))
}
