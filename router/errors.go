package router

import (
	"fmt"

	"github.com/micro/go-platform/internal/fault"
)

// The kinds of errors. Test with errors.Is.
var (
	// ErrNoInstances: no instance of the service is known.
	ErrNoInstances = fault.Finer(ErrUnavailable, "no instances")
	// ErrExhausted: Next has given every instance that it may.
	ErrExhausted = fault.Finer(ErrUnavailable, "every instance was tried")
	// ErrOpen: a circuit breaker keeps the call back.
	ErrOpen = fault.Finer(ErrUnavailable, "circuit breaker is open")
	// ErrLimited: a limiter refuses the call.
	ErrLimited     = fault.Of("router", fault.Exhausted)
	ErrInvalid     = fault.Of("router", fault.Invalid)
	ErrUnavailable = fault.Of("router", fault.Unavailable)
	ErrClosed      = fault.Of("router", fault.Closed)
)

// NoMatchError is returned if instances are known but labels and rules leave
// none of them and allow no fallback.
type NoMatchError struct {
	Service string
	Labels  map[string]string
	Rule    string // the rule that decided; "" if it was the labels alone
	Known   int    // how many instances there are
}

func (e *NoMatchError) Error() string {
	s := fmt.Sprintf("router: none of %d instances of %q matches labels %v", e.Known, e.Service, e.Labels)
	if e.Rule != "" {
		s += fmt.Sprintf(" under rule %q", e.Rule)
	}
	return s
}

// Unwrap makes a NoMatchError an ErrNoInstances.
func (e *NoMatchError) Unwrap() error { return ErrNoInstances }
