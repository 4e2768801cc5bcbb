package db

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"regexp"
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	backend   fronts.Backend[Driver]
	namespace string
	timeout   time.Duration
	maxBytes  int
	cursorKey []byte
	scans     bool
	purge     time.Duration
	log       *slog.Logger
	changes   func(ctx context.Context, tx Execer, changes []Change) error
}

func newOptions(opts []Option) (*options, error) {
	o := &options{
		backend: fronts.Backend[Driver]{Dial: 5 * time.Second}, timeout: 10 * time.Second, maxBytes: 1 << 20, purge: time.Minute,
		log: slog.New(slog.DiscardHandler),
	}
	if err := fronts.New("db", o, opts); err != nil {
		return nil, err
	}
	if !o.backend.Chosen() {
		Memory()(o)
	}
	if o.cursorKey == nil {
		o.cursorKey = make([]byte, 32)
		rand.Read(o.cursorKey)
	}
	return o, nil
}

// WithDriver sets the backend: open is called once, by New, and must not ask
// the server; Driver.Ping does. Backends are options made with it; a second
// one is an error.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

var namespaceForm = regexp.MustCompile(`^[a-z][a-z0-9]{0,14}$`)

// WithNamespace keeps tables apart from those of other namespaces in the same
// database: a letter from a to z, then letters and digits, up to 15. It
// becomes part of the table's name.
func WithNamespace(ns string) Option {
	return func(o *options) error {
		if !namespaceForm.MatchString(ns) {
			return invalidf("namespace %q, want a letter from a to z, then letters and digits, up to 15", ns)
		}
		o.namespace = ns
		return nil
	}
}

// WithDialTimeout bounds how long New waits for the backend's first answer.
// The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithTimeout is the deadline of one call whose context brings none: what it ends
// is ErrUnavailable, or ErrUnknownOutcome if it may have been applied. The default
// is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("timeout", d, &o.timeout) }
}

// WithPurgeInterval is about how often expired records are removed, and deleted
// ones that were kept for long enough. The default is a minute.
func WithPurgeInterval(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("purge interval", d, &o.purge) }
}

// WithLazy lets New succeed without asking whether the backend answers.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// WithLogger sets where the database reports what it does on its own. The
// default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.log) }
}

// WithMaxBytes limits Data of a record; more is ErrTooLarge. The default is
// 1 MiB.
func WithMaxBytes(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return invalidf("limit of %d bytes, want more than 0", n)
		}
		o.maxBytes = n
		return nil
	}
}

// WithScans allows every search what AllowScan allows one: for tests, and for
// tables that stay small.
func WithScans() Option {
	return func(o *options) error { o.scans = true; return nil }
}

// WithCursorKey sets the secret that cursors are signed with, 16 bytes or
// more, so that several processes accept each other's. The default is a new
// random one.
func WithCursorKey(key []byte) Option {
	return func(o *options) error {
		if len(key) < 16 {
			return invalidf("cursor key of %d bytes, want 16 or more", len(key))
		}
		o.cursorKey = bytes.Clone(key)
		return nil
	}
}

// TableOption configures Table.
type TableOption func(*TableSpec) error

// IsolationLevel says what transactions that run at the same time may notice of
// each other.
type IsolationLevel int

// The isolation levels. A backend may isolate more than it is asked to: memory
// and SQLite run transactions that write one after another.
const (
	// LevelSerializable: as if transactions ran one after another.
	LevelSerializable IsolationLevel = iota

	// LevelSnapshot: a transaction sees one state of the database, and of two that
	// write the same record one runs again. Two that each read what the other
	// writes may both commit (write skew), and fewer run again.
	LevelSnapshot
)

// TxOption configures Tx.
type TxOption func(*txOptions) error

type txOptions struct {
	isolation IsolationLevel
}

// Isolation sets how much a transaction is isolated. The default is
// LevelSerializable.
func Isolation(level IsolationLevel) TxOption {
	return func(o *txOptions) error {
		if level != LevelSerializable && level != LevelSnapshot {
			return invalidf("isolation level %d", int(level))
		}
		o.isolation = level
		return nil
	}
}

func newTxOptions(opts []TxOption) (o txOptions, err error) {
	err = fronts.Apply(&o, opts)
	return o, err
}

// WriteOption configures Update and Delete.
type WriteOption func(*writeOptions) error

type writeOptions struct {
	force, upsert bool
	purge         bool
	version       uint64
}

// Force makes Update overwrite the record whatever its version. The record
// must exist.
func Force() WriteOption {
	return func(o *writeOptions) error { o.force = true; return nil }
}

// Upsert makes Update create the record if it isn't there, and overwrite it
// whatever its version if it is.
func Upsert() WriteOption {
	return func(o *writeOptions) error { o.upsert = true; return nil }
}

// IfVersion makes Delete succeed only if the record has this version, else it
// returns ErrConflict.
func IfVersion(v uint64) WriteOption {
	return func(o *writeOptions) error {
		if v == 0 {
			return invalidf("version 0, which no record has")
		}
		o.version = v
		return nil
	}
}

func newWriteOptions(opts []WriteOption) (o writeOptions, err error) {
	err = fronts.Apply(&o, opts)
	if err == nil && o.force && o.upsert {
		err = invalidf("both Force and Upsert")
	}
	return o, err
}
