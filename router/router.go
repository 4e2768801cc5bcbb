package router

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
)

// Router picks instances of services for calls that its user makes. It is no
// proxy: the caller connects, and says with Done how it went.
//
// A Router is safe for concurrent use. Apart from the first use of a service,
// which may wait for discovery, every method works from memory, also while
// discovery is unavailable.
type Router interface {
	// Select plans one logical request: each call of Next gives another
	// instance, for retries and hedges. It waits only on the first use of a
	// service, until discovery answers or ctx ends. ErrNoInstances: nothing
	// is known of the service. *NoMatchError: rules and labels left nothing.
	Select(ctx context.Context, service string, opts ...SelectOption) (Next, error)

	// Pick is Select and its first Next. It does not allocate.
	Pick(ctx context.Context, service string, opts ...SelectOption) (Pick, error)

	// Record takes in traffic that something else routed.
	Record(s Sample)

	// Stats returns what is known of each instance of a service, by id.
	Stats(service string) []NodeStats

	// Explain tells how a Select with these options would be decided.
	Explain(service string, opts ...SelectOption) Explanation

	// Services returns the names of the services that calls have asked for
	// lately and that have had an instance, sorted.
	Services() []string

	// Close stops what runs in the background and publishes a last report,
	// as far as ctx allows. Picks that are open may still be Done.
	Close(ctx context.Context) error
}

// Next gives another distinct instance at each call, and ErrExhausted when all
// have been given. It prefers another zone after a failure of a whole zone.
// It is not for concurrent use.
type Next func() (Pick, error)

// Pick is one attempt: an instance to call. Done must be called once it is
// known how the call went; further calls do nothing. A Pick that is never Done
// is counted against its instance's load for 10 to 20 minutes.
type Pick struct {
	Instance *discovery.Instance // shared: not to be changed
	Variant  string              // the branch of the rule that was drawn; "" without a rule
	Panic    bool                // health was ignored since too few instances are healthy

	a   *attempt
	gen uint32
}

// Class says how a call went, in the one classification that balancer,
// ejection, limiters, retries and metrics share.
type Class uint8

const (
	OK          Class = iota // a good answer
	ClientError              // the caller's fault (4xx): the instance is healthy
	ServerError              // 5xx and alike
	Overload                 // the instance refuses work: 429, 503, RESOURCE_EXHAUSTED
	Timeout                  // no answer in time
	Connect                  // no connection
	Cancelled                // the caller gave up: says nothing about the instance
	Unsent                   // certainly not processed: safe to send again
	classes
)

// Failed reports whether the class speaks against the instance.
func (c Class) Failed() bool {
	switch c {
	case ServerError, Overload, Timeout, Connect, Unsent:
		return true
	}
	return false
}

// String returns the name as metrics and reports use it, such as "server_error".
func (c Class) String() string {
	if c >= classes {
		return "invalid"
	}
	return [classes]string{"ok", "client_error", "server_error", "overload", "timeout", "connect", "cancelled", "unsent"}[c]
}

// Outcome is how an attempt went.
type Outcome struct {
	Class   Class
	Latency time.Duration // until the answer's headers; 0: since the Pick
	Load    Load          // what the server said about itself; the zero value: nothing
}

// Load is what a server reports about itself, by the X-Load header or trailer.
type Load struct {
	InFlight    float64       // requests in progress; < 0 is ignored
	Utilisation float64       // of its scarcest resource, 1 is full
	Latency     time.Duration // what a request takes at this load, as it measures itself; 0: it doesn't say
	Reported    bool          // whether there was a report
}

// Sample is one call that something else routed.
type Sample struct {
	Service, Instance, Method string
	Outcome                   Outcome
}
