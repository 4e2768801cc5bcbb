// Package fronts has what the fronts of the packages do alike: a front is what
// New returns, and stands between the caller and a backend's driver.
package fronts

import "github.com/micro/go-platform/internal/fault"

// Apply applies opts to o in order, up to the first error. A nil option is
// fault.Invalid.
func Apply[O any, F ~func(*O) error](o *O, opts []F) error {
	for _, opt := range opts {
		if opt == nil {
			return fault.Markf(fault.Invalid, "nil option")
		}
		if err := opt(o); err != nil {
			return err
		}
	}
	return nil
}
