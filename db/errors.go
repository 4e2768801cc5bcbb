package db

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors. Test for them with errors.Is; the cause is reachable
// the same way.
var (
	ErrNotFound       = fault.NotFound       // no record with that id
	ErrExists         = fault.Exists         // Create of an id that is taken
	ErrConflict       = fault.Conflict       // the record has another version
	ErrInvalid        = fault.Invalid        // a bad option, name, record, filter or cursor
	ErrTooLarge       = fault.TooLarge       // above the limits; nothing was written
	ErrUnsupported    = fault.Unsupported    // the backend can't do it; see Features
	ErrUnavailable    = fault.Unavailable    // the backend did not answer; certainly not applied
	ErrDenied         = fault.Denied         // the backend refuses these credentials or rights; nothing was applied, and waiting does not help
	ErrUnknownOutcome = fault.UnknownOutcome // a write that may have been applied
	ErrClosed         = fault.Closed         // used after Close
)

func invalidf(format string, args ...any) error  { return fault.Markf(fault.Invalid, format, args...) }
func tooLargef(format string, args ...any) error { return fault.Markf(fault.TooLarge, format, args...) }
func unsupportedf(format string, args ...any) error {
	return fault.Markf(fault.Unsupported, format, args...)
}
