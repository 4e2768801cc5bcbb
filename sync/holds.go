package sync

import (
	"cmp"
	"slices"
	"time"
)

// Kind is what an id names: the three don't meet.
type Kind string

// The kinds.
const (
	KindLock      Kind = "lock"
	KindSemaphore Kind = "semaphore"
	KindLeader    Kind = "leader"
)

// Hold is a lock, a permit or a leadership that somebody holds or waits for.
type Hold struct {
	Kind    Kind      `json:"kind"`
	ID      string    `json:"id"`
	Owner   string    `json:"owner"`             // "" if the backend keeps none, as of Redis's permits
	Waiting bool      `json:"waiting,omitempty"` // not held yet
	Since   time.Time `json:"since,omitzero"`    // when it was granted, or the wait began; zero if List can't know

	// Of what is held: the fencing token, and when its context ends unless it
	// is renewed before, which is done all the time. Of List, Until is when the
	// backend ends it, by this machine's clock, and zero if the backend doesn't say.
	Token uint64    `json:"token,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

func (f *front) Holds() []Hold {
	f.mu.Lock()
	out := make([]Hold, 0, len(f.held)+len(f.waits))
	for l := range f.held {
		if !l.over() && l.ctx.Context.Err() == nil {
			out = append(out, Hold{Kind: l.kind, ID: l.id, Owner: l.owner, Since: l.born, Token: l.token, Until: l.born.Add(time.Duration(l.deadline.Load()))})
		}
	}
	for w := range f.waits {
		out = append(out, *w)
	}
	f.mu.Unlock()
	slices.SortFunc(out, compareHolds)
	return out
}

func compareHolds(a, b Hold) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID), compareWaiting(a, b), a.Since.Compare(b.Since))
}

func compareWaiting(a, b Hold) int {
	switch {
	case a.Waiting == b.Waiting:
		return 0
	case a.Waiting:
		return 1
	}
	return -1
}

// waitsFor notes a wait for Holds until done is called.
func (f *front) waitsFor(kind Kind, id string, o lockOptions) (done func()) {
	w := &Hold{Kind: kind, ID: id, Owner: o.owner, Waiting: true, Since: time.Now()}
	f.mu.Lock()
	f.waits[w] = struct{}{}
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		delete(f.waits, w)
		f.mu.Unlock()
	}
}
