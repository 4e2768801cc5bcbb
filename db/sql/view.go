package sql

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/conn/sql"
)

// createView makes the view "orders$view", which has a column for each key that
// an index names: for people, and for statements of their own. Who may make no
// views has none.
func (d *driver) createView(ctx context.Context, x executor, t *table) {
	keys, err := d.indexedKeys(ctx, x, t)
	if err != nil {
		return
	}
	fixed := []string{"id", "version", "created", "updated", "content_type", "data", "metadata"}
	columns := []string{"r.id", "r.version", moment(d.kind, "created"), moment(d.kind, "updated")}
	for _, key := range keys {
		if !slices.Contains(fixed, key) {
			columns = append(columns, readable(d.kind, key)+" AS "+d.kind.Quote(key))
		}
	}
	columns = append(columns, "r.content_type", "r.data", "r.metadata")
	from := t.rows
	if d.kind == sql.Postgres { // whose JSON takes no NUL
		from = `(SELECT *, REPLACE(metadata, '\u0000', '\ufffd')::jsonb AS m FROM ` + t.rows + ")"
	}
	view := d.kind.Quote(short(t.name+"$view", 60))
	create := "CREATE VIEW "
	if d.kind == sql.MySQL {
		create = "CREATE OR REPLACE VIEW "
	} else if _, err := x.ExecContext(ctx, "DROP VIEW IF EXISTS "+view); err != nil {
		return
	}
	x.ExecContext(ctx, create+view+" AS SELECT "+strings.Join(columns, ", ")+" FROM "+from+" r")
}

// moment is a column of microseconds as the engine's time.
func moment(kind sql.Kind, column string) string {
	switch kind {
	case sql.MySQL:
		return "FROM_UNIXTIME(r." + column + " / 1000000) AS " + column
	case sql.Postgres:
		return "TO_TIMESTAMP(r." + column + " / 1000000.0) AS " + column
	}
	return "strftime('%Y-%m-%dT%H:%M:%fZ', r." + column + " / 1000000.0, 'unixepoch') AS " + column
}

// readable is the value of a key that needs no quotes, of a time its text.
func readable(kind sql.Kind, key string) string {
	switch kind {
	case sql.MySQL:
		return "JSON_UNQUOTE(COALESCE(JSON_EXTRACT(r.metadata, '$." + key + `."@time"'), JSON_EXTRACT(r.metadata, '$.` + key + "')))"
	case sql.Postgres:
		return "COALESCE(r.m->'" + key + "'->>'@time', r.m->>'" + key + "')"
	}
	return "COALESCE(json_extract(r.metadata, '$." + key + `."@time"'), json_extract(r.metadata, '$.` + key + "'))"
}

var indexedKey = regexp.MustCompile(`sortable ->> '([a-z][a-z0-9_]*)'`)

// indexedKeys returns the keys of the table's indexes, whoever declared them, as
// far as they need no quotes.
func (d *driver) indexedKeys(ctx context.Context, x executor, t *table) ([]string, error) {
	text, arg := "SELECT name FROM pragma_table_xinfo(?)", t.name
	switch d.kind {
	case sql.MySQL:
		text = "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?"
	case sql.Postgres:
		text, arg = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass($1)", t.rows
	}
	found, err := texts(x.QueryContext(ctx, text, arg))
	if err != nil {
		return nil, err
	}
	var keys []string
	for s := range found {
		if d.kind == sql.Postgres {
			for _, m := range indexedKey.FindAllStringSubmatch(s, -1) {
				keys = append(keys, m[1])
			}
		} else if key, ok := strings.CutPrefix(s, "k$"); ok && key[0] != '_' && !strings.Contains(key, "$") { // a hash stands for the rest of a long one
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}
