package conn

import "github.com/micro/go-platform/internal/fault"

// Apply returns c as opts change it. They change a copy, so that one option of
// a public package may open several backends, also at the same time.
func Apply[C any, O ~func(*C) error](c C, opts []O) (C, error) {
	for _, opt := range opts {
		if opt == nil {
			return c, fault.Markf(fault.Invalid, "nil option")
		}
		if err := opt(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}
