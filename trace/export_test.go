package trace

import "time"

// Searcher is what package trace/driver has under the same name.
type Searcher = searcher

// WithRetryFor bounds how long a batch is tried again.
func WithRetryFor(d time.Duration) Option {
	return func(o *options) error { o.retryFor = d; return nil }
}
