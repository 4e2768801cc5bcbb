package log

import (
	"context"
	"iter"
	"log/slog"
	"time"
)

// A Driver writes encoded records to one output. The log owns encoding, the
// queue, retries and counting; rules for a driver:
//
//  1. Write is called by one goroutine at a time, Ping and Close perhaps by
//     another at the same time as it.
//  2. Write returns how many records, counted from the first, are out of its
//     hands. With an error the others come again, after a pause, as the first
//     records of another batch.
//  3. An error that is ErrInvalid is of the record after
//     those alone: it is dropped and counted, the ones behind it come again.
//     One that Refused made is of records that are counted as written: they
//     are lost.
//  4. Write returns promptly when ctx ends, where the system lets it. It keeps
//     nothing of the batch.
//  5. Ping asks whether the output answers; a driver that can't know returns nil.
//  6. Close releases what the driver itself opened. No Write follows it.
type Driver interface {
	Encoding() Encoding
	Write(ctx context.Context, b Batch) (written int, err error)
	Ping(ctx context.Context) error
	Close() error
}

// Batch is encoded records, one behind the other.
type Batch struct {
	Data []byte
	Ends []int // where in Data each record ends
}

// Len returns the number of records.
func (b Batch) Len() int { return len(b.Ends) }

// Record returns the bytes of record i.
func (b Batch) Record(i int) []byte { return b.Data[b.start(i):b.Ends[i]:b.Ends[i]] }

// start returns where in Data record i begins.
func (b Batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.Ends[i-1]
}

// Within returns how many records end within the first n bytes.
func (b Batch) Within(n int) int {
	records, _ := progress(b, n)
	return records
}

// Records yields the bytes of each record.
func (b Batch) Records() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := range b.Ends {
			if !yield(i, b.Record(i)) {
				return
			}
		}
	}
}

// An Encoding turns a record into the bytes that an output writes. It is called
// on the goroutines that log, concurrently; a panic of it costs the record.
type Encoding interface {
	// Name tells encodings apart: outputs whose encodings have the same name
	// share one.
	Name() string
	// Append appends the whole record, with its line end if it has one.
	Append(dst []byte, r *Record) []byte
}

// Record is a record as an Encoding sees it. It is valid during the call only.
type Record struct {
	Time    time.Time // zero if the record has none
	Level   slog.Level
	Logger  string // the name, "" for the root
	Message string
	Source  string      // "dir/file.go:12", "" without
	Attrs   []slog.Attr // resolved, redacted, groups nested, none empty; of the context first
}

// Refused says that n of the records that Write returns as written were
// refused by the other side for good, and why. The log counts them as dropped
// and goes on with the records behind them.
func Refused(err error, n int) error { return &refused{err, n} }

type refused struct {
	error
	n int
}

func (e *refused) Unwrap() error { return e.error }
