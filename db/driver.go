package db

import (
	"context"
	"time"
)

// Driver is what a backend does. New's front has done the rest before it asks:
// validation, defaults, namespaces, deadlines, cursors, error wrapping. Package
// dbtest checks these rules.
//
//  1. All methods may be called concurrently, and none after Close.
//  2. Records given to a driver belong to the caller and must not be kept, and
//     changed only as Put says. Records that a driver returns belong to the
//     caller. Metadata values are of the types string, bool, int64, float64,
//     time.Time (UTC, microseconds) and []string, and come back as the same.
//     Package db/driver has EncodeMetadata and DecodeMetadata, which do that for a column of bytes.
//  3. Values compare as their SortKey there does; so a backend that stores SortKeys
//     needs no types of its own.
//  4. Table names are checked: a to z, 0 to 9 and '_', up to 74 bytes. Ids,
//     keys and values may be any UTF-8 and must be bound, never pasted.
//  5. Methods return when ctx ends, with ctx's error in the chain, and with
//     ErrUnknownOutcome too if a write may have been applied: without it, the
//     end of WithTimeout is ErrUnavailable. Other errors are ErrUnavailable if
//     certainly nothing was written, ErrUnknownOutcome if a write may have
//     been applied, the kinds named below, or have no kind.
//  6. After an error of the connection the driver recovers by itself.
type Driver interface {
	// Get returns a record, or ErrNotFound.
	Get(ctx context.Context, table, id string) (*Record, error)

	// Put writes a record if the condition holds, else it returns the
	// condition's error and has changed nothing. r.Updated is set; Put sets
	// r.Version to what it stored, and r.Created to that of the record that was
	// there, if one was. The version is one more than that of the record that was
	// there. A new record's is one that no record with its id has ever had, and
	// nor will a deleted one's come again by updates.
	Put(ctx context.Context, table string, r *Record, c Condition) error

	// Delete removes a record: ErrNotFound if it isn't there,
	// ErrConflict if version is not 0 and not the record's.
	Delete(ctx context.Context, table, id string, version uint64) error

	// Query returns up to q.Limit records in q.Order, beginning after q.After.
	Query(ctx context.Context, table string, q Query) ([]*Record, error)

	// Count counts the records that match.
	Count(ctx context.Context, table string, f Filter) (int64, error)

	// Ensure makes a table and its indexes if they aren't there, beside those of
	// FieldCreated and FieldUpdated, and returns when they serve searches: also
	// when the table has records, and while others write. What one process
	// declares holds for the writes of all. Concurrent calls, also of other
	// processes, all succeed. It never drops anything.
	Ensure(ctx context.Context, t TableSpec) error

	// Features says what the backend can do; the front refuses the rest.
	Features() Features

	// Ping asks whether the backend answers.
	Ping(ctx context.Context) error

	// Close releases everything. It is called once, after all other calls.
	Close() error
}

// OpenDriver opens the driver of a backend, for drivers that stand on others. The
// caller closes it.
func (backend Option) OpenDriver(ctx context.Context) (Driver, error) {
	o, err := newOptions([]Option{backend})
	if err != nil {
		return nil, err
	}
	return o.backend.Driver(ctx)
}

// operations are the methods of a Driver that a transaction has too.
type operations interface {
	Get(ctx context.Context, table, id string) (*Record, error)
	Put(ctx context.Context, table string, r *Record, c Condition) error
	Delete(ctx context.Context, table, id string, version uint64) error
	Query(ctx context.Context, table string, q Query) ([]*Record, error)
	Count(ctx context.Context, table string, f Filter) (int64, error)
}

// What a driver may do beyond Driver is described in package db/driver, where
// backends find it. These are the same interfaces.
type (
	batcher interface {
		Write(ctx context.Context, table string, writes []Write) []error
	}
	transactor interface {
		Begin(ctx context.Context, level IsolationLevel) (transaction, error)
	}
	transaction = interface { // an alias: the one of db/driver is this type
		operations
		Commit(ctx context.Context) error
		Rollback(ctx context.Context) error
	}
	executor  interface{ Execer() Execer }
	explainer interface {
		Explain(ctx context.Context, table string, q Query) (Plan, error)
	}
	indexer interface {
		HasIndex(ctx context.Context, table string, keys []Order) (bool, error)
	}
)

// Write is one of the writes that a driver is given together.
type Write struct {
	ID        string
	Record    *Record   // to Put; nil: to Delete
	Condition Condition // of a Delete: Exist, and the version that it wants
}

// TableSpec describes a table.
type TableSpec struct {
	Name     string              // with its namespace
	Indexes  [][]Order           // those declared, by their names, without repetition
	FullText []string            // keys whose words are indexed, sorted; only with Features.FullText
	Progress func(IndexProgress) // of building an index; may be nil

	expires, soft bool
	ttl, keep     time.Duration
	othersExpire  bool // another process has declared TTL
}

// Condition says what must hold for a Put.
type Condition struct {
	Must    Existence
	Version uint64 // with Exist: the version that the record must have, else fault.Conflict; 0: any
}

// Existence is whether a record must be there before a Put.
type Existence int

// The kinds of existence.
const (
	NotExist Existence = iota // else fault.Exists
	Exist                     // else fault.NotFound
	Either                    // either of them
)

// Query asks for records.
type Query struct {
	Filter Filter
	Order  []Order // the last one is by FieldID, and none before it is
	Limit  int
	NoData bool  // Data and ContentType are not wanted; the driver may leave them out
	After  []any // the values of the last record before, one for each Order, nil for a missing key, any list for a list; nil: from the start

	keys    []string // of Select, with NoData
	deleted bool
}

// Order is one key of an order.
type Order struct {
	Key  string // metadata key, or Field…
	Desc bool
}

// Value returns what a record has under a metadata key or a Field… name, and nil
// if it has nothing.
func (r *Record) Value(key string) any {
	switch key {
	case FieldID:
		return r.ID
	case FieldVersion:
		return int64(r.Version)
	case FieldCreated:
		return r.Created
	case FieldUpdated:
		return r.Updated
	case FieldExpires:
		if !r.Expires.IsZero() { // else it is in the metadata still
			return r.Expires
		}
	case FieldDeleted:
		if !r.Deleted.IsZero() {
			return r.Deleted
		}
	case keyVersion:
		if !r.Deleted.IsZero() {
			return int64(r.Version)
		}
	}
	return r.Metadata[key]
}

// timestamp is the precision of all times here.
func timestamp(t time.Time) time.Time { return t.UTC().Round(0).Truncate(time.Microsecond) }
