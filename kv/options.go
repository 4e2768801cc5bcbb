package kv

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	backend   fronts.Backend[Driver]
	namespace string
	timeout   time.Duration
	logger    *slog.Logger
	observe   func(Call)
}

func defaults() options {
	return options{
		backend: fronts.Backend[Driver]{Dial: 5 * time.Second},
		timeout: 5 * time.Second, logger: slog.New(slog.DiscardHandler),
	}
}

// WithDriver makes a backend the store's. Backends build their option with it.
// The name stands in errors, as in "kv/redis". Open validates and builds but
// asks no server; New then calls the driver's Ping. Two backends are an error.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

// WithNamespace puts the store's keys apart from those of other namespaces on
// the same backend: a key is stored as "namespace/key". The name is one path
// element: not empty, no "/". Without a namespace a store sees every key of
// the backend as it is.
func WithNamespace(name string) Option {
	return func(o *options) error {
		if name == "" || strings.Contains(name, "/") || !utf8.ValidString(name) || len(name) > 128 {
			return invalidf("namespace %q: want a name of 1 to 128 bytes without \"/\"", name)
		}
		o.namespace = name + "/"
		return nil
	}
}

// WithDialTimeout bounds how long New waits for the backend's first answer.
// The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithTimeout bounds a call whose context has no deadline. The default is 5 s. List
// and Watch are not bounded, their requests are.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("timeout", d, &o.timeout) }
}

// WithLazy lets New succeed while the backend is unavailable. Calls fail with
// ErrUnavailable until it answers.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// WithLogger makes the store log outages of its watches, and at New a backend
// that it sees to drop items when its memory is full. The default is silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}

// Call is what an observer learns of one finished call.
type Call struct {
	Backend  string // "kv/redis"
	Op       string // "get", "put", …
	Keys     int    // how many keys it was about
	Duration time.Duration
	Err      error // as the caller got it
}

// WithObserver has observe called after every Get, GetMany, Put, PutMany,
// Delete and Add, on the caller's goroutine, for metrics. It must be fast and
// safe for concurrent use. A panic of it is logged and changes nothing.
func WithObserver(observe func(Call)) Option {
	return func(o *options) error { o.observe = observe; return fronts.Given(observe, "WithObserver") }
}

// GetOption changes what Get returns.
type GetOption interface{ get(*read) }

type read struct{ expiry bool }

type expiryOption struct{}

// Expiry has Get return when the item expires, in Expires. Most backends tell
// that at no cost, and always do; on Redis it is a command more. GetMany, List
// and Watch always tell it.
func Expiry() GetOption { return expiryOption{} }

func (expiryOption) get(r *read) { r.expiry = true }

// PutOption changes what Put, PutMany or Add does.
type PutOption interface{ put(Write) (Write, error) }

// DeleteOption changes what Delete does.
type DeleteOption interface{ delete(Write) (Write, error) }

// WriteOption is both a PutOption and a DeleteOption.
type WriteOption interface {
	PutOption
	DeleteOption
}

type ttlOption time.Duration

// TTL makes an item's life end after d, which is at least a millisecond. What
// a backend counts in larger steps is rounded up, never to no limit.
func TTL(d time.Duration) PutOption { return ttlOption(d) }

func (d ttlOption) put(w Write) (Write, error) {
	if time.Duration(d) < time.Millisecond {
		return w, invalidf("TTL %v, want 1ms or more", time.Duration(d))
	}
	w.TTL = time.Duration(d)
	return w, nil
}

type absentOption struct{}

// IfAbsent lets Put only create: ErrExists if the key is there.
func IfAbsent() PutOption { return absentOption{} }

func (absentOption) put(w Write) (Write, error) { w.IfAbsent = true; return w, nil }

type revisionOption Revision

// IfRevision lets Put or Delete succeed only if the key is still as it was
// when it had the revision: ErrConflict if it has changed or is gone. With
// revision 0 Put only creates, as with IfAbsent but with ErrConflict.
func IfRevision(r Revision) WriteOption { return revisionOption(r) }

func (r revisionOption) put(w Write) (Write, error) {
	w.IfRevision, w.conditional = Revision(r), true
	return w, nil
}

func (r revisionOption) delete(w Write) (Write, error) {
	if r == 0 {
		return w, invalidf("revision 0 names a key that is not there")
	}
	w.IfRevision, w.conditional = Revision(r), true
	return w, nil
}

// ListOption changes what List yields.
type ListOption interface{ list(*listing) error }

type listing struct {
	after string
	limit int
}

type afterOption string

// After starts List behind key: with Limit, it reads page after page.
func After(key string) ListOption { return afterOption(key) }

func (k afterOption) list(l *listing) error { l.after = string(k); return nil }

type limitOption int

// Limit ends List after n items, n at least 1.
func Limit(n int) ListOption { return limitOption(n) }

func (n limitOption) list(l *listing) error {
	if n < 1 {
		return invalidf("limit %d, want 1 or more", int(n))
	}
	l.limit = int(n)
	return nil
}
