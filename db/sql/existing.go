package sql

import (
	"context"
	dbsql "database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// existing is a table that is not ours, as it was found.
type existing struct {
	kind    sql.Kind
	from    string // quoted
	fields  map[string]mappedColumn
	keys    []string            // metadata keys, in the order that they are read in
	own     []string            // fields of the record beside the id, in that order
	indexes map[string][]string // the columns that an index of the engine begins with, by its name
	names   map[string]string   // keys by their columns, of several the first one
}

// The names under which fields has the columns of what no filter can mention.
const (
	fieldData        = "@data"
	fieldContentType = "@content_type"
)

// mappedColumn is a column that stands for a key or a field of a record.
type mappedColumn struct {
	key     string
	column  string // quoted
	class   class
	notNull bool
	listed  bool // sorted by the places of its values in its declaration: MySQL's ENUM and SET
}

// ofNoExisting is the error of what a table that is not ours does not do.
func ofNoExisting(what string) error {
	return fault.Markf(fault.Unsupported, "%s of an existing table, which is read only", what)
}

// writable returns a table that is ours.
func (d *driver) writable(name string) (*table, error) {
	t := d.table(name)
	if t.existing.Load() != nil {
		return nil, ofNoExisting("a write")
	}
	return t, nil
}

// existingOf returns what is configured of a table, whose name may have a namespace
// before it.
func (d *driver) existingOf(name string) (Existing, bool) {
	if _, after, ok := strings.Cut(name, "__"); ok {
		name = after
	}
	e, ok := d.c.existing[strings.TrimSuffix(name, "_deleted_")] // of SoftDelete
	return e, ok
}

// find looks at an existing table: its columns, its indexes. What is declared must
// be there.
func (d *driver) find(ctx context.Context, spec db.TableSpec, e Existing) (*existing, error) {
	switch {
	case len(spec.FullText) > 0:
		return nil, ofNoExisting("FullText")
	case strings.HasSuffix(spec.Name, "_deleted_"):
		return nil, ofNoExisting("SoftDelete")
	case slices.ContainsFunc(spec.Indexes, func(index []db.Order) bool { return index[0].Key == db.FieldExpires }):
		return nil, ofNoExisting("TTL")
	}
	parts := strings.Split(e.Table, ".")
	for i, p := range parts {
		if p == "" || strings.ContainsAny(p, "\"`?\x00") || len(parts) > 2 {
			return nil, fault.Markf(fault.Invalid, "existing table %q: want a name, or schema.name", e.Table)
		}
		parts[i] = d.kind.Quote(p)
	}
	x := &existing{kind: d.kind, from: strings.Join(parts, "."), fields: map[string]mappedColumn{}, indexes: map[string][]string{}, names: map[string]string{}}
	types, err := x.types(ctx, d.pool.DB)
	if err != nil {
		return nil, err
	}
	if err := x.assign(e, types); err != nil {
		return nil, err
	}
	if err := x.look(ctx, d.pool.DB, e); err != nil {
		return nil, err
	}
	wanted := spec.Indexes
	for _, key := range []string{db.FieldCreated, db.FieldUpdated} {
		if _, ok := x.fields[key]; ok {
			wanted = append(slices.Clone(wanted), []db.Order{{Key: key}})
		}
	}
	for _, index := range wanted {
		if err := x.has(index); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// described is one of a table's, as the engine's driver describes it.
type described struct {
	typ string
	class
}

// types returns the columns by their names.
func (x *existing) types(ctx context.Context, pool *dbsql.DB) (map[string]described, error) {
	rows, err := pool.QueryContext(ctx, "SELECT * FROM "+x.from+" WHERE 1 = 0")
	if sql.IsMissing(err) {
		return nil, fault.Markf(fault.Invalid, "existing table %s: it is not there: %w", x.from, err)
	}
	if err != nil {
		return nil, sql.ReadError(err)
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, sql.ReadError(err)
	}
	types := map[string]described{}
	for _, c := range columns {
		t := described{c.DatabaseTypeName(), classOf(x.kind, c.DatabaseTypeName())}
		if digits, _, ok := c.DecimalSize(); t.class == classDecimal && (!ok || digits > 15) {
			t.class = classInexact
		}
		types[c.Name()] = t
	}
	return types, sql.ReadError(rows.Err())
}

// assign gives each column its key or field.
func (x *existing) assign(e Existing, types map[string]described) error {
	used := map[string]bool{}
	add := func(key, column string, allowed ...class) error {
		c, ok := types[column]
		if !ok || strings.ContainsAny(column, "\"`?") {
			return fault.Markf(fault.Invalid, "existing table %s: there is no column %q for %s", x.from, column, key)
		}
		if !slices.Contains(allowed, c.class) {
			return fault.Markf(fault.Invalid, "existing table %s: column %q of type %s can't be %s", x.from, column, c.typ, key)
		}
		used[column] = true
		x.fields[key] = mappedColumn{key: key, column: "r." + x.kind.Quote(column), class: c.class, listed: x.kind == sql.MySQL && (c.typ == "ENUM" || c.typ == "SET")}
		return nil
	}
	for _, f := range []struct {
		key, column string
		allowed     []class
	}{
		{db.FieldID, e.ID, []class{classText, classInteger, classUUID}},
		{db.FieldVersion, e.Version, []class{classInteger}},
		{db.FieldCreated, e.Created, []class{classMoment, classZoned}},
		{db.FieldUpdated, e.Updated, []class{classMoment, classZoned}},
		{fieldData, e.Data, []class{classText, classBlob, classJSON}},
		{fieldContentType, e.ContentType, []class{classText}},
	} {
		if f.column == "" {
			continue
		}
		if err := add(f.key, f.column, f.allowed...); err != nil {
			return err
		}
		if f.key != db.FieldID {
			x.own = append(x.own, f.key)
		}
	}
	searchable := []class{classText, classInteger, classFloat, classDecimal, classInexact, classBool, classMoment, classZoned, classUUID}
	keys := e.Keys
	if keys == nil {
		keys = map[string]string{}
		for column, c := range types {
			if !used[column] && slices.Contains(searchable, c.class) && !strings.HasPrefix(column, "@") && !strings.ContainsAny(column, "\"`?") {
				keys[column] = column
			}
		}
	}
	x.keys = slices.Sorted(maps.Keys(keys))
	for _, key := range x.keys {
		if strings.HasPrefix(key, "@") || key == "" {
			return fault.Markf(fault.Invalid, "existing table %s: key %q", x.from, key)
		}
		if err := add(key, keys[key], searchable...); err != nil {
			return err
		}
	}
	return nil
}

// look asks the engine's catalog for the indexes that have an order, and for columns
// that always have a value.
func (x *existing) look(ctx context.Context, pool *dbsql.DB, e Existing) error {
	schema, name, ok := strings.Cut(e.Table, ".")
	if !ok {
		schema, name = "", e.Table
	}
	var full, indexes string // statements with the columns (column), and (index, column, its place)
	args := []any{name}
	switch x.kind {
	case sql.SQLite:
		full = `SELECT name FROM pragma_table_xinfo(?) WHERE "notnull" = 1`
		indexes = `SELECT il.name, COALESCE(ii.name, ''), ii.seqno + 1 FROM pragma_index_list(?) il, pragma_index_info(il.name) ii WHERE il.partial = 0 ORDER BY 1, 3`
	case sql.MySQL:
		const where = " WHERE table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?"
		full = "SELECT column_name FROM information_schema.columns" + where + " AND is_nullable = 'NO'"
		indexes = "SELECT index_name, COALESCE(column_name, ''), seq_in_index FROM information_schema.statistics" + where + " AND sub_part IS NULL AND index_type NOT IN ('FULLTEXT', 'HASH') ORDER BY 1, 3"
		args = []any{schema, name}
	default:
		full = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnotnull AND attnum > 0"
		indexes = `SELECT c.relname::text, COALESCE(a.attname::text, ''), k.n FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(att, n) LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.att
			WHERE i.indrelid = to_regclass($1) AND i.indisvalid AND i.indpred IS NULL AND k.n <= i.indnkeyatts
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
	rows, err := pool.QueryContext(ctx, indexes, args...)
	if err != nil {
		return sql.ReadError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var index, column string
		var place int
		if err := rows.Scan(&index, &column, &place); err != nil {
			return sql.ReadError(err)
		}
		column = "r." + x.kind.Quote(column)
		_, ok := x.names[column]
		if columns := x.indexes[index]; ok && len(columns) == place-1 { // as far as they are keys of ours
			x.indexes[index] = append(columns, column)
		}
	}
	return sql.ReadError(rows.Err())
}

// has returns an error if no index begins with these keys, whatever their
// directions.
func (x *existing) has(index []db.Order) error {
	var keys, columns []string
	for _, o := range index {
		f, ok := x.fields[o.Key]
		if ok && f.class == classInexact {
			return fault.Markf(fault.Invalid, "existing table %s: no index serves %q, whose numbers have more than 15 digits", x.from, o.Key)
		}
		if !ok {
			return fault.Markf(fault.Invalid, "existing table %s: no column for the key %q of an Index", x.from, o.Key)
		}
		keys, columns = append(keys, o.Key), append(columns, f.column)
	}
	for _, have := range x.indexes {
		if len(have) >= len(columns) && slices.Equal(have[:len(columns)], columns) {
			return nil
		}
	}
	return fault.Markf(fault.Invalid, "existing table %s: it has no index over %s, and none is made: see WithExisting", x.from, strings.Join(keys, ", "))
}
