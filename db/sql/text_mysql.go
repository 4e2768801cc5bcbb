package sql

import (
	"context"
	dbsql "database/sql"
	"strings"

	"github.com/micro/go-platform/internal/conn/sql"
)

// MySQL's FULLTEXT finds no words of one or two letters, none of its stop words,
// and not what its own transaction wrote. So the words of a key are in a table,
// "things$text$title", which triggers keep up: also for the writes of processes
// that know nothing of it.

// complete is the comment of a table of words that has those of every record.
const complete = "complete"

// wordTables returns the names of the tables of words that are complete.
func wordTables(ctx context.Context, x executor, t *table, keys []string) (map[string]bool, error) {
	args := []any{complete}
	for _, key := range keys {
		args = append(args, t.textName(key))
	}
	return texts(x.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_comment = ? AND table_name IN ("+sql.Places(len(keys))+")", args...))
}

// wordText is the text of a key that a row has, in lower case; "" for none.
func wordText(row, key string) string {
	v := "JSON_UNQUOTE(JSON_EXTRACT(" + row + ".sortable, '$." + field(key) + "'))"
	return "IF(LEFT(" + v + ", 1) = 's', LOWER(SUBSTR(" + v + ", 2)), '')"
}

// wordsOf is the words of a row as a table j with the column w: all that is no
// letter, digit or mark parts them. CHAR(92) is a backslash, whatever sql_mode says
// of one in a string.
func wordsOf(row, key string) string {
	class := "CONCAT('[^', CHAR(92 USING utf8mb4), 'p{L}', CHAR(92 USING utf8mb4), 'p{Nd}', CHAR(92 USING utf8mb4), 'p{M}]+')"
	list := `CONCAT('["', REGEXP_REPLACE(` + wordText(row, key) + ", " + class + `, '","'), '"]')`
	return "JSON_TABLE(" + list + ", '$[*]' COLUMNS (w VARCHAR(1024) CHARACTER SET utf8mb4 PATH '$')) j"
}

// addWordTable makes the table of a key's words, its triggers, and fills it while
// others write: a thousand records at a time, which are locked for as long. A table
// that was left half made is dropped first: it may have words of records that were
// changed while it had no triggers.
func (d *driver) addWordTable(ctx context.Context, x executor, t *table, key string) error {
	name := t.textName(key)
	words := d.kind.Quote(name)
	add := func(row, id, from, where string) string {
		return "INSERT IGNORE INTO " + words + " (w, id) SELECT DISTINCT CAST(j.w AS BINARY), " + id + " FROM " + from + wordsOf(row, key) + " WHERE j.w <> ''" + where
	}
	trigger := func(suffix, when, does string) string {
		return "CREATE TRIGGER " + d.kind.Quote(name+suffix) + " AFTER " + when + " ON " + t.rows + " FOR EACH ROW " + does
	}
	drop := "DELETE FROM " + words + " WHERE id = OLD.id"
	for _, s := range []string{
		"DROP TRIGGER IF EXISTS " + d.kind.Quote(name+"$i"),
		"DROP TRIGGER IF EXISTS " + d.kind.Quote(name+"$d"),
		"DROP TRIGGER IF EXISTS " + d.kind.Quote(name+"$u"),
		"DROP TABLE IF EXISTS " + words,
		"CREATE TABLE " + words + " (w VARBINARY(1536) NOT NULL, id VARBINARY(128) NOT NULL, PRIMARY KEY (w, id), KEY (id)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
		trigger("$i", "INSERT", add("NEW", "NEW.id", "", "")),
		trigger("$d", "DELETE", drop),
		trigger("$u", "UPDATE", "BEGIN IF "+wordText("OLD", key)+" <> "+wordText("NEW", key)+" THEN "+drop+"; "+add("NEW", "NEW.id", "", "")+"; END IF; END"),
	} {
		if _, err := x.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	fill := add("r", "r.id", t.rows+" r, ", " AND r.id > ? AND r.id <= ? LOCK IN SHARE MODE")
	for after := []byte{}; ; {
		var last dbsql.NullString
		if err := x.QueryRowContext(ctx, "SELECT MAX(id) FROM (SELECT id FROM "+t.rows+" WHERE id > ? ORDER BY id LIMIT 1000) c", after).Scan(&last); err != nil {
			return err
		}
		if !last.Valid {
			break
		}
		err := d.retry(ctx, func() error { _, err := x.ExecContext(ctx, fill, after, []byte(last.String)); return undone(err) })
		if err != nil {
			return err
		}
		after = []byte(last.String)
	}
	_, err := x.ExecContext(ctx, "ALTER TABLE "+words+" COMMENT = '"+complete+"'")
	return err
}

// matchWords finds the records with all of the words.
func (w *text) matchWords(key string, words []string) {
	table := w.kind.Quote(w.t.textName(key))
	finds := make([]string, len(words))
	for i, word := range words {
		finds[i] = "r.id IN (SELECT " + table + ".id FROM " + table + " WHERE " + table + ".w = CAST(LOWER(?) AS BINARY))"
		w.args = append(w.args, word)
	}
	w.put("(" + strings.Join(finds, " AND ") + ")")
}
