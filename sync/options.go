package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	backend   fronts.Backend[Driver]
	around    []func(Driver) Driver
	namespace string
	owner     string
	ttl       time.Duration
	timeout   time.Duration
	logger    *slog.Logger
}

// WithDriver selects the backend: name stands in errors ("sync/etcd"), open
// builds its driver. open checks what it was given but needs no server. The
// Backend functions of the packages below this one are made with it.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

// Memory selects memory that several Syncs of one process share: they see
// each other as processes do. Without any backend a Sync has memory of its own.
func Memory(m *Locks) Option {
	if m == nil {
		return func(*options) error { return fault.Markf(ErrInvalid, "nil memory") }
	}
	return WithDriver("memory", func(context.Context) (Driver, error) { return memoryDriver{m}, nil })
}

// WithAround wraps the driver of whatever backend is selected, to count, trace
// or break its calls. The last one given is the outermost.
func WithAround(wrap func(Driver) Driver) Option {
	return func(o *options) error {
		if wrap == nil {
			return fault.Markf(ErrInvalid, "nil function around the driver")
		}
		o.around = append(o.around, wrap)
		return nil
	}
}

// WithNamespace keeps the ids of this Sync apart from those of others on the
// same backend. The default is "default".
func WithNamespace(namespace string) Option {
	return func(o *options) error {
		o.namespace = namespace
		return checkName("namespace", namespace)
	}
}

// WithDialTimeout bounds New. The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithTimeout bounds each request to the backend, as far as the call's context
// doesn't, but not how long Lock waits. The default is 5 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("timeout", d, &o.timeout) }
}

// WithLazy makes New succeed without asking the backend.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// WithLogger receives what no caller can be told: a lock that was lost, a
// release that goes on in the background. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}

// LockOption configures one lock, permit or candidacy. Those that also make
// sense for all of them are given to New with WithDefaults.
type LockOption func(*lockOptions) error

// LeaderOption configures one candidacy.
type LeaderOption = LockOption

type lockOptions struct {
	ttl   time.Duration
	wait  time.Duration // 0: as long as the context
	owner string
}

// WithDefaults gives options to every lock, permit and candidacy that doesn't
// say otherwise.
func WithDefaults(opts ...LockOption) Option {
	return func(o *options) error {
		lo := lockOptions{ttl: o.ttl, owner: o.owner}
		if err := fronts.Apply(&lo, opts); err != nil {
			return err
		}
		if lo.wait != 0 {
			return fault.Markf(ErrInvalid, "a wait can't be a default")
		}
		o.ttl, o.owner = lo.ttl, lo.owner
		return nil
	}
}

// TTL says for how long the backend keeps a lock whose holder is silent.
// The holder renews every third of it, and gives itself up a fifth of it before
// the end. The default is 15 s; a backend raises it to what it can (Features).
func TTL(ttl time.Duration) LockOption {
	return func(o *lockOptions) error {
		if ttl > maxTTL {
			return fault.Markf(ErrInvalid, "TTL %v, want at most %v", ttl, maxTTL)
		}
		return fronts.Positive("TTL", ttl, &o.ttl)
	}
}

// Wait ends a wait after d with ErrTimeout.
func Wait(d time.Duration) LockOption {
	return func(o *lockOptions) error { return fronts.Positive("wait", d, &o.wait) }
}

// Owner says who asks: a name or an address for people, and for
// Candidate.Owner. The default is a random name of the Sync.
func Owner(owner string) LockOption {
	return func(o *lockOptions) error {
		o.owner = owner
		return checkName("owner", owner)
	}
}

const (
	defaultTTL = 15 * time.Second
	maxTTL     = 24 * time.Hour
	maxName    = 250 // bytes of an id, a namespace or an owner
)

func newOptions(opts []Option) (*options, error) {
	o := &options{
		namespace: "default",
		owner:     rand.Text(),
		ttl:       defaultTTL,
		backend:   fronts.Backend[Driver]{Dial: 5 * time.Second},
		timeout:   5 * time.Second,
		logger:    slog.New(slog.DiscardHandler),
	}
	if err := fronts.New("sync", o, opts); err != nil {
		return nil, err
	}
	if !o.backend.Chosen() {
		if err := Memory(NewLocks())(o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func checkName(what, s string) error {
	var why string
	switch {
	case s == "":
		why = "is empty"
	case len(s) > maxName:
		why = fmt.Sprintf("has %d bytes, want at most %d", len(s), maxName)
	case !utf8.ValidString(s):
		why = "is not UTF-8"
	case strings.ContainsRune(s, 0):
		why = "has a zero byte"
	default:
		return nil
	}
	return fault.Mark(ErrInvalid, errors.New(what+" "+why))
}
