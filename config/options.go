package config

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// Option is an option of New.
type Option func(*options) error

type options struct {
	sources    []*layer
	validators []*validator
	timeout    time.Duration
	prepare    time.Duration // bounds the validators and subscribers of one change
	debounce   time.Duration
	logger     *slog.Logger
	secrets    *secrets
	schemes    map[string]*scheme
	onHealth   func(Health)
	saved      string
	savedAge   time.Duration
}

// pollEvery is how often a source that can't watch is read, unless Poll says so.
const pollEvery = 30 * time.Second

// validator is a Validator and how it does.
type validator struct {
	guest
	check Validator
}

// WithSource adds a layer above those that were given before it.
func WithSource(src Source, opts ...SourceOption) Option {
	return func(o *options) error {
		if fronts.Nil(src) {
			return errors.New("WithSource: nil source")
		}
		l := &layer{src: src, reading: make(chan struct{}, 1)}
		for _, opt := range opts {
			if opt == nil {
				return fmt.Errorf("WithSource(%s): nil option", src.Name())
			}
			if err := opt(l); err != nil {
				return fmt.Errorf("WithSource(%s): %w", src.Name(), err)
			}
		}
		o.sources = append(o.sources, l)
		return nil
	}
}

// WithOverlay adds the layers of a namespace: for
// WithOverlay(open, "shop", "prod", "orders", "orders-1") the sources that open
// returns for "shop", "shop/prod", "shop/prod/orders" and
// "shop/prod/orders/orders-1", base first. All but the first are Optional.
func WithOverlay(open func(namespace string) Source, parts ...string) Option {
	return func(o *options) error {
		if open == nil {
			return errors.New("WithOverlay: nil function")
		}
		names, err := Namespaces(parts...)
		if err != nil {
			return fmt.Errorf("WithOverlay: %w", err)
		}
		for i, name := range names {
			var opts []SourceOption
			if i > 0 {
				opts = append(opts, Optional())
			}
			if err := WithSource(open(name), opts...)(o); err != nil {
				return err
			}
		}
		return nil
	}
}

// WithValidator adds a check of the whole. Validators run in order, before
// subscribers are asked.
func WithValidator(v Validator) Option {
	return func(o *options) error {
		if v == nil {
			return errors.New("WithValidator: nil function")
		}
		o.validators = append(o.validators, &validator{guest{name: "a validator"}, v})
		return nil
	}
}

// WithTimeout bounds one read of one source. The default is 5 s. It is also the
// longest that New waits for its sources.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithTimeout", d, &o.timeout) }
}

// WithDebounce is how long a change waits for others that belong to it. The
// default is 50 ms. Steady changes are applied at this pace, never put off.
func WithDebounce(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithDebounce", d, &o.debounce) }
}

// WithLogger makes New log what changes, what is refused and which source
// fails. Values are never logged. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}

// WithSecrets names paths whose values no output shows, besides those whose
// keys look like secrets (password, token, signing_key, dsn …), and passwords
// inside URLs and connection strings. "*" stands for any one key:
// "databases.*.pin". What lies below such a path is secret too.
func WithSecrets(paths ...string) Option {
	return func(o *options) error {
		for _, p := range paths {
			if p == "" {
				return errors.New("WithSecrets: empty path")
			}
			o.secrets.add(p)
		}
		return nil
	}
}

// WithOnHealth calls f after every change of Health, one call at a time: a
// source that fails or is back, content that is refused, a new version. f must
// not call Reload or Close.
func WithOnHealth(f func(Health)) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("WithOnHealth: nil function")
		}
		o.onHealth = f
		return nil
	}
}

// WithLastKnownGood keeps the content of all sources in a file, readable by its
// owner only: each time it was accepted, and from time to time while there is
// nothing newer. If a required source can't be read when the process starts, or
// what it holds is refused, New starts with what the file holds for it, unless
// that is older than maxAge; the log and Health say so. maxAge 0 means any age.
func WithLastKnownGood(path string, maxAge time.Duration) Option {
	return func(o *options) error {
		if path == "" {
			return errors.New("WithLastKnownGood: empty path")
		}
		if maxAge < 0 {
			return fmt.Errorf("WithLastKnownGood: negative age %v", maxAge)
		}
		o.saved, o.savedAge = path, maxAge
		return nil
	}
}

// SourceOption is an option of one source, see WithSource.
type SourceOption func(*layer) error

// Optional lets the program run without the source: absent or empty content is
// an empty layer, and New doesn't wait for a source that is down; its content
// joins when it is there. Of a required source both are errors, and later the
// values that it gave stay. Content that is there and malformed makes New fail
// either way.
func Optional() SourceOption {
	return func(l *layer) error {
		l.optional = true
		return nil
	}
}

// Poll is how often the source is read, also if it can watch. One that can't is read
// every 30 s without it.
func Poll(d time.Duration) SourceOption {
	return func(l *layer) error {
		if d <= 0 {
			return fmt.Errorf("Poll: %v is not positive", d)
		}
		l.poll = d
		return nil
	}
}
