package config

import "time"

// WithPrepareTimeout bounds the validators and subscribers of one change.
func WithPrepareTimeout(d time.Duration) Option {
	return func(o *options) error { o.prepare = d; return nil }
}
