package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fronts"
)

// Option is an option of New.
type Option func(*options) error

type options struct {
	backend  fronts.Backend[Driver]
	validate []func(ctx context.Context, namespace string, next *config.Snapshot) error
	secrets  []string
	timeout  time.Duration
	author   bool
}

// WithDriver makes a backend the store's. The name stands in errors, as in
// "config/store/sql". Open validates and builds but asks no server; New then
// calls the driver's Ping. Two backends are an error.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

// WithValidator adds a check of every document before it is written.
func WithValidator(v func(ctx context.Context, namespace string, next *config.Snapshot) error) Option {
	return func(o *options) error {
		if v == nil {
			return errors.New("WithValidator: nil function")
		}
		o.validate = append(o.validate, v)
		return nil
	}
}

// WithSecrets names paths whose values no output shows; see config.WithSecrets.
func WithSecrets(paths ...string) Option {
	return func(o *options) error {
		if slices.Contains(paths, "") {
			return errors.New("WithSecrets: empty path")
		}
		o.secrets = append(o.secrets, paths...)
		return nil
	}
}

// WithAuthors refuses writes without an Author.
func WithAuthors() Option {
	return func(o *options) error {
		o.author = true
		return nil
	}
}

// WithDialTimeout bounds how long New waits for the backend's first answer.
// The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithDialTimeout:", d, &o.backend.Dial) }
}

// WithTimeout bounds a call whose context has no deadline. The default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithTimeout:", d, &o.timeout) }
}

// WithLazy lets New succeed while the backend is unavailable.
func WithLazy() Option {
	return func(o *options) error {
		o.backend.Lazy = true
		return nil
	}
}

// WriteOption is an option of one write.
type WriteOption func(*write) error

type write struct {
	author, comment string
	conditional     bool
	version         uint64
}

// Author says who writes, at most 200 bytes.
func Author(name string) WriteOption {
	return func(w *write) error {
		w.author = name
		return fits("author", name, 200)
	}
}

// Comment says why, at most 2000 bytes.
func Comment(text string) WriteOption {
	return func(w *write) error {
		w.comment = text
		return fits("comment", text, 2000)
	}
}

func fits(what, s string, most int) error {
	if len(s) > most || !utf8.ValidString(s) {
		return fmt.Errorf("%s of %d bytes, want UTF-8 of at most %d", what, len(s), most)
	}
	return nil
}

// IfVersion lets the write succeed only on top of that version: ErrConflict if
// another is the newest. 0 means that there is no version yet.
func IfVersion(number uint64) WriteOption {
	return func(w *write) error {
		w.conditional, w.version = true, number
		return nil
	}
}
