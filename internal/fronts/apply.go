// Package fronts has what the fronts of the packages do alike. A front is what
// New returns: it stands between the caller and the driver of a backend.
package fronts

import (
	"log/slog"
	"reflect"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Apply applies opts to o in order, up to the first error. A nil option is
// fault.Invalid.
func Apply[O any, F ~func(*O) error](o *O, opts []F) error {
	for i, opt := range opts {
		if opt == nil {
			return fault.Markf(fault.Invalid, "option %d is nil", i+1)
		}
		if err := opt(o); err != nil {
			return err
		}
	}
	return nil
}

// New is Apply for the options of a package's New. Its error is the package's:
// "kv: new: invalid: …". What has no kind is fault.Invalid.
func New[O any, F ~func(*O) error](pkg string, o *O, opts []F) error {
	err := Apply(o, opts)
	if err != nil && fault.KindOf(err) == nil {
		err = fault.Mark(fault.Invalid, err)
	}
	return fault.Wrap(pkg, "new", "", err)
}

// Nil reports whether v is nil, or an interface that holds a nil pointer or a nil
// function. A nil map or slice in an interface is not: its methods may work.
//
// It is for what is refused. Where nil asks for a default, compare with nil: the
// methods of a nil pointer may work too, and who gives one did not ask for another.
func Nil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}

// Given is the error of an option that got a nil.
func Given(v any, option string) error {
	if !Nil(v) {
		return nil
	}
	return fault.Markf(fault.Invalid, "%s(nil)", option)
}

// Positive sets to to a duration that has to be more than 0.
func Positive(what string, d time.Duration, to *time.Duration) error {
	if d <= 0 {
		return fault.Markf(fault.Invalid, "%s %v, want more than 0", what, d)
	}
	*to = d
	return nil
}

// AtLeast sets to to a number or a duration that has to be least or more.
func AtLeast[T int | time.Duration](what string, v, least T, to *T) error {
	if v < least {
		return fault.Markf(fault.Invalid, "%s %v, want %v or more", what, v, least)
	}
	*to = v
	return nil
}

// Logger sets to to l, which must not be nil.
func Logger(l *slog.Logger, to **slog.Logger) error {
	if l == nil {
		return fault.Markf(fault.Invalid, "nil logger")
	}
	*to = l
	return nil
}
