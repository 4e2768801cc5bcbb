package log

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors of this package; test for them with errors.Is.
var (
	// ErrInvalid is returned by New for an option that can't be.
	ErrInvalid = fault.Invalid
	// ErrUnavailable is returned by New when an output can't be reached or opened.
	ErrUnavailable = fault.Unavailable
	// ErrDropped is returned by Flush and Close when records were lost.
	ErrDropped = fault.Dropped
	// ErrClosed is returned by Flush after Close.
	ErrClosed = fault.Closed
)
