package log

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors of this package; test for them with errors.Is.
var (
	// ErrInvalid is returned by New for an option that can't be.
	ErrInvalid = fault.Of("log", fault.Invalid)
	// ErrUnavailable is returned by New when an output can't be reached or opened.
	ErrUnavailable = fault.Of("log", fault.Unavailable)
	// ErrDropped is returned by Flush and Close when records were lost.
	ErrDropped = fault.Of("log", fault.Dropped)
	// ErrClosed is returned by Flush after Close.
	ErrClosed = fault.Of("log", fault.Closed)
)
