package discovery

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// keeper decides which instances of one service readers see, as a function of
// the updates and the time alone. An instance that is missing from an update
// is one of three:
//
//	deregistered  it goes at once
//	lost          the registry lost its data, or may have: the instance stays
//	              among the others until it registers again, or its TTL has
//	              passed since the registry is back
//	expired       it goes at once, unless too many do; but what expired while the
//	              registry was unavailable counts as lost
//
// The last is self-preservation. Eureka does it on the server, and can get
// stuck in it. Here every reader decides by what it sees, what is kept ends,
// and instances that have come instead of the expired ones end it.
type keeper struct {
	share float64       // keep if more than this share expired
	ttl   time.Duration // of entries whose TTL is unknown
	limit time.Duration // what expired is kept no longer than this; 0: two of its TTLs

	live    []Instance // as the registry said last, sorted by id
	ttls    map[string]time.Duration
	missing []missing            // lost, and expired within the window or kept; sorted by id
	came    map[string]time.Time // when ids arrived that were not known
	synced  bool
	changes []Change      // that nobody has taken yet
	back    time.Time     // when the last outage ended
	gap     time.Duration // how long it was
}

type missing struct {
	Instance
	ttl  time.Duration
	at   time.Time
	lost bool
	cut  bool // lost, because the registry was unavailable when it expired
	kept bool
}

// few is how many may expire together and still be believed, whatever their
// share: of a small service two that die together are nothing odd.
const few = 2

// outage notes a time in which the registry confirmed nothing. What is lost has
// its time again from its end.
func (k *keeper) outage(from, until time.Time) {
	if !k.synced || !until.After(k.back) || !from.Before(until) {
		return
	}
	gap := until.Sub(from)
	if !k.back.IsZero() && until.Sub(k.back) < k.longest() { // it comes and goes: one outage
		if from.Before(k.back) {
			gap = until.Sub(k.back)
		}
		gap += k.gap
	}
	k.back, k.gap = until, gap
	for i := range k.missing {
		if m := &k.missing[i]; m.lost && m.at.Before(until) {
			m.at = until
		}
	}
}

// apply takes a session's update, sorted by id; first says that it is the
// first of the session.
func (k *keeper) apply(now time.Time, u Update, first bool) {
	fate := func(id string) Fate {
		f := Unknown
		if u.Fate != nil {
			f = u.Fate(id)
		}
		if f == Unknown && first {
			return Lost
		}
		return f
	}
	maps.DeleteFunc(k.came, func(_ string, at time.Time) bool { return now.Sub(at) > k.horizon() })
	k.arrivals(now, u.Instances)
	k.missing = slices.DeleteFunc(k.missing, func(m missing) bool {
		if holds(u.Instances, m.ID) {
			return true
		}
		left := fate(m.ID) == Deregistered
		if left {
			k.note(now, &m.Instance, nil, Deregistered)
		}
		return left
	})
	for i := range k.missing {
		m := &k.missing[i]
		if m.lost && !m.cut && fate(m.ID) == Expired { // it was there again, for a moment
			m.lost, m.at = false, now
			k.note(now, &m.Instance, nil, Expired)
		}
	}
	for i := range k.live {
		if holds(u.Instances, k.live[i].ID) {
			continue
		}
		in := k.live[i]
		m := missing{Instance: in, ttl: k.ttlOf(in.ID), at: now}
		switch f := fate(in.ID); {
		case f == Deregistered:
			k.note(now, &in, nil, Deregistered)
			continue
		case f == Lost:
			m.lost = true
		case k.cutOff(now, m.ttl):
			m.lost, m.cut, m.at = true, true, k.back
		case in.Status == Draining || in.Status == Down:
			// One that drains is about to leave, however it goes.
			k.note(now, &in, nil, Expired)
			continue
		}
		k.note(now, &m.Instance, nil, m.fate())
		k.missing = append(k.missing, m)
	}
	slices.SortFunc(k.missing, func(a, b missing) int { return byID(a.Instance, b.Instance) })
	k.live, k.synced = u.Instances, true
	k.ttls = nil
	if u.TTL != nil {
		k.ttls = make(map[string]time.Duration, len(k.live))
		for _, in := range k.live {
			k.ttls[in.ID] = u.TTL(in.ID)
		}
	}
}

// arrivals notes what came, came back or was updated.
func (k *keeper) arrivals(now time.Time, all []Instance) {
	if !k.synced {
		return
	}
	for i := range all {
		at, had := find(k.live, all[i].ID)
		switch {
		case !had:
			in := all[i]
			k.note(now, nil, &in, Unknown)
			if !holdsMissing(k.missing, in.ID) {
				if k.came == nil {
					k.came = map[string]time.Time{}
				}
				k.came[in.ID] = now
			}
		case !equalInstances(&all[i], &k.live[at]):
			before, after := k.live[at], all[i]
			k.note(now, &before, &after, Unknown)
		}
	}
}

// fate is why it is missing.
func (m missing) fate() Fate {
	if m.lost {
		return Lost
	}
	return Expired
}

// cutOff reports whether what expires now may have been unable to renew itself:
// its last heartbeat was before the end of an outage that was so long that it
// may have missed the next ones.
func (k *keeper) cutOff(now time.Time, ttl time.Duration) bool {
	return k.gap >= ttl/2 && now.Sub(k.back) < ttl
}

func find(sorted []Instance, id string) (int, bool) {
	return slices.BinarySearchFunc(sorted, id, func(in Instance, id string) int { return strings.Compare(in.ID, id) })
}

func holds(sorted []Instance, id string) bool {
	_, ok := find(sorted, id)
	return ok
}

func holdsMissing(sorted []missing, id string) bool {
	_, ok := slices.BinarySearchFunc(sorted, id, func(m missing, id string) int { return strings.Compare(m.ID, id) })
	return ok
}

func (k *keeper) ttlOf(id string) time.Duration {
	if ttl := k.ttls[id]; ttl > 0 {
		return ttl
	}
	return k.ttl
}
