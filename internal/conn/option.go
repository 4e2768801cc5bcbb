package conn

import (
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Apply returns c as opts change it. They change a copy, so that one option of
// a public package may open several backends, also at the same time.
func Apply[C any, O ~func(*C) error](c C, opts []O) (C, error) {
	err := fronts.Apply(&c, opts)
	return c, err
}

// AtLeast sets to to a number that has to be least or more.
func AtLeast(what string, n, least int, to *int) error {
	if n < least {
		return fault.Markf(fault.Invalid, "%d %s, want %d or more", n, what, least)
	}
	*to = n
	return nil
}
