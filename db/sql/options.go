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

// Existing maps the columns of a table that another program made to what a record has.
type Existing struct {
	// Table is the table or view in the database: "name" or "schema.name". Empty: the
	// name that it is opened by.
	Table string

	// ID is a column of unique texts, integers or UUIDs. Unless this is a view, or
	// partitioned, a unique index must be over it alone.
	ID string

	// Keys has the column of each metadata key. Nil: each column that is not named
	// here is a key of that name, if a key can have its values.
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
// Nothing in the database is made or changed. So each Index must be one that the
// table has, in the columns' own collations, with these directions or with all of them
// reversed; else Table returns db.ErrInvalid. A view has no index, and is searched with
// db.AllowScan. It can make an ID of a key of several columns.
//
// NULL is a missing key, or Version 0. An infinite time of PostgreSQL and a zero date
// of MySQL are read as a missing key; ordering by a column that has one is
// ErrUnsupported. On PostgreSQL smallint to bigint are int64; numeric, real and double
// are float64; timestamp, timestamptz and date are time.Time; text, varchar, char and
// uuid are string, and so are enums; boolean is bool; text[] and varchar[] are
// []string, by which nothing is ordered. MySQL and SQLite are alike, except that a time
// of SQLite is the string that is stored, and that columns of its views without a type
// are left out. An enum is compared and ordered as its text; its index, which has the
// order of the declaration, only finds equal values.
//
// Filters compare exactly, whatever a column's collation. Less, Greater and the like on
// strings, and orders, follow the collation, as the table's indexes do. Integer ids are
// ordered by value. On PostgreSQL a missing key comes last, not first.
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
