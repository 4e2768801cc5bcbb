package conn

import "github.com/micro/go-platform/internal/fronts"

// Apply returns c as opts change it. They change a copy, so that one option of
// a public package may open several backends, also at the same time.
func Apply[C any, O ~func(*C) error](c C, opts []O) (C, error) {
	err := fronts.Apply(&c, opts)
	return c, err
}
