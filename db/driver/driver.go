// Package driver is for authors of backends of package db: what a backend may do
// beyond db.Driver, and what helps to do it. Users of a database do not need it. It
// is imported as dbdriver.
//
// Each ability is an interface that a driver has if it has the methods: the
// database made by db.New finds it by type assertion. Package db/dbtest shows
// whether a driver keeps the rules.
package driver

import (
	"context"
	"strings"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/dbvalue"
)

// ErrSerialization is what operations of a transaction, or its Commit, return (in
// a chain) when it should be run again from the start.
var ErrSerialization = dbvalue.ErrSerialization

// Operations are what can be done in a transaction as well as outside of one: the
// methods of db.Driver with these names, by the same rules.
type Operations interface {
	Get(ctx context.Context, table, id string) (*db.Record, error)
	Put(ctx context.Context, table string, r *db.Record, c db.Condition) error
	Delete(ctx context.Context, table, id string, version uint64) error
	Query(ctx context.Context, table string, q db.Query) ([]*db.Record, error)
	Count(ctx context.Context, table string, f db.Filter) (int64, error)
}

// Transactor is a driver with transactions, isolated at least at the level: an
// operation or Commit fails with ErrSerialization where concurrent ones conflict.
type Transactor interface {
	Begin(ctx context.Context, level db.IsolationLevel) (Transaction, error)
}

// Transaction ends with one call of Commit or Rollback. It is not used
// concurrently.
type Transaction = interface {
	Operations

	// Commit applies everything. Nothing is applied if it fails with any kind but
	// db.ErrUnknownOutcome.
	Commit(ctx context.Context) error

	Rollback(ctx context.Context) error
}

// Executor is a transaction on an SQL database, which others may execute in.
type Executor interface {
	Execer() db.Execer
}

// Batcher is a driver without transactions that does many writes with few
// requests. Without it they are done one after another.
type Batcher interface {
	// Write does each write as Put or Delete would and returns their errors, one
	// for each write. A write that fails keeps no other from being done. Those
	// of the same id are done in their order, others in any.
	Write(ctx context.Context, table string, writes []db.Write) []error
}

// Explainer is a driver, or a transaction, that says how it goes about searches.
// Without it Explain is db.ErrUnsupported.
type Explainer interface {
	Explain(ctx context.Context, table string, q db.Query) (db.Plan, error)
}

// Indexer is a driver that knows of indexes whoever declared them: the database
// asks whether records of a table expire. A driver that has db.Features.AnyKey needs
// none.
type Indexer interface {
	HasIndex(ctx context.Context, table string, keys []db.Order) (bool, error)
}

// EncodeMetadata returns metadata as JSON that keeps its types: integers have no
// point or exponent, floats have one, a time is {"@time":"…"}. Keys are sorted.
func EncodeMetadata(md map[string]any) ([]byte, error) { return dbvalue.EncodeMetadata(md) }

// DecodeMetadata reads what EncodeMetadata wrote. It returns nil for no keys.
func DecodeMetadata(b []byte) (map[string]any, error) { return dbvalue.DecodeMetadata(b) }

// SortKey returns bytes that compare as values do: a missing value (nil), which is
// empty, then lists, which are all the same, then booleans, numbers, strings and
// times. An integer and a float of the same value have the same key.
func SortKey(v any) []byte { return dbvalue.SortKey(v) }

// Words returns the words of a text, in lower case and each of them once, as
// db.Match takes them.
func Words(text string) []string { return dbvalue.Words(text) }

// IndexName is how an index is named for people: its keys, as in
// "customer,-total".
func IndexName(keys []db.Order) string {
	names := make([]string, len(keys))
	for i, o := range keys {
		names[i] = o.String()
	}
	return strings.Join(names, ",")
}
