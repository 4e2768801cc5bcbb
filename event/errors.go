package event

import (
	"fmt"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// The kinds of errors. Test for them with errors.Is; the cause is reachable
// the same way.
var (
	ErrInvalid        = fault.Of("event", fault.Invalid)        // a bad option, record, pattern or position
	ErrNotFound       = fault.Of("event", fault.NotFound)       // no group of that name, or nothing scheduled under that ID
	ErrConflict       = fault.Of("event", fault.Conflict)       // the group exists with other types or partitions
	ErrTooLarge       = fault.Of("event", fault.TooLarge)       // a record above the limits; nothing was published
	ErrUnsupported    = fault.Of("event", fault.Unsupported)    // the backend can't do it; see Features
	ErrUnavailable    = fault.Of("event", fault.Unavailable)    // the backend did not answer; certainly not applied
	ErrDenied         = fault.Of("event", fault.Denied)         // the backend refuses these credentials or rights; waiting does not help
	ErrUnknownOutcome = fault.Of("event", fault.UnknownOutcome) // records that may have been published
	ErrClosed         = fault.Of("event", fault.Closed)         // used after Close
	ErrTimeout        = fault.Of("event", fault.Timeout)        // Close ended before handlers did, or a Request without a reply
	ErrLost           = fault.Of("event", fault.Lost)           // said by drivers: what a member held is another's now
)

func invalidf(format string, args ...any) error  { return fault.Markf(ErrInvalid, format, args...) }
func tooLargef(format string, args ...any) error { return fault.Markf(ErrTooLarge, format, args...) }

// PublishError is returned by Publish, inside an error that has a kind, when
// some of several records are in the stream and others are not.
type PublishError struct {
	Published int   // the first so many records are in the stream
	Err       error // why the others are not, or may not be
}

func (e *PublishError) Error() string {
	return fmt.Sprintf("after %d records: %v", e.Published, e.Err)
}

// Unwrap returns Err.
func (e *PublishError) Unwrap() error { return e.Err }

// Terminate wraps a handler's error to say that trying again is of no use: the
// record goes to the dead letters at once.
func Terminate(err error) error { return &verdict{err: err, terminate: true} }

// Retry wraps a handler's error to say how long to wait before the next
// attempt, instead of the subscription's backoff.
func Retry(err error, after time.Duration) error { return &verdict{err: err, after: max(after, 1)} }

type verdict struct {
	err       error
	terminate bool
	after     time.Duration
}

func (v *verdict) Error() string {
	if v.err == nil {
		return "handler failed"
	}
	return v.err.Error()
}
func (v *verdict) Unwrap() error { return v.err }
