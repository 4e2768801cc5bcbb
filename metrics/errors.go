package metrics

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors of this package; test for them with errors.Is.
var (
	// ErrInvalid is returned by New for an option that can't be.
	ErrInvalid = fault.Of("metrics", fault.Invalid)
	// ErrUnavailable is returned by New when a backend doesn't answer, and by Flush when an export failed.
	ErrUnavailable = fault.Of("metrics", fault.Unavailable)
	// ErrClosed is returned by Flush after Close.
	ErrClosed = fault.Of("metrics", fault.Closed)
)
