package sync

import "github.com/micro/go-platform/internal/fault"

// The kinds of errors; test with errors.Is. An error of a call also carries
// what the backend said.
var (
	ErrHeld           = fault.Of("sync", fault.Held)           // TryLock: somebody holds the id or waits for it
	ErrTimeout        = fault.Of("sync", fault.Timeout)        // Lock: Wait ran out
	ErrLost           = fault.Of("sync", fault.Lost)           // the lock ended by itself: cause of its context, result of Unlock
	ErrNoLeader       = fault.Of("sync", fault.NotFound)       // nobody leads
	ErrConflict       = fault.Of("sync", fault.Conflict)       // callers of one semaphore disagree on its limit; a token older than one seen
	ErrInvalid        = fault.Of("sync", fault.Invalid)        // an empty id, a negative TTL and the like
	ErrUnsupported    = fault.Of("sync", fault.Unsupported)    // semaphores on a backend without them (Features)
	ErrUnavailable    = fault.Of("sync", fault.Unavailable)    // the backend is unavailable; certainly not applied
	ErrDenied         = fault.Of("sync", fault.Denied)         // the backend refuses these credentials or rights; waiting does not help
	ErrUnknownOutcome = fault.Of("sync", fault.UnknownOutcome) // a reply was lost; what may be left is removed in the background
	ErrClosed         = fault.Of("sync", fault.Closed)         // used after Close
)
