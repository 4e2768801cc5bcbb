package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Driver is what a backend does. The front that New puts before it validates,
// names, bounds, retries, caches and wraps errors, so a driver does only what
// its registry does. discoverytest checks it.
//
//  1. Names have been validated. With a namespace, a service is
//     "namespace/service"; without, it has no slash. The names that are given
//     to Watch and come back from Services have that form; Instance.Service of
//     an entry has it too.
//  2. Methods are called from many goroutines at once, on one Driver.
//  3. A context that ends makes every method return at once. Every context but
//     that of Watch has a deadline.
//  4. Errors carry ErrUnavailable if nothing was applied, ErrUnknownOutcome if
//     a write may have been applied, ErrUnsupported if the registry can't.
//  5. An entry belongs to its Owner. What one owner does never changes or
//     removes another's entry, except by Register.
//  6. Nothing runs before the first call and after Close.
type Driver interface {
	// Ping asks the registry whether it answers: when it is opened, and as a sign
	// of life for a process that follows instances and hears nothing else from it.
	// It should be as cheap as such a question can be.
	Ping(ctx context.Context) error

	// Register writes the entry and lets it expire when e.TTL has passed without
	// Renew. It replaces an entry of the same id that has expired or has the
	// same owner. If a live entry of another owner is there, Register replaces
	// it if replace says so, and otherwise returns ErrExists and changes
	// nothing. A registry without a conditional write may miss an entry that
	// appears at the same time.
	Register(ctx context.Context, e Entry, replace func(held Entry) bool) error

	// Renew restarts the entry's TTL. It returns ErrNotFound if the registry
	// doesn't have the entry, and the front then registers it again; and
	// ErrExists if another owner has the id.
	Renew(ctx context.Context, e Entry) error

	// Deregister removes the entry, in a way that Watch can tell from expiry. It
	// is no error if the entry isn't there or belongs to another owner. Only
	// Service, ID and Owner count.
	Deregister(ctx context.Context, e Entry) error

	// Watch is one session that follows one service. It delivers the whole set
	// first, also an empty one, then the whole set again after every change,
	// and an Update with Same when the registry has confirmed that nothing
	// changed. It returns when ctx ends, or with an error as soon as it can't
	// be sure to see every change; the front then calls it again, after a wait.
	// A silent connection must end the session within a bounded time, and a
	// session that is idle must not send more than one request per poll period
	// of the registry. deliver doesn't block for long; it must not be called
	// concurrently nor after Watch has returned.
	Watch(ctx context.Context, service string, deliver func(Update)) error

	// Services returns the names that have at least one live instance, of all
	// namespaces, in any order.
	Services(ctx context.Context) ([]string, error)

	// Close frees what open made, after all other calls have returned. A client
	// that the user brought stays open.
	Close() error
}

// Entry is an instance as a registry holds it. Its JSON is the instance's,
// with "owner" first and "ttl_ms".
type Entry struct {
	// Owner tells apart registrations of one id: it is random, and the same in
	// all writes of one Registration. "" is an entry that this package did not
	// write.
	Owner string
	// TTL is how long the entry stays after its last heartbeat; 0 is unknown.
	TTL time.Duration
	// Once says that no heartbeats follow. It is not stored.
	Once bool

	Instance
}

type entryJSON struct {
	Owner string `json:"owner,omitempty"`
	TTL   int64  `json:"ttl_ms,omitempty"`
	Instance
}

// MarshalJSON writes what registries hold.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(entryJSON{e.Owner, e.TTL.Milliseconds(), e.Instance})
}

// UnmarshalJSON reads what MarshalJSON wrote, and the JSON of an Instance. A
// TTL of more than a day counts as a day.
func (e *Entry) UnmarshalJSON(text []byte) error {
	var j entryJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	ttl := min(max(j.TTL, 0), maxTTL.Milliseconds())
	*e = Entry{Owner: j.Owner, TTL: time.Duration(ttl) * time.Millisecond, Instance: j.Instance}
	return nil
}

// Update is one delivery of Driver.Watch.
type Update struct {
	// Instances is the whole set of live instances, in any order. The driver
	// gives it away.
	Instances []Instance
	// Same says that the registry confirms the last delivery of this session;
	// Instances and the functions below are then ignored.
	Same bool
	// Age is how old the news is already, for a driver that has it at second
	// hand. Stale says that its source was cut off from the registry, and why.
	Age   time.Duration
	Stale error
	// TTL returns, while deliver runs, how long an instance of this Update
	// stays after its last heartbeat; 0 is unknown. nil: of none it is known.
	TTL func(id string) time.Duration
	// Fate returns, while deliver runs, why an instance is missing here that an
	// earlier Update had. nil: of none it is known.
	Fate func(id string) Fate
}

// Fate is why an instance is no longer in a registry.
type Fate uint8

const (
	// Unknown, within a session, is taken for Expired. In the first Update of a
	// session it is taken for Lost: the registry may have lost its data since.
	Unknown      Fate = iota
	Deregistered      // it left on purpose
	Expired           // its TTL has passed without a heartbeat; soon after an outage it is taken for Lost
	Lost              // the registry has lost the entry: the instance may live
)

var fateNames = [...]string{"unknown", "deregistered", "expired", "lost"}

// String returns "unknown", "deregistered", "expired" or "lost".
func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return fmt.Sprintf("Fate(%d)", uint8(f))
}
