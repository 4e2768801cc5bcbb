package discovery

import (
	"slices"
	"time"
)

// seen is what readers shall see.
type seen struct {
	instances   []Instance // sorted by id, the preserved ones at the end
	unconfirmed int        // lost by the registry
	preserved   int        // expired
	next        time.Duration
}

// view returns what readers shall see, and when to ask again: 0 for never.
func (k *keeper) view(now time.Time) seen {
	forget := func() {
		k.missing = slices.DeleteFunc(k.missing, func(m missing) bool {
			over := now.Sub(m.at) >= k.stays(m)
			if over && m.lost {
				k.note(now, &m.Instance, nil, Expired)
			}
			return over
		})
	}
	forget()
	many := k.many()
	for i := range k.missing {
		k.missing[i].kept = many && !k.missing[i].lost
	}
	forget() // what is kept no longer
	s := seen{instances: k.live}
	var expired []Instance
	for _, m := range k.missing {
		if d := k.stays(m) - now.Sub(m.at); s.next == 0 || d < s.next {
			s.next = d
		}
		switch {
		case m.lost:
			s.unconfirmed++
			if s.unconfirmed == 1 {
				s.instances = slices.Clone(k.live)
			}
			s.instances = append(s.instances, m.Instance)
		case m.kept:
			expired = append(expired, m.Instance)
		}
	}
	if s.unconfirmed > 0 {
		slices.SortFunc(s.instances, byID)
	}
	s.preserved = len(expired)
	if s.preserved > 0 {
		s.instances = slices.Concat(s.instances, expired)
	}
	return s
}

// many reports whether too many expired to be believed. Instances that have
// come since those were alive take their places: not each other's, when a service
// starts as a whole, and none if they are missing themselves.
func (k *keeper) many() bool {
	n, lost := 0, 0
	var since time.Time // when the first of the expired was there, and alive at the latest
	for _, m := range k.missing {
		if m.lost {
			lost++
			continue
		}
		n++
		alive := m.at.Add(-m.ttl - time.Second)
		if at, ok := k.came[m.ID]; ok && !at.Before(alive) {
			alive = at.Add(1)
		}
		if since.IsZero() || alive.Before(since) {
			since = alive
		}
	}
	came := 0
	for id, at := range k.came {
		if !at.Before(since) && holds(k.live, id) {
			came++
		}
	}
	all := n + lost + len(k.live)
	n -= came
	return n > few && float64(n) > k.share*float64(all)
}

// stays is how long after it went missing an instance counts.
func (k *keeper) stays(m missing) time.Duration {
	limit := k.limit
	if limit == 0 {
		limit = 2 * m.ttl
	}
	switch {
	case m.lost:
		return m.ttl
	case m.kept:
		return limit
	}
	return min(m.ttl, limit)
}

// horizon is after how long an arrival no longer takes anybody's place.
func (k *keeper) horizon() time.Duration {
	longest := k.longest()
	return longest + max(k.limit, 2*longest) + time.Second
}

// shortest is the shortest TTL that is known of the living; 0 for none. What an
// entry says is not believed below the least that Register takes: it decides how
// often the registry is asked.
func (k *keeper) shortest() time.Duration {
	shortest := time.Duration(0)
	for _, ttl := range k.ttls {
		if ttl > 0 {
			shortest = shorter(shortest, max(ttl, minTTL))
		}
	}
	return shortest
}

// shorter returns the shorter of two TTLs of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// longest is the longest TTL of the instances.
func (k *keeper) longest() time.Duration {
	longest := k.ttl
	for _, ttl := range k.ttls {
		longest = max(longest, ttl)
	}
	for _, m := range k.missing {
		longest = max(longest, m.ttl)
	}
	return longest
}
