package trace

import (
	"context"
	"errors"
)

// A Driver brings ended spans to one backend. The tracer owns sampling, the
// queue, batching and retries; rules for a driver:
//
//  1. Report is called by one goroutine at a time, Ping and Close by another
//     perhaps at the same time as it.
//  2. Report returns how many spans, counted from the first, the backend took.
//     With a nil error the others were refused for good. With an error that is
//     ErrUnavailable or a deadline the others are sent again; with any other
//     error they are given up.
//  3. An error that RetryAfter of package trace/driver made says when to try
//     again at the earliest, one that Rejected made that some of the spans
//     that were taken are lost.
//  4. Report returns promptly when ctx ends. It may keep the spans, and must
//     not change them.
//  5. Ping asks the backend whether it answers; a driver that can't know returns nil.
//  6. Close releases what the driver itself opened. No Report follows it.
type Driver interface {
	Report(ctx context.Context, spans []SpanData) (accepted int, err error)
	Ping(ctx context.Context) error
	Close() error
}

// What a driver may do beyond Driver, and what it may add to its errors, is in
// package trace/driver. These are the same methods, so that the tracer finds them.
type (
	searcher interface {
		Search(ctx context.Context, q Query) (Page, error)
	}
	rejecter interface {
		error
		Rejected() (n int, reason string, rest error)
	}
)

// rejectedOf takes what Rejected of package trace/driver added off err.
func rejectedOf(err error) (n int, reason string, rest error) {
	var r rejecter
	if !errors.As(err, &r) {
		return 0, "", err
	}
	n, reason, rest = r.Rejected()
	return max(0, n), reason, rest
}
