package monitor

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Monitor watches one process and, through what all processes publish, the
// cluster. It is safe for concurrent use.
type Monitor interface {
	// Register adds a check and begins to run it. ErrExists: the name is taken.
	Register(c Check) error

	// Deregister removes a check, and reports whether there was one.
	Deregister(name string) bool

	// Beat gives the result of a passive check (one with a TTL). A name that
	// is no passive check is ignored.
	Beat(name string, err error)

	// Liveness registers a loop that must turn: /livez fails when beat was
	// not called for longer than stall. It takes no function, so that liveness
	// can't come to depend on a dependency.
	Liveness(name string, stall time.Duration) (beat func())

	// Identify fills in what WithInstance left empty, also an ID that was made
	// at random: a process is then known by the id of its registration. Others
	// forget what they heard under the old one.
	Identify(in Instance)

	// SetPhase says where the process is in its life. It begins as Running,
	// unless WithPhase says otherwise.
	SetPhase(p Phase)

	// Status returns what is known. It never runs a check.
	Status() Status

	// Watch yields the status, then every change of it until ctx ends or the
	// Monitor is closed. A slow reader gets the newest and skips those between.
	Watch(ctx context.Context) iter.Seq[Status]

	// Observe records one call. Its cost is a few atomic additions.
	Observe(e Endpoint, d time.Duration, err error)

	// Enter counts a call as in progress until leave is called.
	Enter(e Endpoint) (leave func())

	// Stats returns the numbers of the process and its endpoints.
	Stats() Stats

	// Handler serves /livez /readyz /startupz /healthz (the same as /readyz)
	// with 200 or 503, and /statusz and /statsz as JSON. /readyz/<check> asks one
	// check alone, whatever the phase, and 404 if the probe has no such check;
	// ?exclude=<check>, also several times, leaves checks out; ?verbose lists
	// them to those whom WithDetails lets see them.
	Handler() http.Handler

	// Cluster returns the view of all services.
	Cluster() Cluster

	// Close says goodbye to the cluster and stops the checks. It returns an
	// error if ctx ends before a check returned or the goodbye was sent.
	Close(ctx context.Context) error
}

// Endpoint is what calls are counted by. Its fields must come from a bounded
// set: route patterns, never paths.
type Endpoint struct {
	Client  bool   `json:"client,omitempty"` // calls that the process made, not served
	Service string `json:"service,omitempty"`
	Method  string `json:"method"`
}
