package statsd

import (
	"context"
	"time"

	"github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/metrics"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	dialect Dialect
	packet  int
	resolve time.Duration
	timeout time.Duration
	sender  statsd.Sender
}

// WithDialect sets the dialect. The default is Plain.
func WithDialect(d Dialect) Option {
	return func(o *options) error {
		if d > Graphite {
			return fault.Markf(fault.Invalid, "unknown dialect %d", d)
		}
		o.dialect = d
		return nil
	}
}

// WithMaxDatagram bounds a datagram. The default of 1432 bytes crosses an
// Ethernet in one piece; 512 crosses any network.
func WithMaxDatagram(bytes int) Option {
	return func(o *options) error {
		if bytes < 64 || bytes > 65507 {
			return fault.Markf(fault.Invalid, "WithMaxDatagram(%d), want 64 to 65507", bytes)
		}
		o.packet = bytes
		return nil
	}
}

// WithResolve sets how often the name in a UDP address is looked up again. The
// default is 30 s.
func WithResolve(every time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithResolve", every, &o.resolve) }
}

// WithClient sends through s, a sender of go-statsd-client, which Close leaves
// open. The address of Backend is then not used and may be empty.
func WithClient(s statsd.Sender) Option {
	return func(o *options) error {
		o.sender = s
		return fronts.Given(s, "WithClient")
	}
}

// Backend pushes to the receiver at addr.
func Backend(addr string, opts ...Option) metrics.Option {
	return metrics.WithDriver("statsd", func(context.Context) (metrics.Driver, error) {
		o := options{packet: 1432, resolve: 30 * time.Second, timeout: 2 * time.Second}
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		d := &driver{options: o, last: map[uint64]total{}, sender: o.sender}
		if d.sender == nil {
			var err error
			d.sender, d.ping, err = dial(addr, &o)
			if err != nil {
				return nil, err
			}
			d.owned = true
		}
		return d, nil
	})
}
