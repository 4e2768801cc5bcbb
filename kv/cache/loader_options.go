package cache

import (
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// LoaderOption configures a Loader.
type LoaderOption func(*loaderOptions) error

type loaderOptions struct {
	stale, negative, timeout time.Duration
	jitter                   float64
}

// WithStale has an item served for up to d after its TTL, while it is loaded again
// in the background: nobody waits. The default is 0: everybody waits.
func WithStale(d time.Duration) LoaderOption {
	return func(o *loaderOptions) error { return fronts.AtLeast("stale", d, 0, &o.stale) }
}

// WithNegative has this process remember for d that a load found nothing
// (kv.ErrNotFound). The default is 0: it is asked again.
func WithNegative(d time.Duration) LoaderOption {
	return func(o *loaderOptions) error { return fronts.AtLeast("negative", d, 0, &o.negative) }
}

// WithJitter makes TTLs shorter by a random part of up to fraction, so that items
// loaded together do not end together. The default is 0.1; it goes to 1.
func WithJitter(fraction float64) LoaderOption {
	return func(o *loaderOptions) error {
		if !(fraction >= 0 && fraction <= 1) {
			return invalidf("jitter %v, want 0 to 1", fraction)
		}
		o.jitter = fraction
		return nil
	}
}

// WithLoadTimeout bounds one load, which no caller's context does. The default is
// 30 s.
func WithLoadTimeout(d time.Duration) LoaderOption {
	return func(o *loaderOptions) error { return fronts.Positive("load timeout", d, &o.timeout) }
}
