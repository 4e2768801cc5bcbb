package ring

import (
	"context"
	"net"
	"time"
)

// WithInterval sets how often nodes compare what they have.
func WithInterval(d time.Duration) Option {
	return func(o *options) error { o.interval = d; return nil }
}

// WithDial sets how peers are reached.
func WithDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) Option {
	return func(o *options) error { o.dial = dial; return nil }
}
