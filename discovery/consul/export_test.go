package consul

import "time"

// WithWait sets how long one blocking query lasts when nothing changes.
func WithWait(d time.Duration) Option {
	return func(o *options) error { o.wait = d; return nil }
}
