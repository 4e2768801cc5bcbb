package kv

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/micro/go-platform/internal/fault"
)

// The errors of every store, to be tested with errors.Is. What a call returns
// also carries the backend's own error and, where a context ended, its error.
var (
	ErrNotFound       = fault.Of("kv", fault.NotFound)       // Get: no such key, or its life is over
	ErrExists         = fault.Of("kv", fault.Exists)         // IfAbsent: the key is there
	ErrConflict       = fault.Of("kv", fault.Conflict)       // IfRevision: the key has changed or is gone; nothing was applied
	ErrInvalid        = fault.Of("kv", fault.Invalid)        // bad input; nothing was sent
	ErrUnsupported    = fault.Of("kv", fault.Unsupported)    // the backend cannot do this, see Features; nothing was sent
	ErrTooLarge       = fault.Of("kv", fault.TooLarge)       // the value is over the backend's limit; the old value is still there
	ErrUnavailable    = fault.Of("kv", fault.Unavailable)    // the backend does not answer; certainly not applied
	ErrDenied         = fault.Of("kv", fault.Denied)         // the backend refuses these credentials or rights; nothing was applied, and waiting does not help
	ErrUnknownOutcome = fault.Of("kv", fault.UnknownOutcome) // a write was sent and its answer lost: it may have been applied
	ErrClosed         = fault.Of("kv", fault.Closed)         // the store was closed
)

// BatchError says which keys of a GetMany or PutMany failed. The others went
// well. errors.Is and errors.As look at every key's error.
type BatchError struct {
	Errors map[string]error // by key
}

// Error names the number of failed keys and the first of them.
func (e *BatchError) Error() string {
	keys := slices.Sorted(maps.Keys(e.Errors))
	if len(keys) == 0 {
		return "no key failed"
	}
	return fmt.Sprintf("%d keys failed, the first is %q: %v", len(keys), keys[0], e.Errors[keys[0]])
}

// Unwrap returns the errors of all keys.
func (e *BatchError) Unwrap() []error { return slices.Collect(maps.Values(e.Errors)) }

// invalidf returns an ErrInvalid that says what is wrong.
func invalidf(format string, args ...any) error { return fault.Markf(ErrInvalid, format, args...) }

// isKind reports whether err is one of the kinds given.
func isKind(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}
