package kv

import (
	"errors"
	"fmt"
	"sort"

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
	keys := make([]string, 0, len(e.Errors))
	for k := range e.Errors {
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return "no key failed"
	}
	sort.Strings(keys)
	return fmt.Sprintf("%d keys failed, the first is %q: %v", len(keys), keys[0], e.Errors[keys[0]])
}

// Unwrap returns the errors of all keys.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, 0, len(e.Errors))
	for _, err := range e.Errors {
		errs = append(errs, err)
	}
	return errs
}

// invalidf returns an ErrInvalid that says what is wrong.
func invalidf(format string, args ...any) error { return fault.Markf(ErrInvalid, format, args...) }

// isKind reports whether err is one of the kinds given.
func isKind(err error, kinds ...error) bool {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// asBatch returns the BatchError that err carries.
func asBatch(err error) (*BatchError, bool) {
	var b *BatchError
	ok := errors.As(err, &b)
	return b, ok
}
