package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	backend       fronts.Backend[Driver]
	namespace     string
	timeout       time.Duration
	ttl           time.Duration
	idle          time.Duration
	preserveShare float64
	preserveFor   time.Duration
	history       int // changes of each service that are remembered
	retryMin      time.Duration
	retryMax      time.Duration
	log           *slog.Logger
}

func defaults() options {
	return options{
		backend:       fronts.Backend[Driver]{Dial: 5 * time.Second},
		timeout:       5 * time.Second,
		ttl:           15 * time.Second,
		idle:          5 * time.Minute,
		preserveShare: 0.15,
		history:       100,
		retryMin:      50 * time.Millisecond,
		retryMax:      5 * time.Second,
		log:           slog.New(slog.DiscardHandler),
	}
}

// WithDriver sets the backend: its name, as errors show it, and how to open
// it. Backend options are built with it, also those of third parties. open
// checks what it can without a server; Driver.Ping asks the server.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

// WithNamespace keeps services apart from those of other namespaces on the
// same registry. The default is none, which is a namespace of its own.
func WithNamespace(name string) Option {
	return func(o *options) error {
		if err := validName("namespace", name); err != nil {
			return err
		}
		o.namespace = name
		return nil
	}
}

// WithTTL sets how long an instance stays in the registry after its last
// heartbeat, unless Register says otherwise. Heartbeats come two fifths of it
// after one another. The default is 15 s; the least is 1 s, and a backend may
// round up.
func WithTTL(d time.Duration) Option {
	return func(o *options) error { return fronts.AtLeast("TTL", d, minTTL, &o.ttl) }
}

// WithDialTimeout bounds how long New waits for the backend's first answer.
// The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithTimeout bounds a call whose context has no deadline, and one heartbeat.
// The default is 5 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("timeout", d, &o.timeout) }
}

// WithIdle sets how long a service is followed after it was last asked for.
// The default is 5 minutes.
func WithIdle(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("idle time", d, &o.idle) }
}

// WithPreservation sets self-preservation: if more than share (0 to 1) of a
// service's instances, and at least three, expire within their TTL, it is more
// likely that the registry lost sight of them than that they all died. They
// are kept at the end of the snapshot, flagged, and dropped when they don't
// come back within limit, or when new instances have taken their places.
// Instances that deregister are never kept. The default is 0.15 and twice the
// instance's own TTL; share 1 turns it off.
func WithPreservation(share float64, limit time.Duration) Option {
	return func(o *options) error {
		if !(share >= 0 && share <= 1) || limit <= 0 {
			return fmt.Errorf("preservation of share %v for %v: want 0 to 1 and a positive time", share, limit)
		}
		o.preserveShare, o.preserveFor = share, limit
		return nil
	}
}

// WithRetry bounds the wait between attempts to reach a registry that is unavailable;
// it grows from least to most, with jitter. The default is 50 ms to 5 s.
func WithRetry(least, most time.Duration) Option {
	return func(o *options) error {
		if least <= 0 || most < least {
			return fmt.Errorf("retry from %v to %v: want positive times in order", least, most)
		}
		o.retryMin, o.retryMax = least, most
		return nil
	}
}

// WithLazy lets New succeed while the backend can't be reached.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// WithLogger is notified when the registry becomes unavailable and is back, when a
// registration is lost and renewed, and when self-preservation begins. The
// default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.log) }
}

// RegisterOption configures one Register.
type RegisterOption func(*registerOptions) error

type registerOptions struct {
	ttl     time.Duration
	silent  bool
	replace bool
}

// TTL sets how long the instance stays after its last heartbeat, at least 1 s.
// The default is WithTTL's.
func TTL(d time.Duration) RegisterOption {
	return func(o *registerOptions) error { return fronts.AtLeast("TTL", d, minTTL, &o.ttl) }
}

// NoHeartbeat registers for one TTL. Each Update renews it; nothing else
// does, and Close leaves it to expire.
func NoHeartbeat() RegisterOption {
	return func(o *registerOptions) error { o.silent = true; return nil }
}

// Replace takes the id over from another process whose entry lives: for ids
// that outlive processes and move, such as those of a StatefulSet, where the
// predecessor is known to have stopped. The other process, if it does run,
// learns it from its Registration.Err.
func Replace() RegisterOption {
	return func(o *registerOptions) error { o.replace = true; return nil }
}

// GetOption configures one Get.
type GetOption func(*getOptions) error

type getOptions struct {
	limited  bool
	maxStale time.Duration
}

// MaxStale makes Get return ErrStale, along with the snapshot, if it can't
// have one that the registry confirmed less than d ago. A view that is older
// is read again first; MaxStale(0) always asks the registry.
func MaxStale(d time.Duration) GetOption {
	return func(o *getOptions) error {
		if d < 0 {
			return fmt.Errorf("negative staleness %v", d)
		}
		o.limited, o.maxStale = true, d
		return nil
	}
}
