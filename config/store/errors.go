package store

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrNotFound is a document or a version that is not there.
	ErrNotFound = fault.Of("config/store", fault.NotFound)
	// ErrConflict is a write with IfVersion whose version is not the newest.
	ErrConflict = fault.Of("config/store", fault.Conflict)
	// ErrInvalid is a document, a path, a name or an option that can't be used.
	ErrInvalid = fault.Of("config/store", fault.Invalid)
	// ErrDenied is a document that a validator refused.
	ErrDenied = fault.Of("config/store", fault.Denied)
	// ErrTooLarge is a document beyond config.MaxSize or the backend's limit.
	ErrTooLarge = fault.Of("config/store", fault.TooLarge)
	// ErrUnavailable is a backend that could not be asked; nothing was written.
	ErrUnavailable = fault.Of("config/store", fault.Unavailable)
	// ErrUnknownOutcome is a write that may have been applied.
	ErrUnknownOutcome = fault.Of("config/store", fault.UnknownOutcome)
	// ErrClosed is returned after Close.
	ErrClosed = fault.Of("config/store", fault.Closed)
)
