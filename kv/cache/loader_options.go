package cache

import (
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// LoaderOption configures a Loader.
type LoaderOption func(*loaderOptions) error

type loaderOptions struct {
	stale, negative time.Duration
	jitter          float64
}

const (
	// jitter makes TTLs shorter by a random part of up to this, so that items loaded
	// together do not end together.
	jitter = 0.1
	// loadTimeout bounds one load, which no caller's context does.
	loadTimeout = 30 * time.Second
)

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
