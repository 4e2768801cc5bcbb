package sql

import "time"

// WithInterval is how often Watch looks.
func WithInterval(every time.Duration) Option {
	return func(d *driver) error { d.every = every; return nil }
}
