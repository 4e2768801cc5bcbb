package trace

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors of this package; test for them with errors.Is.
var (
	// ErrInvalid is returned by New for an option that can't be, and by Search for such a query.
	ErrInvalid = fault.Of("trace", fault.Invalid)
	// ErrUnavailable is returned by New when a reporter's server doesn't answer.
	ErrUnavailable = fault.Of("trace", fault.Unavailable)
	// ErrUnsupported is returned by Search when no reporter can be searched.
	ErrUnsupported = fault.Of("trace", fault.Unsupported)
	// ErrDropped is returned by Flush and Close when spans were lost.
	ErrDropped = fault.Of("trace", fault.Dropped)
	// ErrClosed is returned by Flush and Search after Close.
	ErrClosed = fault.Of("trace", fault.Closed)
)
