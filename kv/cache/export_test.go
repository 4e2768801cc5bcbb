package cache

// WithJitter makes TTLs shorter by a random part of up to fraction.
func WithJitter(fraction float64) LoaderOption {
	return func(o *loaderOptions) error { o.jitter = fraction; return nil }
}
