package monitor

import (
	"errors"

	"github.com/micro/go-platform/internal/fault"
)

// The kinds of errors. Test with errors.Is.
var (
	ErrInvalid     = fault.Of("monitor", fault.Invalid)     // a check, option or name that makes no sense
	ErrExists      = fault.Of("monitor", fault.Exists)      // a check of that name is registered
	ErrUnavailable = fault.Of("monitor", fault.Unavailable) // the backend does not answer
	ErrClosed      = fault.Of("monitor", fault.Closed)      // used after Close
)

// degraded marks a failure that lets the process work with less.
type degraded struct{ error }

func (d degraded) Unwrap() error { return d.error }

// Degraded marks err as one that lets the process go on with less: a check
// that returns it warns and does not fail. Degraded of nil is nil.
func Degraded(err error) error {
	if err == nil {
		return nil
	}
	return degraded{err}
}

// IsDegraded reports whether err was marked by Degraded.
func IsDegraded(err error) bool {
	_, is := errors.AsType[degraded](err)
	return is
}
