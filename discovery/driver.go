package discovery

import (
	"context"
	"time"
)

// Driver is what a backend does. The front that New puts before it validates,
// names, bounds, retries, caches and wraps errors, so a driver does only what
// its registry does. discoverytest checks it.
//
//  1. Names have been validated. With a namespace, a service is
//     "namespace/service"; without, it has no slash. The names that are given
//     to Watch and come back from Services have that form; Instance.Service of
//     an instance has it too.
//  2. Methods are called from many goroutines at once, on one Driver.
//  3. A context that ends makes every method return at once. Every context but
//     that of Watch has a deadline.
//  4. Errors carry ErrUnavailable if nothing was applied, ErrUnknownOutcome if
//     a write may have been applied, ErrUnsupported if the registry can't.
//  5. Nothing runs before the first call and after Close.
type Driver interface {
	// Ping asks the registry whether it answers.
	Ping(ctx context.Context) error

	// Register writes the instance, over an older one of the same id, and lets
	// it expire when ttl has passed without Renew.
	Register(ctx context.Context, in Instance, ttl time.Duration) error

	// Renew starts the instance's ttl anew. It returns ErrNotFound if the
	// registry doesn't have it: the front then registers it again.
	Renew(ctx context.Context, in Instance, ttl time.Duration) error

	// Deregister removes the instance, in a way that Watch can tell from
	// expiry. An instance that isn't there is no error.
	Deregister(ctx context.Context, service, id string) error

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

// Update is one delivery of Driver.Watch.
type Update struct {
	// Instances is the whole set of live instances, in any order. The driver
	// gives it away.
	Instances []Instance
	// Same says that the registry confirms the last delivery of this session;
	// Instances and Deregistered are then ignored.
	Same bool
	// Age is how old the news is already, for a driver that has it at second
	// hand. Stale says that its source was cut off from the registry, and why.
	Age   time.Duration
	Stale error
	// Deregistered reports, while deliver runs, whether an instance that an
	// earlier Update had and this one hasn't left on purpose rather than by
	// expiry. nil: none did.
	Deregistered func(id string) bool
}
