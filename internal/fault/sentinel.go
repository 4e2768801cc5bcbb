package fault

import (
	"errors"
	"strings"
)

// nested are the packages below others that have sentinels of their own. The
// scope "config/store/kv" is theirs, not that of package config.
var nested = [...]string{"config/store", "trace/baggage"}

// pkgOf returns the package that a scope belongs to: "kv" for "kv/redis".
func pkgOf(scope string) string {
	for _, p := range nested {
		if within(scope, p) {
			return p
		}
	}
	pkg, _, _ := strings.Cut(scope, "/")
	return pkg
}

// within reports whether a scope is a package's or begins with it.
func within(scope, pkg string) bool {
	return strings.HasPrefix(scope, pkg) && (len(scope) == len(pkg) || scope[len(pkg)] == '/')
}

// owns reports whether the errors of a scope are a package's. Those of
// "auth/issuer" are of auth, whose backend it is, and of auth/issuer.
func owns(pkg, scope string) bool {
	return within(scope, pkg) && (pkg == pkgOf(scope) || strings.Contains(pkg, "/"))
}

// sentinel is one package's name for a kind. errors.Is(err, sentinel) holds for
// the errors of that package alone.
type sentinel struct {
	pkg  string
	kind error // a kind, or one made by Finer
}

// Of returns the sentinel by which the users of a package test for a kind:
//
//	var ErrNotFound = fault.Of("kv", fault.NotFound)
//
// pkg is the package's path in the module. An Error whose scope is in that
// package answers for it; the sentinel itself is of the kind, so that code
// inside can test for the kind alone.
func Of(pkg string, kind error) error { return &sentinel{pkg, kind} }

func (s *sentinel) Error() string { return s.kind.Error() }
func (s *sentinel) Unwrap() error { return s.kind }

// Is holds for a coarser sentinel of the same package.
func (s *sentinel) Is(target error) bool {
	t, ok := target.(*sentinel)
	return ok && s.pkg == t.pkg && errors.Is(s.kind, t.kind)
}

// Is answers for the sentinels of the package that the error belongs to.
func (e *Error) Is(target error) bool {
	s, ok := target.(*sentinel)
	if !ok || !owns(s.pkg, e.Scope) {
		return false
	}
	return KindOf(e.Kind) == s.kind || carries(e.Kind, s) || carries(e.Cause, s) // Kind may be marked with a sentinel of another package
}

// Adopt makes an error of a driver answer for the sentinels of pkg, without
// another word: where it is told beside others, in a health report or a count,
// and Wrap would say twice what it is about. Adopt of nil is nil.
func Adopt(pkg string, err error) error {
	if err == nil {
		return nil
	}
	return &adopted{pkg, err}
}

type adopted struct {
	pkg string
	error
}

func (a *adopted) Unwrap() error { return a.error }

func (a *adopted) Is(target error) bool {
	s, ok := target.(*sentinel)
	return ok && s.pkg == a.pkg && (carries(a.error, s) || carries(KindOf(a.error), s))
}

// carries reports whether err has the kind of s without asking what other
// packages said: those kinds are theirs.
func carries(err error, s *sentinel) bool {
	for err != nil {
		if err == s.kind {
			return true
		}
		switch e := err.(type) {
		case *sentinel:
			if e.pkg != s.pkg {
				return false
			}
			err = e.kind
			continue
		case *Error:
			return e.Is(s)
		case interface{ Is(error) bool }:
			if e.Is(s) || e.Is(s.kind) {
				return true
			}
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				if carries(one, s) {
					return true
				}
			}
			return false
		default:
			return false
		}
	}
	return false
}
