package sql

import (
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// Option configures SQLite, MySQL, Postgres and On.
type Option func(*config) error

type config struct {
	existing map[string]Existing // by the name that Table is given
}

func newConfig(opts []Option) (config, error) {
	c := config{existing: map[string]Existing{}}
	for _, opt := range opts {
		if opt == nil {
			return c, fault.Markf(fault.Invalid, "nil option")
		}
		if err := opt(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Existing says what of a record the columns of a table stand for, which is there
// already and is not this package's.
type Existing struct {
	// Table is the name of the table or view, or "schema.name". Empty: the name
	// that it is opened by.
	Table string

	// ID is a column of texts, integers or UUIDs, each of which is there once.
	ID string

	// Keys are the columns of metadata keys, by the keys. Nil: each column that is
	// named nowhere else, by its own name, if a key can have its values.
	Keys map[string]string

	// Columns of the record's own fields; empty: the field has its zero value.
	Version          string // integers
	Created, Updated string // times, with an index, since every search may go by them
	Data             string // bytes, text or JSON
	ContentType      string // text
}

// WithExisting has Table open a table or view that is there already, for reading:
// Read, Search, All, Count and Explain, also in a transaction. Writes are
// db.ErrUnsupported, and so are FullText, TTL and SoftDelete.
//
//	d, err := db.New(sql.Postgres(addr, sql.WithExisting("customers", sql.Existing{Table: "crm.customer", ID: "email"})))
//	customers, err := d.Table(ctx, "customers", db.Index("country"))
//
// Nothing in the database is made or changed. So an Index is one that the table
// has, with these directions or all of them the other way and with the columns' own
// collations, or else Table returns db.ErrInvalid; a view has none, and is searched with
// db.AllowScan. A column without a value is a missing key, and Version 0. An infinite
// time of PostgreSQL and a zero date of MySQL are read as a missing one, and
// ErrUnsupported in an order. Keys of PostgreSQL's
// smallint to bigint are int64, those of numeric, real and double float64, of
// timestamp, timestamptz and date time.Time, of text, varchar, char and uuid
// string, of boolean bool; on MySQL and SQLite likewise, except that SQLite's times
// are the strings that they are there, and that of its views columns without a type
// are left out.
//
// Filters are exact, as elsewhere, whatever a column's collation. Only for strings
// Less, Greater and the like, and orders, go by the collation, which is what the
// table's indexes have; orders of integer ids go by their value; and on PostgreSQL
// a missing key comes last, not first.
func WithExisting(name string, e Existing) Option {
	return func(c *config) error {
		if !dbvalue.IsTable(name) { // Existing.Table takes every name
			return fault.Markf(fault.Invalid, "existing table %q: Table takes no such name, "+dbvalue.TableForm, name)
		}
		if _, ok := c.existing[name]; ok {
			return fault.Markf(fault.Invalid, "existing table %q: there twice", name)
		}
		if e.ID == "" {
			return fault.Markf(fault.Invalid, "existing table %q: no column for ID", name)
		}
		if e.Table == "" {
			e.Table = name
		}
		parts := strings.Split(e.Table, ".")
		if len(parts) > 2 || slices.ContainsFunc(parts, func(p string) bool { return p == "" || strings.ContainsAny(p, "\"`?\x00") }) {
			return fault.Markf(fault.Invalid, "existing table %q: Table is %q, want a name, or schema.name", name, e.Table)
		}
		for key := range e.Keys {
			if key == "" || strings.HasPrefix(key, "@") {
				return fault.Markf(fault.Invalid, "existing table %q: no record has the key %q", name, key)
			}
		}
		e.Keys = maps.Clone(e.Keys)
		c.existing[name] = e
		return nil
	}
}
