package router

import "time"

// WithLease sets how long a Pick that is never Done counts.
func WithLease(d time.Duration) Option {
	return func(o *options) error { o.lease = d; return nil }
}
