package config

import (
	"context"
	"iter"
	"time"
)

// Config is the running configuration of a process. All methods are safe for
// concurrent use.
type Config interface {
	// Get returns the value at path ("server.addr") of the current snapshot. It
	// reads memory, never blocks and does not allocate; see Path for keys that
	// hold dots.
	Get(path string) Value

	// Snapshot returns the current state of the whole.
	Snapshot() *Snapshot

	// Watch yields the value at path as it is, and from then on each change of
	// it. A slow reader skips values in between, never the newest. The sequence
	// ends with ctx's error, or with ErrClosed.
	Watch(ctx context.Context, path string) iter.Seq2[Change, error]

	// Subscribe makes s take part in every change of the value at path. It calls
	// s with the value as it is before it returns, whose error it returns; then
	// before each change. cancel ends the subscription without waiting for a call
	// in progress, whose answer no longer counts.
	Subscribe(path string, s Subscriber) (cancel func(), err error)

	// Reload reads every source now and applies what it found. It returns why
	// the newest content is not running: sources that can't be read, a refusal.
	// With the context of a Subscriber or a Validator it is ErrInvalid: it would
	// wait for the change that waits for it.
	Reload(ctx context.Context) error

	// Health says whether what runs is what the sources hold.
	Health() Health

	// Close stops following the sources and waits for reads and for calls of
	// user code, for these at most a second. It is idempotent.
	Close() error
}

// Change is a value before and after.
type Change struct {
	Path    string
	Old     Value  // doesn't exist at first, or if nothing was there
	New     Value  // doesn't exist if it was deleted
	Version uint64 // of the snapshot that holds New
}

// String returns, for instance, "server.port: 80 → 81", secrets redacted.
func (c Change) String() string {
	path := c.Path
	if path == "" {
		path = "(root)"
	}
	return path + ": " + c.Old.Show() + " → " + c.New.Show()
}

// Subscriber is asked before a change. An error, or a panic, vetoes it: nothing
// of the new snapshot becomes visible to anybody, and Health says why. commit,
// unless nil, is called once the snapshot is the current one.
//
// Calls of one subscription are one at a time and in the order of the versions.
// No lock is held meanwhile: a Subscriber may read, bind, watch, subscribe and
// cancel, also its own subscription; what joins during a change is asked about
// it too.
//
// ctx ends after 5 s. A call that has not returned a second
// later is left to itself: Health lists it in Late, and changes of the path are
// refused until it returns. Then they are tried again.
type Subscriber func(ctx context.Context, c Change) (commit func(), err error)

// Validator checks a whole configuration before it is used. An error, or a
// panic, refuses it.
type Validator func(ctx context.Context, next *Snapshot) error

// Health is how the configuration does.
type Health struct {
	OK       bool      // the newest content of every source is running
	Version  uint64    // of the running snapshot
	Applied  time.Time // when it became that
	Hash     string    // of its content
	Rejected error     // why newer content is not running, or who panicked when told that it is; nil if all is well
	Since    time.Time // of Rejected
	Restored time.Time // when the last-known-good content was saved that parts of the snapshot come from; zero if none do
	Sources  []SourceHealth
	// Unresolved are references that keep an old value, because they can't be
	// resolved now: each a *SourceError.
	Unresolved []error
	Late       []error // validators, subscribers and other functions of the program that have not returned in time
	Misreads   []error // getters that met another type, each a *FieldError; at most 100
	Unsaved    error   // why the last-known-good file could not be written
}

// SourceHealth is how one source does.
type SourceHealth struct {
	Name     string
	Optional bool
	Restored bool      // its content is the last-known-good one
	Revision string    // of the content in use
	LastGood time.Time // when it was last read well
	Err      error     // why newer content can't be had; nil if all is well
	Since    time.Time // of Err
}

// New reads all sources at once, checks the result and follows the sources from
// then on. Without a source the configuration is empty.
func New(opts ...Option) (Config, error) {
	c, err := newFront(opts)
	if err != nil {
		return nil, err // and not a nil *front, which is no nil Config
	}
	return c, nil
}
