package store

import (
	"context"
	"iter"
)

// Record is one version with its content, as a driver keeps it. It belongs to
// whoever gets it.
type Record struct {
	Version
	Data []byte `json:"-"` // canonical JSON; nil if Deleted
}

// Driver is what a backend does. Methods may be called concurrently. Names are
// checked by the front: at most 200 bytes, parts with slashes between.
//
//  1. Append adds r as the newest record of its namespace, durably and
//     atomically: if r.Number is not one more than the newest number (0 if
//     there is no record) nothing changes and it is ErrConflict. Of concurrent
//     Appends of one number exactly one succeeds. Without an answer it is
//     ErrUnknownOutcome; certainly not applied is ErrUnavailable.
//  2. Newest returns the record with the highest number, also if it is a
//     deletion; ErrNotFound if there never was one. It sees every Append that
//     was answered before it began.
//  3. Read returns one record, or ErrNotFound.
//  4. History yields the records of one namespace, highest number first; Data
//     may be left out. Append may happen meanwhile.
//  5. Namespaces returns every namespace that has a record, in any order.
//  6. Watch calls changed at first and then whenever the newest record of one
//     of the namespaces may have changed, until ctx ends or the watch breaks;
//     it returns why. changed(err) says that the backend is unavailable for now.
//     Calls come from one goroutine. It notices within a second.
//  7. Ping asks the server. Close releases what the driver opened.
type Driver interface {
	Append(ctx context.Context, r Record) error
	Newest(ctx context.Context, namespace string) (Record, error)
	Read(ctx context.Context, namespace string, number uint64) (Record, error)
	History(ctx context.Context, namespace string) iter.Seq2[Record, error]
	Namespaces(ctx context.Context) ([]string, error)
	Watch(ctx context.Context, namespaces []string, changed func(error)) error
	Ping(ctx context.Context) error
	Close() error
}
