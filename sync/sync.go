package sync

import (
	"context"
	"fmt"
	"iter"
)

// Sync hands out locks, permits and leadership. Use New to make one. All
// methods are safe for concurrent use.
type Sync interface {
	// Lock waits until this caller holds id, until ctx ends, or for as long as
	// Wait says, which ends in ErrTimeout. Nothing is left behind when it
	// fails. A backend that is unavailable fails the call with ErrUnavailable; a call
	// that is already waiting rides the outage out.
	Lock(ctx context.Context, id string, opts ...LockOption) (Lock, error)

	// TryLock is Lock without waiting: ErrHeld says that somebody holds id or
	// waits for it.
	TryLock(ctx context.Context, id string, opts ...LockOption) (Lock, error)

	// Semaphore waits for one of limit permits. All callers of one id must
	// give the same limit, else ErrConflict. A permit is used like a lock.
	Semaphore(ctx context.Context, id string, limit int, opts ...LockOption) (Lock, error)

	// Leader returns this process's view of the election id, and its way to
	// take part in it. It does no I/O. A lock and an election of the same id
	// have nothing to do with each other.
	Leader(id string, opts ...LeaderOption) (Leader, error)

	// Holds lists what this Sync holds and waits for, for people to look at: by
	// kind and id, then what is held, then by time. It does no I/O.
	Holds() []Hold

	// List yields what everybody holds in this namespace on the backend, and waits
	// for where the backend keeps the queue, by kind and id as Holds does. It is for
	// people to look at: by the time it is read, a lock may be somebody else's. What
	// the backend doesn't keep is zero: see Hold. ErrUnsupported where
	// Features.Lists is false.
	List(ctx context.Context) iter.Seq2[Hold, error]

	// Features says what the backend can do.
	Features() Features

	// Close ends every wait with ErrClosed, ends the contexts of all locks,
	// releases them, and waits until that is done. It is idempotent.
	Close() error
}

// Lock is a lock or a permit that this process holds, until Unlock, or until
// it is lost.
type Lock interface {
	// ID returns the id that was asked for.
	ID() string

	// Token returns the fencing token: greater than every token that was
	// granted for this id before. A resource that refuses smaller tokens than
	// the largest it has seen (see Fence) is safe from a holder that wakes up
	// late.
	Token() uint64

	// Context ends with Unlock, with Close, or when the lock is lost; then its
	// cause is ErrLost. It ends before the backend can give the lock to anyone
	// else. It carries the values of the context given to Lock, not its end.
	Context() context.Context

	// Unlock ends the context, then releases. It returns ErrLost if the lock
	// was lost before, so that others may have held it meanwhile. It may be
	// called again. If ctx has ended or the backend is unavailable, the release goes
	// on in the background and the error says so.
	Unlock(ctx context.Context) error
}

// Leader is one candidate's side of an election.
type Leader interface {
	// Elect waits until this candidate leads, as Lock waits for a lock.
	Elect(ctx context.Context) (Elected, error)

	// Leader returns who leads now: never one who resigned or whose lease ran
	// out. ErrNoLeader says that nobody does.
	Leader(ctx context.Context) (Candidate, error)

	// Watch yields who leads, then every change. The zero Candidate says that
	// nobody does. While the backend is unavailable it yields an error once and goes
	// on. It ends with ctx, and with ErrClosed after Close.
	Watch(ctx context.Context) iter.Seq2[Candidate, error]

	// Status tells where this candidate stands, without I/O.
	Status() Status

	// Close ends Elect and Watch with ErrClosed and resigns. It is idempotent.
	Close() error
}

// Elected is a term of office. Its methods are those of a Lock.
type Elected interface {
	Token() uint64
	Context() context.Context
	Resign(ctx context.Context) error
}

// Candidate is who holds a lock or leads.
type Candidate struct {
	Owner string // as Owner said, else a random name of the Sync
	Token uint64 // of its term; 0: nobody
}

// Status is where a candidate stands.
type Status uint8

const (
	StatusFollower  Status = iota // takes no part
	StatusCandidate               // waits in Elect
	StatusElected                 // leads
)

// String returns "follower", "candidate" or "elected".
func (s Status) String() string {
	switch s {
	case StatusFollower:
		return "follower"
	case StatusCandidate:
		return "candidate"
	case StatusElected:
		return "elected"
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// New returns a Sync on the backend that an option names, else on memory of
// its own. It asks the backend whether it answers, within WithDialTimeout, and
// returns ErrUnavailable if not; WithLazy leaves that out.
func New(opts ...Option) (Sync, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	return open(o)
}
