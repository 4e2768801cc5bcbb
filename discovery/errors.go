package discovery

import (
	"errors"

	"github.com/micro/go-platform/internal/fault"
)

var (
	// ErrInvalid: an argument that no registry would take. Nothing was sent.
	ErrInvalid = fault.Invalid
	// ErrExists: the instance is registered already, by this Discovery or by
	// another process.
	ErrExists = fault.Exists
	// ErrNotFound is for drivers: Renew of an entry that the registry doesn't have.
	ErrNotFound = fault.NotFound
	// ErrUnavailable: the registry can't be reached; nothing was applied.
	ErrUnavailable = fault.Unavailable
	// ErrDenied: the registry refuses the credentials, or they lack a right.
	// Nothing was applied, and waiting does not help.
	ErrDenied = fault.Denied
	// ErrUnknownOutcome: a registration whose answer was lost. It may stand until its TTL ends.
	ErrUnknownOutcome = fault.UnknownOutcome
	// ErrUnsupported: the backend can only read.
	ErrUnsupported = fault.Unsupported
	// ErrClosed: used after Close.
	ErrClosed = fault.Closed
	// ErrStale: Get with MaxStale got nothing that is new enough.
	ErrStale = errors.New("older than asked for")
)
