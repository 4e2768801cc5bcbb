package event

import (
	"context"
	"iter"
	"time"
)

// Stream is a stream of what happens, and the record of it. Its methods may
// be called concurrently.
type Stream interface {
	// Publish appends records, in the order given, and returns when they are
	// as safe as the backend makes them. The records are copied: they are not
	// changed, and may be reused. Several records are not atomic; an error
	// after the first of them carries a *PublishError.
	Publish(ctx context.Context, records ...*Record) error

	// Request publishes r and waits for the reply of a handler made with Replier, in
	// this or another process, until ctx ends or, if it has no deadline, for
	// WithTimeout. Without a reply the error is ErrTimeout; an error of the handler
	// is a *ReplyError. The first reply counts, later ones are dropped. Of the
	// groups that handle r one should reply. Requests and replies are records of
	// the stream like others; replies have types that begin with "_reply.", which
	// nobody else is handed.
	Request(ctx context.Context, r *Record) (*Record, error)

	// RequestStats returns counts since New. It does no I/O.
	RequestStats() RequestStats

	// PublishAt publishes the records when t has come, by the backend's clock if it
	// has one: not before, and once, whichever processes run then. It returns when
	// they are as safe as the backend makes them. A record without a Time gets t. An
	// ID that is scheduled already is scheduled again; Cancel takes it back. While
	// no process has the stream open nothing is published; what is overdue follows
	// when one has. See Features.Scheduled.
	PublishAt(ctx context.Context, t time.Time, records ...*Record) error

	// Schedule publishes r again and again, each time with a new ID of the name
	// and the due time, and with that as Time, until Cancel is called with the name. One
	// process of those that have the stream open does it. When none had, of all the
	// runs that were missed the first is made up for, late, and the rest are left out. A
	// schedule that is there gets the new record, and keeps its pace if when is
	// the same: every process may call Schedule when it begins.
	Schedule(ctx context.Context, name string, when Recurrence, r *Record) error

	// Cancel takes back what PublishAt or Schedule has under an ID or a name. It
	// returns ErrNotFound if there is nothing, as when it was published.
	Cancel(ctx context.Context, id string) error

	// Scheduled goes through what is scheduled, the earliest first.
	Scheduled(ctx context.Context) iter.Seq2[Scheduled, error]

	// Subscribe calls h for every record that the options ask for, until the
	// subscription or the stream is closed. ctx bounds the opening only. A
	// record that is published after Subscribe returned is never missed.
	Subscribe(ctx context.Context, h Handler, opts ...SubscribeOption) (Subscription, error)

	// SubscribeBatch is Subscribe with a handler of several records at once.
	SubscribeBatch(ctx context.Context, h BatchHandler, opts ...SubscribeOption) (Subscription, error)

	// Query goes through the history, oldest first unless Reverse. It ends
	// with what is there, and after an error.
	Query(ctx context.Context, opts ...QueryOption) iter.Seq2[*Record, error]

	// Aggregate counts what Query with the same options would return.
	Aggregate(ctx context.Context, a Aggregation, opts ...QueryOption) ([]Bucket, error)

	// Groups lists the groups of the stream, by name, with what each has
	// still to do.
	Groups(ctx context.Context) ([]GroupInfo, error)

	// DeleteGroup forgets a group and its position. Retention keeps what a
	// group has not read, so a group that nobody needs must go. It returns
	// ErrNotFound for a group that isn't there.
	DeleteGroup(ctx context.Context, name string) error

	// Features says what the backend can do.
	Features() Features

	// Close stops the subscriptions, waits until the handlers in flight have
	// returned, or until ctx ends, and releases the backend. When ctx ends
	// first, the error is ErrTimeout and counts the handlers that still run;
	// their contexts stay alive, and the rest of Close happens when they return
	// or HandlerTimeout has passed.
	Close(ctx context.Context) error
}

// Handler is called with one record at a time; how many calls run at once is
// the option Concurrency. The record is the handler's own copy. nil means
// done. An error means that the record is handed to the handler again, after
// a backoff; after MaxAttempts it goes to the dead letters. A panic is an error.
//
// The context lives until the handler returns, also while the subscription
// closes; it ends only if the handler takes longer than HandlerTimeout. It carries
// the record's root and parent for what the handler publishes, and a Delivery.
type Handler func(ctx context.Context, r *Record) error

// Subscription is a running subscription.
type Subscription interface {
	// Group returns the name of the group, "" without one.
	Group() string

	// Stats returns counts since Subscribe. It does no I/O.
	Stats() Stats

	// Lag asks the backend how far the subscription, or its group, is behind.
	Lag(ctx context.Context) (Lag, error)

	// Close ends fetching, waits for the handlers in flight as Stream.Close
	// does, and gives back what was fetched and not handled.
	Close(ctx context.Context) error
}

// Stats counts what a subscription has done.
type Stats struct {
	Fetched     int64 // records that came from the backend and match
	Handled     int64 // records whose handler returned nil
	Failed      int64 // attempts that ended in an error
	Panics      int64 // of those, by a panic
	TimedOut    int64 // of those, by a handler that ignored the end of its context and was left behind; see HandlerTimeout
	Dead        int64 // records that went to the dead letters
	Dropped     int64 // records given up without dead letters; see DeadLetter
	Missed      int64 // records that retention removed before this subscription read them; some backends count a gap as one
	Redelivered int64 // records that another consumer had before
	Held        int   // records fetched and not done: waiting, running or between attempts
	Running     int   // handlers running
	Retrying    int   // records that wait for their next attempt
	Err         error // why the last request to the backend failed; nil when it succeeded
}

// Lag says how far a group, or a subscription without one, is behind.
type Lag struct {
	Pending int64 // records handed out and not yet acknowledged
	Behind  int64 // records not yet handed out; -1 if the backend can't tell
}

// GroupInfo describes a group.
type GroupInfo struct {
	Name       string
	Types      []string // patterns; empty for everything
	Lag        Lag
	Partitions int // of a group that Partitions divides, else 0
}

// Delivery says how a record came to a handler.
type Delivery struct {
	Group    string // "" for a subscription without one
	Attempt  int    // 1 for the first
	Position string
}

// Retention says how much history is kept: a record goes when any limit is
// passed. A limit of zero is none. What a group has not read and acknowledged
// stays, whatever the limits.
type Retention struct {
	Age   time.Duration // since publication
	Count int64
	Bytes int64
}

// Features says what a backend can do. Every backend publishes, subscribes
// with and without groups, and queries.
type Features struct {
	Backend    string // "memory", "redis"
	Durable    bool   // records survive the end of the process
	Shared     bool   // other processes see the same stream
	Retention  bool   // WithRetention is honoured
	Atomic     bool   // several records of one Publish are in the stream together or not at all
	Exclusive  bool   // Ordered holds over all members of a group
	Positions  bool   // At and After find their place without reading all before it
	Scheduled  bool   // PublishAt, Schedule, Cancel and Scheduled work
	Partitions bool   // the option Partitions spreads an ordered group over its members
}

// New opens a stream. Without a backend option it lives in this process's
// memory.
func New(opts ...Option) (Stream, error) { return newFront(opts) }
