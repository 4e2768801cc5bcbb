package monitor

import (
	"fmt"
	"slices"
	"time"
)

// State is how well something is. The order is from best to worst, with
// Unknown apart.
type State uint8

const (
	Unknown State = iota // no result yet, or a stale one
	Pass                 // well
	Warn                 // works with less
	Fail                 // does not work
)

var stateNames = [...]string{"unknown", "pass", "warn", "fail"}

// String returns "unknown", "pass", "warn" or "fail".
func (s State) String() string { return name(stateNames[:], int(s)) }

// MarshalText makes a State its name in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *State) UnmarshalText(b []byte) error { return unname(stateNames[:], b, s) }

// Phase is where a process is in its life.
type Phase uint8

const (
	Running  Phase = iota // does its work
	Starting              // not ready yet
	Draining              // finishes what it has and takes nothing new: not ready, but alive
	Stopped               // closed
)

var phaseNames = [...]string{"running", "starting", "draining", "stopped"}

// String returns "running", "starting", "draining" or "stopped".
func (p Phase) String() string { return name(phaseNames[:], int(p)) }

// MarshalText makes a Phase its name in JSON.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name.
func (p *Phase) UnmarshalText(b []byte) error { return unname(phaseNames[:], b, p) }

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("invalid(%d)", i)
}

func unname[T ~uint8](names []string, b []byte, to *T) error {
	i := slices.Index(names, string(b))
	if i < 0 {
		return fmt.Errorf("unknown name %q", b)
	}
	*to = T(i)
	return nil
}

// Instance says which process a status is of.
type Instance struct {
	ID      string `json:"id,omitempty"`
	Service string `json:"service,omitempty"`
	Version string `json:"version,omitempty"`
	Address string `json:"address,omitempty"`
	Zone    string `json:"zone,omitempty"`
}

// Result is what is known of one check.
type Result struct {
	Name        string        `json:"name"`
	Description string        `json:"description,omitempty"`
	Dependency  string        `json:"dependency,omitempty"`
	State       State         `json:"state"`
	Error       string        `json:"error,omitempty"`  // of the newest run that failed, while it is not over
	At          time.Time     `json:"at,omitzero"`      // end of the newest run
	Since       time.Time     `json:"since,omitzero"`   // when State began
	Took        time.Duration `json:"took,omitempty"`   // length of the newest run, in nanoseconds
	Fails       int           `json:"fails,omitempty"`  // failures in a row
	Stale       bool          `json:"stale,omitempty"`  // older than it should be
	Shared      bool          `json:"shared,omitempty"` // most instances share this failure, so it only warns
}

// Status is how the process is. It is a copy.
type Status struct {
	Instance Instance  `json:"instance,omitzero"` // in /statusz only service and version without WithDetails
	State    State     `json:"state"`             // the worst of the checks, as far as they count
	Phase    Phase     `json:"phase"`
	Live     bool      `json:"live"`
	Ready    bool      `json:"ready"`
	Started  bool      `json:"started"`
	Since    time.Time `json:"since"`            // when the process's monitor was made
	Checks   []Result  `json:"checks,omitempty"` // by name
}

// Check returns the result of one check.
func (s Status) Check(name string) (Result, bool) {
	for _, r := range s.Checks {
		if r.Name == name {
			return r, true
		}
	}
	return Result{}, false
}

// same reports whether two statuses differ in nothing that a watcher of
// changes wants to know.
func (s Status) same(o Status) bool {
	return s.alike(o) && slices.EqualFunc(s.Checks, o.Checks, func(r, q Result) bool {
		return r.Name == q.Name && r.State == q.State && r.Error == q.Error && r.Stale == q.Stale && r.Shared == q.Shared
	})
}

// alike reports whether two statuses say the same, whatever their checks.
func (s Status) alike(o Status) bool {
	return s.State == o.State && s.Phase == o.Phase && s.Live == o.Live && s.Ready == o.Ready && s.Started == o.Started
}
