package file

import "time"

// WithInterval is how often the file is looked at besides the system's notices.
func WithInterval(d time.Duration) Option {
	return func(s *source) error { s.interval = d; return nil }
}
