package sql

import (
	"context"
	"strings"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/conn/sql"
)

// Full text is the engine's own: on PostgreSQL an index of the kind GIN over a
// tsvector, on SQLite a table of FTS5, which triggers keep up. On MySQL it is a
// table of words with triggers (text_mysql.go). All hold for the writes of every
// process.

// textName is the index of the words under a key, or the table of them.
func (t *table) textName(key string) string { return short(t.name+"$text$"+field(key), 55) }

// textsMissing returns those of the keys whose words have no index.
func (d *driver) textsMissing(ctx context.Context, x executor, t *table, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var have map[string]bool
	var err error
	switch d.kind {
	case sql.MySQL:
		have, err = wordTables(ctx, x, t, keys)
	case sql.SQLite:
		have, err = texts(x.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", t.name))
	default:
		have, err = d.indexes(ctx, x, t)
	}
	if err != nil {
		return nil, sql.ReadError(err)
	}
	var missing []string
	for _, key := range keys {
		name := t.textName(key)
		if d.kind == sql.SQLite {
			name += "$u"
		}
		if !have[name] {
			missing = append(missing, key)
		}
	}
	return missing, nil
}

// addTexts builds the indexes of words. live: while others write.
func (d *driver) addTexts(ctx context.Context, x executor, t *table, keys []string, live bool) error {
	for _, key := range keys {
		if d.kind == sql.MySQL {
			if err := d.addWordTable(ctx, x, t, key); err != nil {
				return err
			}
			continue
		}
		statements := d.textTable(t, key)
		if d.kind == sql.Postgres {
			name, how := d.kind.Quote(t.textName(key)), ""
			if live { // one that was given up is there, and serves nothing
				how = "CONCURRENTLY "
				statements = append(statements, "DROP INDEX CONCURRENTLY IF EXISTS "+name)
			}
			statements = append(statements, "CREATE INDEX "+how+"IF NOT EXISTS "+name+" ON "+t.rows+" USING GIN ("+vector("sortable", key)+")")
		}
		for _, s := range statements {
			if _, err := x.ExecContext(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// vector is PostgreSQL's expression for the words of a key's string. Punctuation
// is taken out, of which it would make words of its own: hosts, paths, signs.
func vector(sortable, key string) string {
	v := sortable + "->>'" + field(key) + "'"
	return `to_tsvector('simple', regexp_replace(CASE WHEN left(` + v + `, 1) = 's' THEN substr(` + v + `, 2) ELSE '' END, '[\x01-\x1f!-/:-@\[-` + "`" + `{-~]+', ' ', 'g'))`
}

// textTable is SQLite's statements that make the table of a key's words. It knows
// records by a number of their own, since those that SQLite gives to rows change
// with a VACUUM.
func (d *driver) textTable(t *table, key string) []string {
	if d.kind != sql.SQLite {
		return nil
	}
	words, ids := d.kind.Quote(t.textName(key)), d.kind.Quote(t.textName(key)+"$n")
	v := func(row string) string { return "json_extract(" + row + ".sortable, '$." + field(key) + "')" }
	is := func(row string) string { return "substr(" + v(row) + ", 1, 1) = 's'" }
	trigger := func(suffix, when, does string) string {
		return "CREATE TRIGGER IF NOT EXISTS " + d.kind.Quote(t.textName(key)+suffix) + " AFTER " + when + " ON " + t.rows + " BEGIN " + does + " END"
	}
	add := "INSERT INTO " + ids + " (id) SELECT new.id WHERE " + is("new") + "; " +
		"INSERT INTO " + words + " (rowid, v) SELECT n, substr(" + v("new") + ", 2) FROM " + ids + " WHERE id = new.id; "
	drop := "DELETE FROM " + words + " WHERE rowid IN (SELECT n FROM " + ids + " WHERE id = old.id); DELETE FROM " + ids + " WHERE id = old.id; "
	return []string{
		"CREATE TABLE IF NOT EXISTS " + ids + " (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE)",
		"CREATE VIRTUAL TABLE IF NOT EXISTS " + words + ` USING fts5(v, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 0')`,
		"INSERT INTO " + ids + " (id) SELECT r.id FROM " + t.rows + " r WHERE " + is("r"),
		"INSERT INTO " + words + " (rowid, v) SELECT i.n, substr(" + v("r") + ", 2) FROM " + ids + " i JOIN " + t.rows + " r ON r.id = i.id",
		trigger("$i", "INSERT", add),
		trigger("$d", "DELETE", drop),
		trigger("$u", "UPDATE OF sortable", drop+add),
	}
}

// match finds the records with all words of a query.
func (w *text) match(f db.Filter) {
	words := dbdriver.Words(f.Value.(string))
	if w.kind == sql.MySQL {
		w.matchWords(f.Key, words)
		return
	}
	if w.kind == sql.Postgres {
		w.put(vector("r.sortable", f.Key)+" @@ plainto_tsquery('simple', ?)", strings.Join(words, " "))
		return
	}
	table, ids := w.kind.Quote(w.t.textName(f.Key)), w.kind.Quote(w.t.textName(f.Key)+"$n")
	w.put("r.id IN (SELECT i.id FROM "+table+" JOIN "+ids+" i ON i.n = "+table+".rowid WHERE "+table+" MATCH ?)", `"`+strings.Join(words, `" "`)+`"`)
}
