package trace

import (
	"context"
	"errors"
	"fmt"
	"time"
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
//  3. An error that WithRetryAfter made says when to try again at the earliest,
//     one that WithRejected made that some of the spans that were taken are lost.
//  4. Report returns promptly when ctx ends. It may keep the spans, and must
//     not change them.
//  5. Ping asks the backend whether it answers; a driver that can't know returns nil.
//  6. Close releases what the driver itself opened. No Report follows it.
type Driver interface {
	Report(ctx context.Context, spans []SpanData) (accepted int, err error)
	Ping(ctx context.Context) error
	Close() error
}

// A Searcher is a Driver whose backend can be asked for what it stored.
type Searcher interface {
	Search(ctx context.Context, q Query) (Page, error)
}

// WithRetryAfter adds to err that the backend asked for a pause of d.
func WithRetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err: err, after: d}
}

type retryAfter struct {
	err   error
	after time.Duration
}

func (e *retryAfter) Error() string { return e.err.Error() }
func (e *retryAfter) Unwrap() error { return e.err }

// RetryAfter is what the outlet looks for.
func (e *retryAfter) RetryAfter() time.Duration { return e.after }

// WithRejected adds to err, which may be nil, that n of the spans that Report
// returns as taken were refused for good, and why. The tracer counts them as
// rejected and goes on with err.
func WithRejected(err error, n int, reason string) error {
	return &rejected{err: err, n: n, reason: reason}
}

type rejected struct {
	err    error // of the spans that were not taken, or nil
	n      int
	reason string
}

func (e *rejected) Error() string {
	text := fmt.Sprintf("%d spans refused: %s", e.n, e.reason)
	if e.err != nil {
		text += "; " + e.err.Error()
	}
	return text
}

func (e *rejected) Unwrap() error { return e.err }

// rejectedOf takes what WithRejected added off err.
func rejectedOf(err error) (n int, reason string, rest error) {
	var r *rejected
	if errors.As(err, &r) {
		return max(0, r.n), r.reason, r.err
	}
	return 0, "", err
}
