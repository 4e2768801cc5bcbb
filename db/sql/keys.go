package sql

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/dbvalue"
)

// A row has the record's metadata twice: as JSON to read, and, in the column
// "sortable", as JSON of sortable texts, which the engine itself takes apart for its
// indexes. So a process that knows nothing of an index fills it all the same.

// sortable is dbvalue.Sortable without a NUL, which PostgreSQL takes nowhere.
func sortable(v any) string {
	if s, ok := v.(string); ok {
		return "s" + escape(s)
	}
	return dbvalue.Sortable(v)
}

// escaped has for each of the bytes 0 to 5 two others, in the same order. The
// first one is 1 or 2 and the second 3, 4 or 5, so that no part of an escaped
// text is mistaken for another: one text contains another exactly if it does so
// escaped.
var escaped = [6]string{"\x01\x03", "\x01\x04", "\x01\x05", "\x02\x03", "\x02\x04", "\x02\x05"}

func escape(s string) string {
	i := 0
	for i < len(s) && s[i] > 5 {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; c <= 5 {
			b.WriteString(escaped[c])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// field is the name of a metadata key in "sortable", and of its column: the key
// itself if every engine takes it as it is, and no other for the same.
func field(key string) string {
	for i := range len(key) {
		c := key[i]
		if !(c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '_')) {
			return "_" + hex.EncodeToString([]byte(key))
		}
	}
	return key
}

// encodeKeys returns the column "sortable" of metadata, and how many rows of lists
// it has.
func encodeKeys(md map[string]any) (doc string, lists int) {
	b := make([]byte, 0, 32*len(md)+2)
	b = append(b, '{')
	for i, key := range dbvalue.Keys(md) {
		if i > 0 {
			b = append(b, ',')
		}
		if l, ok := md[key].([]string); ok {
			lists += len(l)
		}
		b = dbvalue.AppendString(b, field(key))
		b = append(b, ':')
		b = dbvalue.AppendString(b, sortable(md[key]))
	}
	return string(append(b, '}')), lists
}

// listRows returns the arguments of insertLists for a record, and how many rows
// they are: one for each element of each list.
func listRows(r *db.Record) (args []any, n int) {
	for _, key := range dbvalue.Keys(r.Metadata) {
		l, _ := r.Metadata[key].([]string)
		for i, s := range l {
			if !slices.Contains(l[:i], s) {
				args = append(args, r.ID, escape(key), escape(s))
				n++
			}
		}
	}
	return args, n
}
