package discovery

import (
	"slices"
	"time"
)

// Change is one thing that happened to an instance of a service, as this
// process saw it.
type Change struct {
	// At is when this process saw it, by its clock. While the registry was
	// unavailable it saw nothing: what happened then has the time of the
	// return.
	At time.Time
	// Revision is that of the first Snapshot that shows it, so that who follows
	// Watch knows which changes are new.
	Revision uint64
	// Before is nil for an instance that came, or came back; After is nil for
	// one that is gone from the registry. With both, it was updated.
	Before, After *Instance
	// Fate is why it is gone. Lost: readers keep it until it comes back, or is
	// Expired.
	Fate Fate
}

// Heartbeat is one attempt to tell the registry that an instance lives.
type Heartbeat struct {
	At   time.Time     // when it was sent
	Took time.Duration // until the answer
	Err  error         // nil: the registry has confirmed the instance
}

// heartbeats is how many a Registration remembers.
const heartbeats = 32

// remember appends to a memory of the last limit values.
func remember[T any](memory []T, limit int, values ...T) []T {
	memory = append(memory, values...)
	if over := len(memory) - limit; over > 0 {
		memory = slices.Delete(memory, 0, over)
	}
	return memory
}

func (f *front) Changes(service string, since time.Time) []Change {
	fo := (*f.followers.Load())[service]
	if fo == nil {
		return nil
	}
	fo.used.Store(true)
	fo.mu.Lock()
	defer fo.mu.Unlock()
	first := slices.IndexFunc(fo.history, func(c Change) bool { return !c.At.Before(since) })
	if first < 0 {
		return nil
	}
	return slices.Clone(fo.history[first:])
}

// note keeps a change for who asks the keeper next.
func (k *keeper) note(now time.Time, before, after *Instance, fate Fate) {
	k.changes = append(k.changes, Change{At: now, Before: before, After: after, Fate: fate})
}

// taken returns the changes since it was called last.
func (k *keeper) taken() []Change {
	all := k.changes
	k.changes = nil
	return all
}

func (r *registration) Heartbeats() []Heartbeat {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.beats)
}
