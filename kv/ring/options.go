package ring

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	key       []byte
	label     string // that members have; "": none is needed
	replicas  int
	maxBytes  int64
	detection time.Duration
	interval  time.Duration // between comparisons of what nodes have
	tombs     time.Duration
	tls       *tls.Config
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	logger    *slog.Logger
}

// path is where a node is mounted on its peers' servers.
const path = "/.ring"

func defaults() options {
	return options{
		replicas: 2, maxBytes: 256 << 20, detection: time.Second, interval: 30 * time.Second,
		tombs: time.Hour, dial: (&net.Dialer{}).DialContext, logger: slog.New(slog.DiscardHandler),
	}
}

// WithKey sets the secret, of at least 16 bytes, that all nodes share: who
// does not know it is refused. It must be given.
func WithKey(key []byte) Option {
	return func(o *options) error {
		if len(key) < 16 {
			return fault.Markf(fault.Invalid, "a key of %d bytes, want 16 or more", len(key))
		}
		o.key = bytes.Clone(key)
		return nil
	}
}

// WithReplicas sets how many nodes own a key, 1 to 8, the same on all nodes.
// The default is 2: one node may be lost.
func WithReplicas(n int) Option {
	return func(o *options) error {
		if n < 1 || n > 8 {
			return fault.Markf(fault.Invalid, "%d replicas, want 1 to 8", n)
		}
		o.replicas = n
		return nil
	}
}

// WithMaxBytes bounds what the node holds: keys, values, tombstones and what it
// needs to keep them. What was used least goes. The default is 256 MiB, the
// least 1 MiB. The collector lets a heap grow beyond what lives on it: with a
// GOMEMLIMIT of what the process needs without items and 1.25 times the bound,
// it stays there.
func WithMaxBytes(n int64) Option {
	return func(o *options) error {
		if n < 1<<20 {
			return fault.Markf(fault.Invalid, "%d bytes, want a mebibyte or more", n)
		}
		o.maxBytes = n
		return nil
	}
}

// WithDetection sets how long a peer may be out of reach before this node
// leaves it out, if none that it reaches does, and if most of the registered nodes
// remain. A peer that has left
// the registry is left out at once. The default is 1 s, the least 50 ms.
func WithDetection(d time.Duration) Option {
	return func(o *options) error { return fronts.AtLeast("detection", d, 50*time.Millisecond, &o.detection) }
}

// WithTombstones sets how long a delete is remembered. A node that was cut off
// for half as long, or longer, drops what it had from before, since it could
// no longer be notified of every delete, unless most nodes were. The default is an hour, the least 100 ms.
// Deletes take a sixteenth of WithMaxBytes; when there are more, the oldest are
// forgotten earlier.
func WithTombstones(d time.Duration) Option {
	return func(o *options) error {
		return fronts.AtLeast("life of tombstones", d, 100*time.Millisecond, &o.tombs)
	}
}

// WithTLS makes connections to peers use TLS. With certificates on both sides,
// and a server that asks for them, it authenticates besides the key; the key
// alone does not hide what is sent, nor keep those on the way from changing it.
func WithTLS(conf *tls.Config) Option {
	return func(o *options) error {
		if conf == nil {
			return fault.Markf(fault.Invalid, "nil TLS configuration")
		}
		o.tls = conf.Clone()
		return nil
	}
}

// WithLogger is notified of members that come and go, and of peers that are
// refused. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}
