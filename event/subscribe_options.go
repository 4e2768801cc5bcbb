package event

import (
	"strings"
	"time"
)

// SubscribeOption configures Subscribe.
type SubscribeOption interface{ subscribe(*subscribeOptions) error }

// QueryOption configures Query and Aggregate.
type QueryOption interface{ query(*queryOptions) error }

// SelectOption is for Subscribe as well as for Query and Aggregate.
type SelectOption interface {
	SubscribeOption
	QueryOption
}

type subscribeFunc func(*subscribeOptions) error

func (f subscribeFunc) subscribe(o *subscribeOptions) error { return f(o) }

type selectOption struct {
	s func(*subscribeOptions) error
	q func(*queryOptions) error
}

func (o selectOption) subscribe(s *subscribeOptions) error { return o.s(s) }
func (o selectOption) query(q *queryOptions) error         { return o.q(q) }

type subscribeOptions struct {
	patterns     Patterns
	from         Position
	group        string
	consumer     string
	concurrency  int
	batch        int
	batchWait    time.Duration
	batchWaitSet bool
	key          func(*Record) string
	attempts     int
	minBackoff   time.Duration
	maxBackoff   time.Duration
	dead         string
	partitions   int
	joinAs       string             // the group of one partition
	fresh        bool               // the group was not there; see settleWhole
	mine         func(*Record) bool // what is of it
	ackWait      time.Duration
	limit        time.Duration // of a handler; 0: none
}

func newSubscribeOptions(opts []SubscribeOption) (*subscribeOptions, error) {
	o := &subscribeOptions{
		concurrency: 1, batch: 256, batchWait: 10 * time.Millisecond, attempts: 10,
		minBackoff: 100 * time.Millisecond, maxBackoff: 30 * time.Second, ackWait: 30 * time.Second, limit: 10 * time.Minute,
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalidf("nil option")
		}
		if err := opt.subscribe(o); err != nil {
			return nil, err
		}
	}
	if o.group != "" && o.dead == "" {
		o.dead = "dead." + o.group
	}
	if o.group == "" && o.consumer != "" {
		return nil, invalidf("a consumer's name without a group")
	}
	return o, nil
}

// Types selects records by patterns of their type; see Patterns. Without it
// everything except dead letters is selected. All members of a group must
// select the same types.
func Types(patterns ...string) SelectOption {
	return selectOption{
		s: func(o *subscribeOptions) (err error) { o.patterns, err = parsePatterns(patterns...); return err },
		q: func(o *queryOptions) (err error) { o.filter.Types, err = parsePatterns(patterns...); return err },
	}
}

// From sets where to begin. For a subscription the default is Now, and for a
// group it counts only when the group is new. For a query the default is
// Beginning; with Reverse a query reads what is before After.
func From(p Position) SelectOption {
	return selectOption{
		s: func(o *subscribeOptions) error { o.from = p; return p.check() },
		q: func(o *queryOptions) error { o.from, o.fromSet = p, true; return p.check() },
	}
}

// Group makes the subscription a member of a group: each record is handled
// by one of the members, at least once, and the group's position is kept by
// the backend. The name has up to 255 bytes and no control characters.
func Group(name string) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		o.group = name
		return checkName("group", name)
	})
}

// Consumer names this member of its group, so that after a restart it is
// handed at once what it had not acknowledged. Two live members must not have
// the same name. The default is a new unique name.
func Consumer(name string) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		o.consumer = name
		return checkName("consumer", name)
	})
}

// maxGroup is how many bytes the name of a group or a consumer has at most.
const maxGroup = 255

func checkName(what, s string) error {
	if s == "" || len(s) > maxGroup {
		return invalidf("%s %q has %d bytes, want 1 to %d", what, s, len(s), maxGroup)
	}
	return checkText(what, s)
}

// Concurrency is how many handlers may run at once. The default is 1, which
// keeps the order of the stream except for records that are tried again.
func Concurrency(n int) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if n < 1 || n > 1<<16 {
			return invalidf("concurrency %d, want 1 to 65536", n)
		}
		o.concurrency = n
		return nil
	})
}

// Batch is how many records are fetched at once, and how many a BatchHandler is
// called with at the most. The default is 256.
func Batch(n int) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if n < 1 || n > 1<<16 {
			return invalidf("batch %d, want 1 to 65536", n)
		}
		o.batch = n
		return nil
	})
}

// Ordered handles the records of one key one after another, in the order of
// the stream: while a record is tried again, later ones of its key wait, and
// those of other keys go on. A BatchHandler's batch has one record of each key. In a
// group it holds over all members, so only one member works at a time and the others
// stand by, unless Partitions divides it; within it, Concurrency says how many keys are
// worked on at once. BySubject and ByRoot are usual keys.
func Ordered(key func(*Record) string) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if key == nil {
			return invalidf("nil key")
		}
		o.key = key
		return nil
	})
}

// BySubject is the key that is the record's subject.
func BySubject(r *Record) string { return r.Subject }

// ByRoot is the key that is the record's root: one story, one order.
func ByRoot(r *Record) string { return r.RootID }

// MaxAttempts is how often a record is handed to the handler before it goes to
// the dead letters. The default is 10; 0 means no limit.
func MaxAttempts(n int) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if n < 0 {
			return invalidf("%d attempts, want 0 or more", n)
		}
		o.attempts = n
		return nil
	})
}

// Backoff bounds the wait before the next attempt at a record: it grows
// from min to max, with jitter. The default is 100 ms to 30 s.
func Backoff(min, max time.Duration) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if min <= 0 || max < min {
			return invalidf("backoff from %v to %v", min, max)
		}
		o.minBackoff, o.maxBackoff = min, max
		return nil
	})
}

// DeadLetter sets the type under which records that can't be handled are
// published again; it must begin with "dead.". A group has "dead.<group>" by
// default. A subscription without a group drops them, counts them in
// Stats.Dropped and logs them, unless this option is given.
func DeadLetter(typ string) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if err := checkType(typ); err != nil {
			return err
		}
		if !strings.HasPrefix(typ, "dead.") {
			return invalidf("dead letters have the type %q, want one that begins with \"dead.\"", typ)
		}
		o.dead = typ
		return nil
	})
}

// HandlerTimeout is how long a handler may take for one attempt. After it the
// handler's context ends with context.DeadlineExceeded, and the attempt has failed:
// the record is tried again after the backoff, or goes to the dead letters after
// MaxAttempts. A handler that ignores the end of its context, and has not
// returned a tenth of d later (5 s at most), is left behind: its goroutine runs
// on, another takes its place, the records and the keys it blocked go on, and
// what it returns in the end is ignored. Such a handler may still be running when
// its record is handled again. The default is 10 minutes; 0 means no limit.
func HandlerTimeout(d time.Duration) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if d < 0 || d > 0 && d < 10*time.Millisecond {
			return invalidf("handler timeout %v, want 10 ms or more, or 0 for none", d)
		}
		o.limit = d
		return nil
	})
}

// AckWait is how long a member of a group may show no sign of life before
// others are handed what it had. The subscription shows it in the background,
// for long handlers too. The default is 30 s.
func AckWait(d time.Duration) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if d < 10*time.Millisecond {
			return invalidf("ack wait %v, want 10 ms or more", d)
		}
		o.ackWait = d
		return nil
	})
}
