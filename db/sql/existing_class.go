package sql

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// class is what values a column has.
type class int

const (
	classOther class = iota // none that a record can have
	classText
	classInteger
	classFloat   // binary floating point
	classDecimal // with a fixed point, read as floats that stand for no other of them
	classInexact // with a fixed point and more digits than a float has
	classBool
	classMoment // times without a zone, taken for UTC
	classZoned  // times
	classUUID
	classBlob
	classJSON
	classTexts // lists of texts: PostgreSQL's arrays
)

func (c class) timed() bool { return c == classMoment || c == classZoned }

func (c class) fractional() bool { return c == classFloat || c == classDecimal || c == classInexact }

// classOf reads an engine's name of a type, as its driver tells it.
func classOf(kind sql.Kind, name string) class {
	name, _, _ = strings.Cut(strings.ToUpper(name), "(")
	name = strings.TrimSpace(strings.TrimPrefix(name, "UNSIGNED "))
	if kind == sql.SQLite {
		return affinity(name)
	}
	switch name {
	case "TEXT", "VARCHAR", "BPCHAR", "CHAR", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "ENUM", "SET":
		return classText
	case "INT2", "INT4", "INT8", "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		return classInteger
	case "FLOAT4", "FLOAT8", "FLOAT", "DOUBLE":
		return classFloat
	case "NUMERIC", "DECIMAL":
		return classDecimal
	case "BOOL":
		return classBool
	case "DATE", "DATETIME":
		return classMoment
	case "TIMESTAMP":
		if kind == sql.MySQL {
			return classZoned
		}
		return classMoment
	case "TIMESTAMPTZ":
		return classZoned
	case "UUID":
		if kind == sql.Postgres {
			return classUUID
		}
	case "BYTEA", "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB":
		return classBlob
	case "JSON", "JSONB":
		return classJSON
	case "_TEXT", "_VARCHAR", "_BPCHAR": // PostgreSQL's arrays
		return classTexts
	}
	return classOther
}

// affinity is SQLite's rule for the types that columns are declared with; times are
// texts there.
func affinity(name string) class {
	for _, a := range []struct {
		part string
		class
	}{{"INT", classInteger}, {"CHAR", classText}, {"CLOB", classText}, {"TEXT", classText}, {"DATE", classText}, {"TIME", classText}, {"BLOB", classBlob}, {"REAL", classFloat}, {"FLOA", classFloat}, {"DOUB", classFloat}, {"BOOL", classBool}, {"DEC", classFloat}, {"NUM", classFloat}, {"UUID", classText}, {"JSON", classJSON}} {
		if strings.Contains(name, a.part) {
			return a.class
		}
	}
	return classOther
}

// expr is what is selected of a column, so that every driver gives the same for it.
func (f mappedColumn) expr(kind sql.Kind) string {
	switch {
	case kind == sql.Postgres && f.class.timed():
		return "CASE WHEN isfinite(" + f.column + ") THEN " + f.column + " END"
	case kind == sql.Postgres && f.class.fractional():
		return f.column + "::float8"
	case kind == sql.Postgres && (f.class == classText || f.class == classUUID || f.class == classJSON):
		return f.column + "::text"
	case f.class == classTexts:
		return "array_to_json(" + f.column + ")::text"
	case kind == sql.SQLite && (f.class == classText || f.class == classJSON): // else the driver takes some for times
		return "CAST(" + f.column + " AS TEXT)"
	case kind == sql.MySQL && f.class.fractional():
		return f.column + " + 0e0"
	case kind == sql.MySQL && f.class == classMoment:
		return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', " + f.column + ")"
	case kind == sql.MySQL && f.class == classZoned: // whatever the session's time zone; 0 is that of a zero date
		return "CAST(NULLIF(UNIX_TIMESTAMP(" + f.column + "), 0) * 1000000 AS SIGNED)"
	}
	return f.column
}

// dated reports whether a column may have MySQL's zero dates, such as '0000-00-00'.
// To records they are no value, but MySQL compares and sorts them, and they are not NULL.
func (f mappedColumn) dated(kind sql.Kind) bool {
	return kind == sql.MySQL && f.class.timed()
}

// value returns what was read of a column as a value of metadata; nil for none.
func (f mappedColumn) value(v any) (any, error) {
	if b, ok := v.([]byte); ok && f.class != classBlob {
		v = string(b)
	}
	s, text := v.(string)
	var err error
	switch f.class {
	case classInteger:
		if text {
			v, err = strconv.ParseInt(s, 10, 64)
		}
	case classFloat, classDecimal, classInexact:
		if text {
			v, err = strconv.ParseFloat(s, 64)
		}
		if n, ok := v.(int64); ok && int64(float64(n)) == n && n != math.MaxInt64 { // as SQLite keeps 5.0
			v = float64(n)
		}
		if n, ok := v.(float64); ok && (math.IsNaN(n) || math.IsInf(n, 0)) {
			err = fmt.Errorf("%v", n)
		}
	case classBool:
		if n, ok := v.(int64); ok {
			v = n != 0
		}
	case classTexts:
		if text {
			v, err = elements(s)
		}
	case classMoment, classZoned:
		if text {
			v, err = strconv.ParseInt(s, 10, 64)
		}
		if n, ok := v.(int64); ok {
			v = time.UnixMicro(n)
		}
	}
	if err != nil {
		return nil, fault.Markf(fault.Unsupported, "column %s has what no record can hold: %w", f.column, err)
	}
	switch v := v.(type) {
	case nil, string, int64, float64, bool, []byte, []string:
		return v, nil
	case time.Time:
		return v.UTC().Truncate(time.Microsecond), nil
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v), nil
		}
	}
	return nil, fault.Markf(fault.Unsupported, "column %s has what no record can hold: %T %v", f.column, v, v)
}

// elements reads an array from JSON. A record has no lists in lists, nor NULL in one.
func elements(array string) ([]string, error) {
	var all []*string
	err := json.Unmarshal([]byte(array), &all)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(all))
	for i, s := range all {
		if s == nil {
			return nil, errors.New("NULL in an array")
		}
		list[i] = *s
	}
	return list, nil
}

// stored returns what a column has where a record has v: NULL, if it may be that, for
// the zero time of a record's own field.
func (f mappedColumn) stored(v any) any {
	at, ok := v.(time.Time)
	if ok && at.IsZero() && !f.notNull && (f.key == db.FieldCreated || f.key == db.FieldUpdated) {
		return nil
	}
	return v
}

// ref is what stands for a column in conditions and orders.
func (f mappedColumn) ref(kind sql.Kind) string {
	if f.class == classInexact {
		return "(" + f.expr(kind) + ")"
	}
	if f.enum != nil {
		return f.expr(kind)
	}
	return f.column
}

// sorted is what stands for a column in orders, and compares as it is sorted.
func (f mappedColumn) sorted(kind sql.Kind) string {
	if f.listed && kind == sql.MySQL {
		return "CONCAT(" + f.column + ")"
	}
	return f.ref(kind)
}

// place is a placeholder for a value of the column's type.
func (f mappedColumn) place(kind sql.Kind) string {
	switch {
	case kind == sql.MySQL && f.class == classMoment:
		return "TIMESTAMPADD(MICROSECOND, ?, CAST('1970-01-01' AS DATETIME(6)))"
	case kind == sql.MySQL && f.class == classZoned:
		// What is too late for the function is too late for a column as well.
		return "COALESCE(FROM_UNIXTIME(? * 0.000001), FROM_UNIXTIME(2147483647.999999))"
	case kind != sql.Postgres:
		return "?"
	}
	return "?::" + map[class]string{
		classText: "text", classInteger: "bigint", classFloat: "float8", classInexact: "float8", classDecimal: "numeric", classBool: "boolean", classMoment: "timestamp", classZoned: "timestamptz", classUUID: "uuid",
	}[f.class]
}

// arg is a value as the argument for place. It reports false for a value that the
// column can't have, which is of another type.
func (f mappedColumn) arg(kind sql.Kind, v any) (any, bool) {
	switch v := v.(type) {
	case string:
		if f.key == db.FieldID && f.class == classInteger {
			n, err := strconv.ParseInt(v, 10, 64)
			return n, err == nil && strconv.FormatInt(n, 10) == v
		}
		if f.class == classUUID {
			return v, isUUID(v)
		}
		return v, f.class == classText
	case bool:
		return v, f.class == classBool
	case int64:
		switch {
		case f.class == classInteger || f.class == classDecimal && kind != sql.Postgres || f.class == classFloat && kind == sql.SQLite:
			return v, true
		case f.class == classDecimal:
			return strconv.FormatInt(v, 10), true
		}
		return v, (f.class == classFloat || f.class == classInexact) && int64(float64(v)) == v && math.Abs(float64(v)) < 1<<63
	case float64:
		switch {
		case f.class == classInteger && kind != sql.SQLite:
			n := int64(v)
			return n, float64(n) == v && math.Abs(v) < 1<<63
		case f.class == classDecimal && kind == sql.Postgres:
			return strconv.FormatFloat(v, 'f', -1, 64), true
		}
		return v, f.class.fractional() || f.class == classInteger
	case time.Time:
		if kind == sql.MySQL && f.class == classZoned { // no column is as early as 1970 begins
			return max(v.UnixMicro(), 0), true
		}
		if kind == sql.MySQL {
			return v.UnixMicro(), f.class == classMoment
		}
		return v, f.class.timed()
	}
	return nil, false
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(s[i])) {
			return false
		}
	}
	return true
}
