// Package driver is for authors of backends of package trace: what a backend may
// do beyond trace.Driver, and what it may add to its errors. Users of a tracer
// do not need it. It is imported as tracedriver.
package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/trace"
)

// Searcher is a driver whose backend can be asked for what it stored. Without
// one the tracer's Search is trace.ErrUnsupported.
type Searcher interface {
	Search(ctx context.Context, q trace.Query) (trace.Page, error)
}

// RetryAfter adds to err that the backend asked for a pause of d. RetryAfter
// of nil is nil.
func RetryAfter(err error, d time.Duration) error {
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

// RetryAfter is what the tracer looks for.
func (e *retryAfter) RetryAfter() time.Duration { return e.after }

// Rejected adds to err, which may be nil, that n of the spans that Report
// returns as taken were refused for good, and why. The tracer counts them as
// rejected and goes on with err.
func Rejected(err error, n int, reason string) error {
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

// Rejected is what the tracer looks for.
func (e *rejected) Rejected() (n int, reason string, rest error) { return e.n, e.reason, e.err }
