package discovery

import (
	"slices"
	"strings"
	"time"
)

// keeper is self-preservation, for one service, as a function of the updates
// and the time alone.
//
// Eureka does this on the server, and can get stuck in it for ever. Here every
// reader decides by what it sees, and what is kept ends.
type keeper struct {
	share  float64       // keep if more than this share expired
	window time.Duration // within this time
	limit  time.Duration // but no entry longer than this

	live []Instance // as the registry said last, sorted by id
	lost []lost     // expired within the window or kept, sorted by id
}

type lost struct {
	Instance
	at   time.Time
	kept bool
}

// apply takes the registry's whole set, sorted by id. left tells which of
// those that are missing have deregistered.
func (k *keeper) apply(now time.Time, live []Instance, left func(id string) bool) {
	present := func(id string) bool {
		_, ok := slices.BinarySearchFunc(live, id, func(in Instance, id string) int { return strings.Compare(in.ID, id) })
		return ok
	}
	gone := func(id string) bool { return left != nil && left(id) }
	k.lost = slices.DeleteFunc(k.lost, func(l lost) bool { return present(l.ID) || gone(l.ID) })
	for _, in := range k.live {
		// One that drains is about to leave, however it goes.
		if !present(in.ID) && !gone(in.ID) && in.Status != Draining && in.Status != Down {
			k.lost = append(k.lost, lost{Instance: in, at: now})
		}
	}
	slices.SortFunc(k.lost, func(a, b lost) int { return strings.Compare(a.ID, b.ID) })
	k.live = live
}

// view returns what readers shall see: the live instances, then the number of
// preserved ones that stand at the end, and when to ask again, 0 for never.
func (k *keeper) view(now time.Time) (all []Instance, preserved int, next time.Duration) {
	forget := func() {
		k.lost = slices.DeleteFunc(k.lost, func(l lost) bool { return now.Sub(l.at) >= k.until(l) })
	}
	forget()
	many := k.many()
	for i := range k.lost {
		k.lost[i].kept = many
	}
	forget() // what is kept no longer
	for _, l := range k.lost {
		if d := k.until(l) - now.Sub(l.at); next == 0 || d < next {
			next = d
		}
	}
	if !many {
		return k.live, 0, next
	}
	all = slices.Grow(slices.Clip(k.live), len(k.lost))
	for _, l := range k.lost {
		all = append(all, l.Instance)
	}
	return all, len(k.lost), next
}

// many reports whether too many expired to be believed. One alone always is.
func (k *keeper) many() bool {
	n := len(k.lost)
	return n > 1 && float64(n) > k.share*float64(n+len(k.live))
}

// until is how long after its expiry an entry counts.
func (k *keeper) until(l lost) time.Duration {
	if l.kept {
		return k.limit
	}
	return min(k.window, k.limit)
}
