// Package fault holds the kinds of errors that every public package shares and
// the one way in which a front wraps them.
//
// A public package re-exports the kinds that it returns
// (var ErrNotFound = fault.NotFound), so one errors.Is test holds for any
// package and code that serves several packages classifies a vendor's error
// once.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

//lint:file-ignore ST1012 the packages that export the kinds name them ErrX

// The kinds. Their texts are the end of the sentence that Wrap builds.
var (
	NotFound        = errors.New("not found")
	Exists          = errors.New("already exists")
	Conflict        = errors.New("conflict")
	Invalid         = errors.New("invalid")
	Unsupported     = errors.New("not supported by this backend")
	Unavailable     = errors.New("backend unavailable") // certainly not applied
	UnknownOutcome  = errors.New("outcome unknown")     // a write that may have been applied
	Closed          = errors.New("closed")              // used after Close
	Timeout         = errors.New("timed out")           // a limit of the call's own, not its context
	TooLarge        = errors.New("too large")           // refused before anything was changed
	Held            = errors.New("held by another")     // a lock that somebody has
	Lost            = errors.New("lost")                // a lock or leadership that ended by itself
	Exhausted       = errors.New("limit reached")       // a rate or concurrency limit
	Unauthenticated = errors.New("not authenticated")   // nobody, or a bad token
	Denied          = errors.New("denied")              // somebody, who may not
	Dropped         = errors.New("dropped")             // buffered data that did not get out
)

// kinds in the order in which KindOf tests them.
var kinds = [...]error{
	NotFound, Exists, Conflict, Invalid, Unsupported, UnknownOutcome, Unavailable, Closed, Timeout,
	TooLarge, Held, Lost, Exhausted, Unauthenticated, Denied, Dropped,
}

// KindOf returns the kind that err carries: one of this package's values,
// context.Canceled, context.DeadlineExceeded, or nil if it carries none.
func KindOf(err error) error {
	if err == nil {
		return nil
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return nil
}

// Error is an error as a front returns it. Both the kind and the cause are
// reachable by errors.Is and errors.As.
type Error struct {
	Scope   string // package and backend: "kv/redis"
	Op      string // "get"
	Subject string // what it was done to: a key, an id; may be empty
	Kind    error  // one of the kinds, or nil
	Cause   error  // what the backend said, or nil
}

// Error returns, for instance, `kv/redis: get "users/1": not found: redis: nil`.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Scope)
	b.WriteString(": ")
	b.WriteString(e.Op)
	if e.Subject != "" {
		fmt.Fprintf(&b, " %q", e.Subject)
	}
	if e.Kind != nil {
		b.WriteString(": ")
		b.WriteString(e.Kind.Error())
	}
	if e.Cause != nil && e.Cause != e.Kind {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap makes both the kind and the cause reachable.
func (e *Error) Unwrap() []error {
	switch {
	case e.Kind == nil && e.Cause == nil:
		return nil
	case e.Kind == nil:
		return []error{e.Cause}
	case e.Cause == nil || e.Cause == e.Kind:
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Wrap gives cause its place: scope, operation and subject. The kind is found
// by KindOf. An error that was wrapped before is returned as it is, so that
// fronts that stand on each other say it once. Wrap of nil is nil.
func Wrap(scope, op, subject string, cause error) error {
	if cause == nil {
		return nil
	}
	if _, ok := cause.(*Error); ok {
		return cause
	}
	kind := KindOf(cause)
	if m, ok := cause.(*marked); ok { // the kind is said already
		for {
			inner, ok := m.cause.(*marked)
			if !ok || inner.kind != m.kind {
				return &Error{Scope: scope, Op: op, Subject: subject, Kind: m.kind, Cause: m.cause}
			}
			m = inner
		}
	}
	if kind != nil && strings.HasPrefix(cause.Error(), kind.Error()) {
		return &Error{Scope: scope, Op: op, Subject: subject, Cause: cause} // it says its kind itself
	}
	return &Error{Scope: scope, Op: op, Subject: subject, Kind: kind, Cause: cause}
}

// New returns an error of the given kind whose cause is the formatted text.
func New(kind error, scope, op, subject, format string, args ...any) error {
	return &Error{Scope: scope, Op: op, Subject: subject, Kind: kind, Cause: fmt.Errorf(format, args...)}
}

// Finer returns a kind of its own below kind, for a package's sentinel that
// says more: errors.Is holds for both.
func Finer(kind error, text string) error { return &finer{kind, text} }

type finer struct {
	kind error
	text string
}

func (f *finer) Error() string { return f.kind.Error() + ": " + f.text }
func (f *finer) Unwrap() error { return f.kind }

// Join is errors.Join on one line, for errors that end in a log.
func Join(errs ...error) error {
	kept := make([]error, 0, len(errs))
	for _, err := range errs {
		if err != nil {
			kept = append(kept, err)
		}
	}
	switch len(kept) {
	case 0:
		return nil
	case 1:
		return kept[0]
	}
	return joined(kept)
}

type joined []error

func (j joined) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (j joined) Unwrap() []error { return j }

// marked is a cause that a driver has given a kind.
type marked struct{ kind, cause error }

func (m *marked) Error() string   { return m.kind.Error() + ": " + m.cause.Error() }
func (m *marked) Unwrap() []error { return []error{m.kind, m.cause} }

// Mark gives a vendor's error a kind. Drivers return it; the front wraps it.
// Mark of nil is nil.
func Mark(kind, cause error) error {
	if cause == nil {
		return nil
	}
	return &marked{kind: kind, cause: cause}
}

// Markf is Mark of a formatted text.
func Markf(kind error, format string, args ...any) error {
	return &marked{kind: kind, cause: fmt.Errorf(format, args...)}
}
