package conn

import (
	"slices"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Apply returns c as opts change it. They change a copy, so that one option of
// a public package may open several backends, also at the same time.
func Apply[C any, O ~func(*C) error](c C, opts []O) (C, error) {
	err := fronts.Apply(&c, opts)
	return c, err
}

// Add adds to what an option collects. None may be nil.
func Add[T any](to *[]T, what string, values ...T) error {
	for _, v := range values {
		if fronts.Nil(v) {
			return fault.Markf(fault.Invalid, "nil %s", what)
		}
	}
	*to = append(slices.Clip(*to), values...)
	return nil
}

// Open opens what c describes as opts change it, for an engine of a name.
func Open[C, T any, O ~func(*C) error](engine string, open func(C) (T, error), c C, opts []O) (T, error) {
	var opened T
	c, err := Apply(c, opts)
	if err == nil {
		opened, err = open(c)
	}
	return opened, fault.Wrap(engine, "open", "", err)
}
