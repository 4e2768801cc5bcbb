package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
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
	keys    []string          // metadata keys, in the order that they are read in
	own     []string          // fields of the record beside the id, in that order
	indexes map[string][]part // what an index of the engine begins with, by its name
	names   map[string]string // keys by their columns, of several the first one
}

// part is a column of an index, as it is sorted there.
type part struct {
	column string
	desc   bool
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
	listed  bool  // sorted by the places of its values in its declaration: ENUM, and MySQL's SET
	enum    *enum // of PostgreSQL
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

// named returns the parts of Table, "" for no schema.
func (e Existing) named() (schema, name string) {
	schema, name, ok := strings.Cut(e.Table, ".")
	if !ok {
		return "", e.Table
	}
	return schema, name
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
		parts[i] = d.kind.Quote(p)
	}
	x := &existing{kind: d.kind, from: strings.Join(parts, "."), fields: map[string]mappedColumn{}, indexes: map[string][]part{}, names: map[string]string{}}
	types, err := x.types(ctx, d.pool.DB, e)
	if err != nil {
		return nil, err
	}
	if err := x.assign(e, types); err != nil {
		return nil, err
	}
	if err := x.identified(ctx, d.pool.DB, e); err != nil {
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
	enum *enum // of PostgreSQL
}

// enum is a type of PostgreSQL's.
type enum struct {
	name   string   // quoted
	values []string // that it has had when the table was opened
}

// types returns the columns by their names.
func (x *existing) types(ctx context.Context, pool *dbsql.DB, e Existing) (map[string]described, error) {
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
		t := described{typ: c.DatabaseTypeName(), class: classOf(x.kind, c.DatabaseTypeName())}
		if digits, _, ok := c.DecimalSize(); t.class == classDecimal && (!ok || digits > 15) {
			t.class = classInexact
		}
		types[c.Name()] = t
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, sql.ReadError(err)
	}
	if x.kind == sql.SQLite {
		return types, x.casts(ctx, pool, e, types)
	}
	return types, x.enums(ctx, pool, types)
}

// casts finds out what SQLite's views say with CAST of their columns, for which the
// driver has no type.
func (x *existing) casts(ctx context.Context, pool *dbsql.DB, e Existing, types map[string]described) error {
	schema, name := e.named()
	rows, err := pool.QueryContext(ctx, "SELECT name, type FROM pragma_table_xinfo(?, NULLIF(?, '')) WHERE type <> ''", name, schema)
	if err != nil {
		return sql.ReadError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var column, typ string
		err := rows.Scan(&column, &typ)
		if err != nil {
			return sql.ReadError(err)
		}
		if t, ok := types[column]; ok && t.typ == "" {
			types[column] = described{typ: typ, class: classOf(x.kind, typ)}
		}
	}
	return sql.ReadError(rows.Err())
}

// enums finds out which types are ENUMs of PostgreSQL, whose driver has numbers for
// them.
func (x *existing) enums(ctx context.Context, pool *dbsql.DB, types map[string]described) error {
	if x.kind != sql.Postgres {
		return nil
	}
	rows, err := pool.QueryContext(ctx, `SELECT a.attname, quote_ident(n.nspname) || '.' || quote_ident(t.typname), COALESCE(e.enumlabel, '')
		FROM pg_attribute a JOIN pg_type c ON c.oid = a.atttypid JOIN pg_type t ON t.oid = CASE c.typtype WHEN 'd' THEN c.typbasetype ELSE c.oid END
		JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_enum e ON e.enumtypid = t.oid
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND t.typtype = 'e'`, x.from)
	if err != nil {
		return sql.ReadError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var column, name, value string
		if err := rows.Scan(&column, &name, &value); err != nil {
			return sql.ReadError(err)
		}
		t := types[column]
		if t.enum == nil {
			t = described{name, classText, &enum{name: name}}
			types[column] = t
		}
		t.enum.values = append(t.enum.values, value)
	}
	return sql.ReadError(rows.Err())
}

// assign gives each column its key or field.
func (x *existing) assign(e Existing, types map[string]described) error {
	used := map[string]bool{}
	add := func(key, column string, allowed ...class) error {
		c, ok := types[column]
		if strings.ContainsAny(column, "\"`?") {
			return fault.Markf(fault.Invalid, "existing table %s: column %q for %s has a quote or a question mark in its name", x.from, column, key)
		}
		if !ok {
			return fault.Markf(fault.Invalid, "existing table %s: there is no column %q for %s", x.from, column, key)
		}
		if c.typ == "" {
			return fault.Markf(fault.Invalid, "existing table %s: column %q for %s has no type; in a view, CAST gives it one", x.from, column, key)
		}
		if !slices.Contains(allowed, c.class) {
			return fault.Markf(fault.Invalid, "existing table %s: column %q of type %s can't be %s", x.from, column, c.typ, key)
		}
		used[column] = true
		x.fields[key] = mappedColumn{key: key, column: "r." + x.kind.Quote(column), class: c.class, listed: c.enum != nil || x.kind == sql.MySQL && (c.typ == "ENUM" || c.typ == "SET"), enum: c.enum}
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
	searchable := []class{classText, classInteger, classFloat, classDecimal, classInexact, classBool, classMoment, classZoned, classUUID, classTexts}
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
		if err := add(key, keys[key], searchable...); err != nil {
			return err
		}
	}
	return nil
}
