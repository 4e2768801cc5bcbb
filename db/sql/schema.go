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

// table returns a table's statements.
func (d *driver) table(name string) *table {
	d.mu.RLock()
	t := d.tables[name]
	d.mu.RUnlock()
	if t != nil {
		return t
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tables[name]; t != nil {
		return t
	}
	t = newTable(d.kind, name)
	d.tables[name] = t
	return t
}

// Ensure makes what is missing of a table: itself, and indexes. Whoever makes
// something holds a lock, which others wait for.
func (d *driver) Ensure(ctx context.Context, spec db.TableSpec) error {
	if e, ok := d.existingOf(spec.Name); ok {
		x, err := d.find(ctx, spec, e)
		if err == nil {
			d.table(spec.Name).existing.Store(x)
		}
		return err
	}
	t := d.table(spec.Name)
	t.noted() // by an earlier Ensure
	wanted := slices.Concat([][]db.Order{{{Key: db.FieldCreated}}, {{Key: db.FieldUpdated}}}, spec.Indexes)
	there, missing, err := d.there(ctx, d.pool.DB, t, wanted)
	var words []string
	if err == nil && there {
		words, err = d.textsMissing(ctx, d.pool.DB, t, spec.FullText)
	}
	if err == nil && (!there || len(missing) > 0 || len(words) > 0) {
		err = d.locked(ctx, func(ctx context.Context, x executor) error {
			there, missing, err := d.there(ctx, x, t, wanted) // another may have been faster
			switch {
			case err != nil:
			case !there:
				err = d.createTable(ctx, x, t, wanted)
			case len(missing) > 0:
				err = d.addIndexes(ctx, x, t, missing, spec.Progress)
			}
			if err != nil {
				return err
			}
			words, err := d.textsMissing(ctx, x, t, spec.FullText) // some may be there although the catalog does not have the table
			if err != nil {
				return err
			}
			return d.addTexts(ctx, x, t, words, there)
		})
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.indexes = db.TableSpec{Indexes: t.indexes}.With(spec).Indexes
	for _, key := range spec.FullText {
		t.words[t.textName(key)] = key
	}
	for _, index := range spec.Indexes {
		for _, o := range index {
			t.columns[o.Key] = true
		}
	}
	return nil
}

// HasIndex reports whether a table has an index, whoever declared it. Right after
// Ensure it asks nobody.
func (d *driver) HasIndex(ctx context.Context, name string, keys []db.Order) (bool, error) {
	t := d.table(name)
	if t.existing.Load() != nil {
		return false, nil
	}
	have := t.noted()
	if have == nil {
		var err error
		have, err = d.indexes(ctx, d.pool.DB, t)
		if err != nil {
			return false, sql.ReadError(err)
		}
	}
	return have[indexName(t.name, keys)], nil
}

// note adds indexes that the database has. It takes none away: a concurrent Ensure may
// have asked before another one made its own.
func (t *table) note(indexes map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = make(map[string]bool, len(indexes))
	}
	maps.Copy(t.seen, indexes)
}

// noted returns what was noted, and forgets it.
func (t *table) noted() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.seen
	t.seen = nil
	return seen
}

// there reports whether a table is there, of a version that we know, and which
// indexes it lacks. It asks on the writer's side, whose view of the schema is
// the newest, and the catalog first: servers log questions about tables that
// aren't there.
func (d *driver) there(ctx context.Context, x executor, t *table, wanted [][]db.Order) (there bool, missing [][]db.Order, err error) {
	var version int64
	var floor int64 // of another schema's catalog there is none
	err = x.QueryRowContext(ctx, d.kind.Rebind("SELECT version, floor FROM "+d.kind.Quote(catalog)+" WHERE name = ?"), t.name).Scan(&version, &floor)
	switch {
	case sql.IsMissing(err) || errors.Is(err, dbsql.ErrNoRows):
		return false, wanted, nil
	case sql.IsMissingColumn(err) || err == nil && version != schema:
		return false, nil, fault.Markf(fault.Unsupported, "made by another version of this package: schema %d, want %d", version, schema)
	case err != nil:
		return false, nil, sql.ReadError(err)
	}
	var n int64
	err = x.QueryRowContext(ctx, "SELECT (SELECT COUNT(*) FROM "+t.rows+" WHERE 1 = 0) + (SELECT COUNT(*) FROM "+t.lists+" WHERE 1 = 0)").Scan(&n)
	if sql.IsMissing(err) {
		return false, wanted, nil
	}
	if err != nil {
		return false, nil, sql.ReadError(err)
	}
	have, err := d.indexes(ctx, x, t)
	if err != nil {
		return false, nil, sql.ReadError(err)
	}
	t.note(have)
	for _, index := range wanted {
		if !have[indexName(t.name, index)] {
			missing = append(missing, index)
		}
	}
	return true, missing, nil
}

// indexes returns the names of the indexes that serve searches.
func (d *driver) indexes(ctx context.Context, x executor, t *table) (map[string]bool, error) {
	text := map[sql.Kind]string{
		sql.SQLite:   "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?",
		sql.MySQL:    "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ?",
		sql.Postgres: "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass($1) AND i.indisvalid",
	}[d.kind]
	name := t.name
	if d.kind == sql.Postgres {
		name = d.kind.Quote(name)
	}
	return texts(x.QueryContext(ctx, text, name))
}

// texts reads a column of texts.
func texts(rows *dbsql.Rows, err error) (map[string]bool, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all[s] = true
	}
	return all, rows.Err()
}

// createTable makes a table with its indexes. The row of the catalog comes last:
// then all of it is there.
func (d *driver) createTable(ctx context.Context, x executor, t *table, wanted [][]db.Order) error {
	id, doc, part, elem, word, text, blob, end := "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "BLOB", ""
	switch d.kind {
	case sql.MySQL:
		id, part, elem, word, text, blob, end = "VARBINARY(128)", "VARBINARY(128)", "VARBINARY(2048)", "VARBINARY(255)", "LONGTEXT", "LONGBLOB", " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
		doc = text
	case sql.Postgres:
		id, doc, blob = `TEXT COLLATE "C"`, "JSONB", "BYTEA"
		part, elem = id, id
	}
	// What goes into one statement with the table takes no further change of it.
	inline, has, listsEnd := d.inline(t, wanted), "", end
	switch d.kind {
	case sql.SQLite:
		listsEnd = " WITHOUT ROWID"
	case sql.MySQL:
		has = ", KEY " + d.kind.Quote(t.name+"$has") + " (k, v, id)"
	}
	statements := []string{
		"CREATE TABLE IF NOT EXISTS " + d.kind.Quote(catalog) + " (name " + word + " NOT NULL PRIMARY KEY, version BIGINT NOT NULL, floor BIGINT NOT NULL)" + end,
		"CREATE TABLE IF NOT EXISTS " + t.rows + " (id " + id + " NOT NULL PRIMARY KEY, version BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL, metadata " +
			text + " NOT NULL, sortable " + doc + " NOT NULL, lists INT NOT NULL, content_type " + word + " NOT NULL, data " + blob + inline + ")" + end,
		"CREATE TABLE IF NOT EXISTS " + t.lists + " (id " + id + " NOT NULL, k " + part + " NOT NULL, v " + elem + " NOT NULL, PRIMARY KEY (id, k, v)" + has + ")" + listsEnd,
	}
	if has == "" {
		statements = append(statements, d.createIndex(t.name+"$has", false)+" ON "+t.lists+" (k, v, id)")
	}
	for _, q := range statements {
		if _, err := x.ExecContext(ctx, q); err != nil && !sql.IsThere(err) {
			return err
		}
	}
	have, err := d.indexes(ctx, x, t) // all of them on MySQL, unless the table was there
	if err != nil {
		return err
	}
	var columns map[string]bool
	if d.kind == sql.SQLite {
		columns, err = texts(x.QueryContext(ctx, "SELECT name FROM pragma_table_xinfo(?)", t.name))
		if err != nil {
			return err
		}
	}
	for _, index := range wanted {
		if have[indexName(t.name, index)] {
			continue
		}
		if err := d.addIndex(ctx, x, t, index, columns, false); err != nil {
			return err
		}
	}
	ignore := " ON CONFLICT (name) DO UPDATE SET version = excluded.version"
	if d.kind == sql.MySQL {
		ignore = " ON DUPLICATE KEY UPDATE version = VALUES(version)"
	}
	d.createView(ctx, x, t)
	_, err = x.ExecContext(ctx, d.kind.Rebind("INSERT INTO "+d.kind.Quote(catalog)+" (name, version, floor) VALUES (?, ?, 0)"+ignore), t.name, schema)
	return err
}

// inline is what CREATE TABLE says of the indexes: their columns, and on MySQL the
// indexes too.
func (d *driver) inline(t *table, wanted [][]db.Order) string {
	var b strings.Builder
	made := map[string]bool{}
	for _, index := range wanted {
		for _, o := range index {
			if _, own := column(o.Key); !own && !made[o.Key] && d.kind != sql.Postgres {
				b.WriteString(", " + d.generated(o.Key))
				made[o.Key] = true
			}
		}
	}
	if d.kind == sql.MySQL {
		for _, index := range wanted {
			b.WriteString(", KEY " + d.kind.Quote(indexName(t.name, index)) + " (" + d.indexParts(index) + ")")
		}
	}
	return b.String()
}

// createIndex is the beginning of the statement; MySQL has no IF NOT EXISTS here.
func (d *driver) createIndex(name string, live bool) string {
	switch {
	case d.kind == sql.MySQL:
		return "CREATE INDEX " + d.kind.Quote(name)
	case d.kind == sql.Postgres && live:
		return "CREATE INDEX CONCURRENTLY IF NOT EXISTS " + d.kind.Quote(name)
	}
	return "CREATE INDEX IF NOT EXISTS " + d.kind.Quote(name)
}

// key returns the expression for a metadata key: as an engine's index has it,
// if there is one.
func (t *table) key(kind sql.Kind, key string) string {
	if kind != sql.Postgres && t.has(key) {
		return "r." + kind.Quote(keyColumn(kind, key))
	}
	v := sortableOf(kind, "r.sortable", key)
	switch kind {
	case sql.Postgres:
		v = "(" + v + ` COLLATE "C")`
	case sql.MySQL:
		v = "CAST(" + v + " AS BINARY)"
	}
	return v
}

// sortableOf is the text that the column "sortable" has of a key, empty for none.
func sortableOf(kind sql.Kind, column, key string) string {
	v := "json_extract(" + column + ", '$." + field(key) + "')"
	switch kind {
	case sql.MySQL:
		v = "JSON_UNQUOTE(JSON_EXTRACT(" + column + ", '$." + field(key) + "'))"
	case sql.Postgres:
		v = column + "->>'" + field(key) + "'"
	}
	return "COALESCE(" + v + ", '')"
}

// has reports whether the table has a column for a key.
func (t *table) has(key string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.columns[key]
}

// generated is the column of a key, which the engine computes.
func (d *driver) generated(key string) string {
	typ := either(d.kind == sql.MySQL, "VARBINARY(1025)", "TEXT")
	return d.kind.Quote(keyColumn(d.kind, key)) + " " + typ + " GENERATED ALWAYS AS (" + sortableOf(d.kind, "sortable", key) + ") VIRTUAL"
}

// addColumn makes the column of a key.
func (d *driver) addColumn(ctx context.Context, x executor, t *table, key string) error {
	if d.kind == sql.Postgres { // has indexes on expressions
		return nil
	}
	_, err := x.ExecContext(ctx, "ALTER TABLE "+t.rows+" ADD COLUMN "+d.generated(key))
	if sql.IsThere(err) {
		return nil
	}
	return err
}

// indexParts is what an index is made over.
func (d *driver) indexParts(keys []db.Order) string {
	var parts []string
	own := 0
	for _, o := range keys {
		if c, ok := column(o.Key); ok {
			parts = append(parts, strings.TrimPrefix(c, "r."))
			own++
			continue
		}
		if d.kind == sql.Postgres {
			parts = append(parts, "("+sortableOf(d.kind, "sortable", o.Key)+`) COLLATE "C"`)
		} else {
			parts = append(parts, d.kind.Quote(keyColumn(d.kind, o.Key)))
		}
	}
	if n := len(keys) - own; d.kind == sql.MySQL && n > 2 { // whose indexes have up to 3072 bytes
		for i, o := range keys {
			if _, ok := column(o.Key); !ok {
				parts[i] += [...]string{3: "(970)", 4: "(730)"}[n]
			}
		}
	}
	parts = append(parts, "id")
	for i := range parts {
		if o := keys[min(i, len(keys)-1)]; o.Desc { // the id goes as the last key does
			parts[i] += " DESC"
		}
	}
	return strings.Join(parts, ", ")
}

// addIndex makes an index, and those of its columns that are not known to be
// there. live: while others write.
func (d *driver) addIndex(ctx context.Context, x executor, t *table, keys []db.Order, there map[string]bool, live bool) error {
	for _, o := range keys {
		if _, own := column(o.Key); own || there[keyColumn(d.kind, o.Key)] {
			continue
		}
		if err := d.addColumn(ctx, x, t, o.Key); err != nil {
			return err
		}
	}
	_, err := x.ExecContext(ctx, d.createIndex(indexName(t.name, keys), live)+" ON "+t.rows+" ("+d.indexParts(keys)+")")
	if sql.IsThere(err) {
		return nil
	}
	return err
}
