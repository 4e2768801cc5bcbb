package store

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrNotFound is a document or a version that is not there.
	ErrNotFound = fault.NotFound
	// ErrConflict is a write with IfVersion whose version is not the newest.
	ErrConflict = fault.Conflict
	// ErrInvalid is a document, a path, a name or an option that can't be used.
	ErrInvalid = fault.Invalid
	// ErrDenied is a document that a validator refused.
	ErrDenied = fault.Denied
	// ErrTooLarge is a document beyond config.MaxSize or the backend's limit.
	ErrTooLarge = fault.TooLarge
	// ErrUnavailable is a backend that could not be asked; nothing was written.
	ErrUnavailable = fault.Unavailable
	// ErrUnknownOutcome is a write that may have been applied.
	ErrUnknownOutcome = fault.UnknownOutcome
	// ErrClosed is returned after Close.
	ErrClosed = fault.Closed
)
