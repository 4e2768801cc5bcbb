package discovery

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Discovery tells services where each other are. It is safe for concurrent
// use. Open one with New.
type Discovery interface {
	// Register enters an instance into the registry and returns once it is
	// there. From then on it is kept alive by heartbeats, and registered again
	// for as long as it takes if the registry loses it or is unavailable, until
	// Deregister or Close. An empty ID is filled with a random one. A failure
	// is returned and leaves nothing behind that outlives its TTL.
	//
	// An address without a host, or with an unspecified one, as a listener
	// reports it ("[::]:8080", ":8080"), becomes this host's address on the
	// default route; see HostPort. Registration.Instance has the result.
	//
	// An id belongs to one registration. If another process has registered it
	// at another address, and its entry lives, Register returns ErrExists; see
	// Replace. The entry of the same address is that of a predecessor that
	// crashed, and is replaced.
	Register(ctx context.Context, in Instance, opts ...RegisterOption) (Registration, error)

	// Lookup returns what this process knows about a service, without I/O and
	// without allocation. It reports false before the first sync; only Get and
	// Watch begin to follow a service.
	Lookup(service string) (Snapshot, bool)

	// Get returns what this process knows about a service and follows it from
	// then on. The first call waits for the first sync and fails with
	// ErrUnavailable if the registry can't be reached; later ones answer at
	// once from the cache, also while the registry is unavailable. A service that
	// nobody registered is an empty set, not an error.
	Get(ctx context.Context, service string, opts ...GetOption) (Snapshot, error)

	// Services returns the names of all services that have an instance, sorted.
	// It asks the registry.
	Services(ctx context.Context) ([]string, error)

	// Watch yields the newest snapshot of a service: the current one first,
	// then one after every change of its instances or its State. Each is the
	// whole set; an empty set is a set. A slow reader skips snapshots, never
	// the last. A registry that is unavailable shows in State and Err of the snapshot
	// and doesn't end the sequence; what ends it (the end of ctx, Close, an
	// invalid name) is the error of the last pair.
	Watch(ctx context.Context, service string) iter.Seq2[Snapshot, error]

	// Changes returns what has happened to a service's instances since a time,
	// oldest first, as far as this process has seen and remembers it: from the
	// first sync of a service that Get or Watch follows on, and the last
	// WithHistory changes. The zero time asks for all. Treat the instances as
	// read-only. It does no I/O.
	Changes(service string, since time.Time) []Change

	// Close deregisters what was registered here, within WithTimeout for all of
	// it, stops all watches and waits for them. Calls after it return ErrClosed, and
	// Lookup false.
	Close() error
}

// Registration is an instance that Register keeps in the registry. It is safe
// for concurrent use.
type Registration interface {
	// Instance returns a copy of what is registered.
	Instance() Instance

	// Update changes the instance by f and writes it to the registry. Service
	// and ID can't change. If the write fails the change stands and is written
	// with the next heartbeat; the error says so.
	Update(ctx context.Context, f func(in *Instance)) error

	// Drain sets Status to Draining, so that readers stop sending new work,
	// waits for settle and deregisters. If ctx ends first it deregisters at
	// once and returns the context's error.
	Drain(ctx context.Context, settle time.Duration) error

	// Deregister ends the heartbeats and removes the instance; readers see that
	// at once and never take it for a crash. If the registry can't be reached,
	// the error says so and the entry ends with its TTL. It waits for the
	// registry until ctx ends, or for WithTimeout if ctx has no deadline. Calls after
	// one that succeeded return nil. An entry that another process has taken over stays.
	Deregister(ctx context.Context) error

	// Err is nil while the registry has confirmed the instance within its TTL,
	// and otherwise why the last attempt failed: ErrExists if another process
	// has taken the id over. The heartbeats go on, and register the instance
	// again when the id is free.
	Err() error

	// Heartbeats returns the last attempts to tell the registry that the
	// instance lives, up to 32, oldest first. The first is the registration, and
	// Update is one too.
	Heartbeats() []Heartbeat
}

// Instance is one running copy of a service. Its JSON is what registries hold.
type Instance struct {
	ID      string            `json:"id"`                // unique within the service; Register fills in an empty one
	Service string            `json:"service,omitempty"` // letters, digits and -._:@+
	Version string            `json:"version,omitempty"`
	Address string            `json:"address"`          // host:port
	Zone    string            `json:"zone,omitempty"`   // where it runs; readers prefer their own
	Labels  map[string]string `json:"labels,omitempty"` // free; the router narrows by them
	// Endpoints names what the instance serves, for instance "Greeter.Hello".
	Endpoints []string `json:"endpoints,omitempty"`
	Weight    int      `json:"weight,omitempty"` // its share of the traffic in relation to others; 0 means 1
	Status    Status   `json:"status,omitempty"`
}

// Clone returns a deep copy.
func (in Instance) Clone() Instance {
	in.Labels = cloneMap(in.Labels)
	in.Endpoints = append([]string(nil), in.Endpoints...)
	return in
}

// Equal reports whether two instances are the same in everything.
func (in Instance) Equal(other Instance) bool { return equalInstances(&in, &other) }

// Validate returns an ErrInvalid that says what no registry would take: a
// missing or odd name, an address that isn't host:port or whose host is
// unspecified, a negative weight, text that isn't UTF-8.
func (in Instance) Validate() error {
	if err := validInstance(&in); err != nil {
		return fault.Mark(ErrInvalid, err)
	}
	return nil
}

// Status is what an instance says about itself.
type Status uint8

const (
	Up       Status = iota // takes traffic; the zero value
	Starting               // not yet
	Draining               // no new work: about to deregister
	Down                   // present, but not to be used
)

var statusNames = [...]string{"up", "starting", "draining", "down"}

// String returns "up", "starting", "draining" or "down".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// MarshalText writes the status as its name.
func (s Status) MarshalText() ([]byte, error) {
	if int(s) < len(statusNames) {
		return []byte(statusNames[s]), nil
	}
	return nil, fmt.Errorf("discovery: unknown status %d", uint8(s))
}

// UnmarshalText reads a name that MarshalText wrote; "" is Up.
func (s *Status) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Up
		return nil
	}
	for i, name := range statusNames {
		if string(text) == name {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("discovery: unknown status %q", text)
}

// State says how much a snapshot is worth.
type State uint8

const (
	Cold  State = iota // never synced: the instances are unknown, not absent
	Live               // the registry keeps this process up to date
	Stale              // the registry is unavailable: this is what was known at AsOf
)

// String returns "cold", "live" or "stale".
func (s State) String() string {
	switch s {
	case Cold:
		return "cold"
	case Live:
		return "live"
	case Stale:
		return "stale"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Snapshot is what a process knows about a service at one moment. It never
// changes, and it is shared with everyone who asks: don't write to its slices
// and maps.
type Snapshot struct {
	Service string
	// Instances is sorted by ID, those that only self-preservation keeps last.
	Instances []Instance
	// Unconfirmed is how many of Instances, among the others, the registry lost
	// when it lost its data or this process lost sight of it, or has let expire
	// because it was unavailable for their heartbeats. They stay until they
	// register again, or at most their TTL after the registry is back.
	Unconfirmed int
	// Revision grows with every change of Instances or State that this process
	// has seen; it means nothing to another process.
	Revision uint64
	// AsOf is when the registry last confirmed this view.
	AsOf  time.Time
	State State
	// Preserved is how many of Instances, at the end of it, have expired in the
	// registry and are kept because too many expired at once.
	Preserved int
	Err       error // why the snapshot isn't Live
}

// Age is how long ago the registry confirmed the snapshot, by this process's
// clock; 0 if it never did.
func (s Snapshot) Age() time.Duration {
	if s.AsOf.IsZero() {
		return 0
	}
	return max(0, time.Since(s.AsOf))
}
