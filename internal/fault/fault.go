// Package fault holds the kinds of errors that the packages share inside and
// the one way in which a front wraps them.
//
// A public package has a sentinel of its own for each kind that it returns
// (var ErrNotFound = fault.Of("kv", fault.NotFound)). Code that serves several
// packages gives a vendor's error its kind once, by Mark; the front of each
// package wraps it, and the result is the sentinel of that package and of no
// other. Kinds never leave the module: what a user sees are sentinels.
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
	NotFound        error = &kind{"not found"}
	Exists          error = &kind{"already exists"}
	Conflict        error = &kind{"conflict"}
	Invalid         error = &kind{"invalid"}
	Unsupported     error = &kind{"not supported by this backend"}
	Unavailable     error = &kind{"backend unavailable"}  // certainly not applied
	UnknownOutcome  error = &kind{"outcome unknown"}      // a write that may have been applied
	Closed          error = &kind{"closed"}               // used after Close
	Timeout         error = &kind{"timed out"}            // a limit of the call's own, not its context
	TooLarge        error = &kind{"too large"}            // refused before anything was changed
	Held            error = &kind{"held by another"}      // a lock that somebody has
	Lost            error = &kind{"lost"}                 // a lock or leadership that ended by itself
	Exhausted       error = &kind{"limit reached"}        // a rate or concurrency limit
	Unauthenticated error = &kind{"not authenticated"}    // nobody, or a bad token
	Denied          error = &kind{"denied"}               // somebody, who may not
	Dropped         error = &kind{"dropped"}              // buffered data that did not get out
	Stale           error = &kind{"older than asked for"} // data of which newer can't be had
)

type kind struct{ text string }

func (k *kind) Error() string { return k.text }

// kinds in the order in which KindOf tests an error that carries several.
var kinds = [...]error{
	NotFound, Exists, Conflict, Invalid, Unsupported, UnknownOutcome, Unavailable, Closed, Timeout,
	TooLarge, Held, Lost, Exhausted, Unauthenticated, Denied, Dropped, Stale,
}

// KindOf returns the kind that err carries: one of this package's values,
// context.Canceled, context.DeadlineExceeded, or nil if it carries none. What
// was wrapped or marked last decides.
func KindOf(err error) error {
	for err != nil {
		switch e := err.(type) {
		case *kind:
			return e
		case *sentinel:
			err = e.kind
		case *finer:
			err = e.kind
		case *marked:
			err = e.kind
		case *adopted:
			err = e.error
		case *Error:
			err = e.Kind
			if err == nil {
				err = e.Cause
			}
		default:
			return anyKind(err)
		}
	}
	return nil
}

// anyKind looks for a kind in an error of another package's making.
func anyKind(err error) error {
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
	Kind    error  // one of the kinds or a package's sentinel, or nil
	Cause   error  // what the backend said, or nil
}

// Error returns, for instance, `kv/redis: get "users/1": not found: redis: nil`.
// The kind is left out where the cause says it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Scope)
	b.WriteString(": ")
	b.WriteString(e.Op)
	if e.Subject != "" {
		fmt.Fprintf(&b, " %q", e.Subject)
	}
	if text := sentence(e.Kind, e.Cause); text != "" {
		b.WriteString(": ")
		b.WriteString(text)
	}
	return b.String()
}

// sentence is the kind and the cause, without a kind that the cause says itself.
func sentence(kind, cause error) string {
	switch {
	case cause == nil && kind == nil:
		return ""
	case cause == nil:
		return kind.Error()
	}
	text := cause.Error()
	if kind == nil || says(text, kind.Error()) {
		return text
	}
	return kind.Error() + ": " + text
}

// says reports whether one of the parts of text, which colons, semicolons and
// ends of lines separate, is the given one.
func says(text, part string) bool {
	for rest := text; ; {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		before, after := strings.TrimSuffix(text, rest)+rest[:i], rest[i+len(part):]
		if (before == "" || strings.HasSuffix(before, ": ") || strings.HasSuffix(before, "; ") || before[len(before)-1] == '\n') &&
			(after == "" || strings.IndexByte(":;\n", after[0]) >= 0) {
			return true
		}
		rest = after
	}
}

// Unwrap makes both the kind and the cause reachable.
func (e *Error) Unwrap() []error {
	switch {
	case e.Kind == nil && e.Cause == nil:
		return nil
	case e.Kind == nil:
		return []error{e.Cause}
	case e.Cause == nil:
		return []error{e.Kind}
	}
	switch e.Cause.(type) {
	case *kind, *sentinel, *finer:
		if KindOf(e.Cause) == e.Kind { // it reaches its kind itself
			return []error{e.Cause}
		}
	}
	return []error{e.Kind, e.Cause}
}

// Wrap gives cause its place: scope, operation and subject. The kind is found
// by KindOf. An error of the same package is returned as it is, so that fronts
// that stand on each other say it once; the error of another package becomes
// the cause, so that the sentinels of both hold. Wrap of nil is nil.
func Wrap(scope, op, subject string, cause error) error {
	switch e := cause.(type) {
	case nil:
		return nil
	case *Error:
		if pkgOf(e.Scope) == pkgOf(scope) {
			return cause
		}
	case *marked:
		return &Error{Scope: scope, Op: op, Subject: subject, Kind: e.kind, Cause: e.cause}
	}
	return &Error{Scope: scope, Op: op, Subject: subject, Kind: KindOf(cause), Cause: cause}
}

// Theirs is Wrap for the error of a user's function: the kinds that other
// packages gave it are not this package's.
func Theirs(scope, op, subject string, cause error) error {
	if e, ok := cause.(*Error); cause == nil || ok && pkgOf(e.Scope) == pkgOf(scope) {
		return cause
	}
	return &Error{Scope: scope, Op: op, Subject: subject, Cause: cause}
}

// New returns an error of the given kind whose cause is the formatted text.
func New(kind error, scope, op, subject, format string, args ...any) error {
	return &Error{Scope: scope, Op: op, Subject: subject, Kind: kind, Cause: fmt.Errorf(format, args...)}
}

// Finer returns a kind of its own below kind, which may be a package's sentinel:
// a sentinel that says more. errors.Is holds for both.
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

func (m *marked) Error() string   { return sentence(m.kind, m.cause) }
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

// Instead gives cause another kind in place of its own: errors.Is no longer finds that
// one. Of two writes of which the second is Unavailable the first was done, so that the
// whole is an UnknownOutcome and not Unavailable. Instead of nil is nil.
func Instead(kind, cause error) error {
	if cause == nil {
		return nil
	}
	return &instead{kind: kind, cause: cause}
}

type instead struct{ kind, cause error }

func (i *instead) Error() string { return sentence(i.kind, i.cause) }
func (i *instead) Unwrap() error { return i.kind }

// Is holds for what is in the cause, but for kinds and sentinels.
func (i *instead) Is(target error) bool {
	switch target.(type) {
	case *kind, *sentinel, *finer:
		return false
	}
	return errors.Is(i.cause, target)
}

// As finds what is in the cause.
func (i *instead) As(target any) bool { return errors.As(i.cause, target) }
