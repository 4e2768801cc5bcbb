package db

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors. Test for them with errors.Is; the cause is reachable
// the same way.
var (
	ErrNotFound       = fault.Of("db", fault.NotFound)       // no record with that id
	ErrExists         = fault.Of("db", fault.Exists)         // Create of an id that is taken
	ErrConflict       = fault.Of("db", fault.Conflict)       // the record has another version
	ErrInvalid        = fault.Of("db", fault.Invalid)        // a bad option, name, record, filter or cursor
	ErrTooLarge       = fault.Of("db", fault.TooLarge)       // above the limits; nothing was written
	ErrUnsupported    = fault.Of("db", fault.Unsupported)    // the backend can't do it; see Features
	ErrUnavailable    = fault.Of("db", fault.Unavailable)    // the backend did not answer; certainly not applied
	ErrDenied         = fault.Of("db", fault.Denied)         // the backend refuses these credentials or rights; nothing was applied, and waiting does not help
	ErrUnknownOutcome = fault.Of("db", fault.UnknownOutcome) // a write that may have been applied
	ErrClosed         = fault.Of("db", fault.Closed)         // used after Close
)

func invalidf(format string, args ...any) error  { return fault.Markf(ErrInvalid, format, args...) }
func tooLargef(format string, args ...any) error { return fault.Markf(ErrTooLarge, format, args...) }
func unsupportedf(format string, args ...any) error {
	return fault.Markf(ErrUnsupported, format, args...)
}
