package discovery

import "github.com/micro/go-platform/internal/fault"

var (
	// ErrInvalid: an argument that no registry would take. Nothing was sent.
	ErrInvalid = fault.Of("discovery", fault.Invalid)
	// ErrExists: the instance is registered already, by this Discovery or by
	// another process.
	ErrExists = fault.Of("discovery", fault.Exists)
	// ErrNotFound is for drivers: Renew of an entry that the registry doesn't have.
	ErrNotFound = fault.Of("discovery", fault.NotFound)
	// ErrTooLarge: an instance with more labels and endpoints than the registry
	// takes. Nothing was sent.
	ErrTooLarge = fault.Of("discovery", fault.TooLarge)
	// ErrUnavailable: the registry can't be reached; nothing was applied.
	ErrUnavailable = fault.Of("discovery", fault.Unavailable)
	// ErrDenied: the registry refuses the credentials, or they lack a right.
	// Nothing was applied, and waiting does not help.
	ErrDenied = fault.Of("discovery", fault.Denied)
	// ErrUnknownOutcome: a registration whose answer was lost. It may stand until its TTL ends.
	ErrUnknownOutcome = fault.Of("discovery", fault.UnknownOutcome)
	// ErrUnsupported: the backend can only read.
	ErrUnsupported = fault.Of("discovery", fault.Unsupported)
	// ErrClosed: used after Close.
	ErrClosed = fault.Of("discovery", fault.Closed)
	// ErrStale: Get with MaxStale got nothing that is new enough.
	ErrStale = fault.Of("discovery", fault.Stale)
)
