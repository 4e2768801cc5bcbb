package db

import (
	"context"
	"iter"
	"maps"
	"slices"
	"time"
)

// DB is a database. Its methods may be called concurrently.
type DB interface {
	// Table opens a table, and makes it if it isn't there. A name is a letter
	// from a to z, then letters, digits and single '_', up to 48 bytes.
	Table(ctx context.Context, name string, opts ...TableOption) (Table, error)

	// Tx calls fn with a database whose operations are one transaction: it is
	// committed when fn returns nil, else nothing has happened. Transactions are
	// serializable unless an option asks for less: the result is as if they had
	// run one after another. fn is called again when the backend finds that
	// concurrent transactions conflict, so it must have no effects of its own;
	// when it has conflicted many times Tx returns ErrConflict.
	//
	// Only tables that were opened on this DB before can be opened on tx. tx must
	// not be used by several goroutines, nor after fn. Using this DB or its tables
	// with the context that fn gets is ErrInvalid: it would wait for the
	// transaction, or write outside of it. Tx on tx calls fn in the same
	// transaction. A backend without transactions returns ErrUnsupported.
	Tx(ctx context.Context, fn func(ctx context.Context, tx DB) error, opts ...TxOption) error

	// Features says what the backend can do.
	Features() Features

	// Ping asks whether the backend answers.
	Ping(ctx context.Context) error

	// Close waits for the calls in progress and releases the backend.
	Close() error
}

// Table is a set of records with different ids.
type Table interface {
	// Name is the table's name.
	Name() string

	// Create adds a record and fills in ID (a UUIDv7 if it is empty), Created,
	// Updated and Version. An id that is taken is ErrExists.
	Create(ctx context.Context, r *Record) error

	// Read returns a record, or ErrNotFound.
	Read(ctx context.Context, id string) (*Record, error)

	// Update replaces Metadata, Data and ContentType of the record with r's ID
	// if its version is r's, and sets r's Version, Created and Updated to what is
	// stored then. Another version is ErrConflict, no record ErrNotFound.
	Update(ctx context.Context, r *Record, opts ...WriteOption) error

	// Patch changes parts of a record, whatever its version, and returns what is
	// stored then. It reads, changes and writes, again when others are faster: none
	// of their changes is lost. No record is ErrNotFound.
	Patch(ctx context.Context, id string, edits ...Edit) (*Record, error)

	// Delete removes a record. No record is ErrNotFound. In a table with SoftDelete
	// it can be restored.
	Delete(ctx context.Context, id string, opts ...WriteOption) error

	// Restore brings back a record that was deleted, in a table with SoftDelete,
	// with a new version. None that is kept is ErrNotFound, and another record under
	// the id ErrExists. One that failed halfway is completed by the next.
	Restore(ctx context.Context, id string) (*Record, error)

	// Search returns a page of the records that the options ask for, in order.
	Search(ctx context.Context, opts ...SearchOption) (Page, error)

	// All goes through the pages of a search. Limit is the size of a page.
	All(ctx context.Context, opts ...SearchOption) iter.Seq2[*Record, error]

	// Explain says how the backend would go about a search, and does not do it.
	// ErrUnsupported is for backends that don't tell.
	Explain(ctx context.Context, opts ...SearchOption) (Plan, error)

	// Count counts what a search with the same filter would return.
	Count(ctx context.Context, opts ...SearchOption) (int64, error)

	// Batch does several writes: as one transaction where the backend has
	// them, else each on its own; those of the same id in their order. An error
	// carries a *BatchError, which says what was done.
	Batch(ctx context.Context, ops ...Op) error
}

// Record is one entry of a table.
type Record struct {
	ID string // up to 128 bytes, without control characters; Create makes one if it is empty

	// Version is set by Create and one more with every write. Versions of an id
	// never repeat: a record that is created after another with its id was
	// deleted has a version that the other one never had.
	Version uint64

	Created, Updated time.Time // set by the table, in UTC to the microsecond

	// Expires is when the record expires, in a table with TTL; zero stands for the
	// table's default. Update keeps what was read, unless it is changed.
	Expires time.Time

	Deleted time.Time // when it was deleted; set by searches with OnlyDeleted

	// Metadata is what can be searched: up to 64 keys of up to 64 bytes, which
	// must not begin with '@'. Values are string (up to 1024 bytes), bool,
	// integers, floats, time.Time and []string; they come back as string, bool,
	// int64, float64, time.Time in UTC and []string.
	Metadata map[string]any

	Data        []byte
	ContentType string // of Data
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() *Record {
	c := *r
	c.Metadata = maps.Clone(r.Metadata)
	for k, v := range c.Metadata {
		if l, ok := v.([]string); ok {
			c.Metadata[k] = slices.Clone(l)
		}
	}
	c.Data = slices.Clone(r.Data)
	return &c
}

// The names by which filters and orders mean a record's own fields.
const (
	FieldID      = "@id"
	FieldVersion = "@version"
	FieldCreated = "@created"
	FieldUpdated = "@updated"
	FieldExpires = "@expires" // in tables with TTL
	FieldDeleted = "@deleted" // in searches with OnlyDeleted
)

// Page is a part of a search's result.
type Page struct {
	Records []*Record
	Next    string // cursor of the next page; empty on the last one
}

// Features says what a backend can do. Every backend creates, reads, updates
// with versions, deletes, and searches by equality on declared indexes. Where
// AnyKey is false, a search that no index serves is ErrUnsupported unless
// AllowScan allows it.
type Features struct {
	Backend      string // "memory", "sqlite"
	Durable      bool   // records survive the end of the process
	Shared       bool   // other processes see the same tables
	Transactions bool   // Tx; Batch, Restore and soft deletes as a whole
	AnyKey       bool   // every key is indexed, whether an Index declares it or not
	Compare      bool   // Less, LessOrEqual, Greater, GreaterOrEqual
	Prefix       bool
	Contains     bool // and Has
	Exists       bool
	Or           bool
	Not          bool // and NotEqual
	Order        bool // by more than the id
	OrderEqual   bool // without Order: by more than the id where an Equal says which records
	Count        bool
	FullText     bool // Match
	Immediate    bool // a search sees every write that returned before it
}

// New opens a database. Without a backend option it lives in this process's
// memory.
func New(opts ...Option) (DB, error) { return newFront(opts) }
