package sql

import (
	"regexp"
	"strings"
)

// Schema is a statement that makes a table or an index, in the dialect. In it stand
// for the types that differ:
//
//	{text 255}   text of at most that many bytes, compared byte by byte; may be a key
//	{text}       text of any length
//	{bytes 255}  bytes, at most that many; may be a key
//	{bytes}      bytes of any number
//	{serial}     a primary key that counts by itself
//
// Indexes are made by CREATE INDEX IF NOT EXISTS, which MySQL does not know: there
// the error is one that IsThere knows.
func (k Kind) Schema(statement string) string {
	if k == MySQL {
		statement = strings.Replace(statement, "CREATE INDEX IF NOT EXISTS", "CREATE INDEX", 1)
		if strings.HasPrefix(statement, "CREATE TABLE") {
			statement += " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
		}
	}
	return types.ReplaceAllStringFunc(statement, func(word string) string {
		m := types.FindStringSubmatch(word)
		return k.column(m[1], m[2])
	})
}

var types = regexp.MustCompile(`\{(text|bytes|serial)(?: (\d+))?\}`)

func (k Kind) column(kind, size string) string {
	switch {
	case kind == "serial":
		return [...]string{
			SQLite: "INTEGER PRIMARY KEY AUTOINCREMENT", MySQL: "BIGINT AUTO_INCREMENT PRIMARY KEY", Postgres: "BIGSERIAL PRIMARY KEY",
		}[k]
	case k == MySQL && size != "":
		return "VARBINARY(" + size + ")"
	case kind == "text":
		return [...]string{SQLite: "TEXT", MySQL: "LONGBLOB", Postgres: "TEXT"}[k]
	}
	return [...]string{SQLite: "BLOB", MySQL: "LONGBLOB", Postgres: "BYTEA"}[k]
}
