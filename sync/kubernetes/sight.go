package kubernetes

import (
	gosync "sync"
	"time"
)

// sights are what this process saw of leases and when, on its own clock. A holder
// is dead when nobody has seen it renew for the lease's duration, counted from
// the moment at which its last renewal was seen here: no clock of another machine
// matters. client-go's leader election does the same.
type sights struct {
	mu  gosync.Mutex
	all map[string]sight // by name
}

type sight struct {
	said string
	at   time.Time
}

// maxSights bounds the memory. What is forgotten is seen for the first time
// again, so its holder lives longer, never shorter.
const maxSights = 10_000

// left notes what is seen of a lease and returns for how long its holder is to
// be believed; 0 if there is none.
func (s *sights) left(name string, l *lease) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.holder() == "" {
		delete(s.all, name)
		return 0
	}
	now := time.Now()
	seen, ok := s.all[name]
	if said := l.said(); !ok || seen.said != said {
		seen = sight{said, now}
		s.keep(name, seen)
	}
	return max(seen.at.Add(l.duration()).Sub(now), 0)
}

func (s *sights) keep(name string, seen sight) {
	if s.all == nil {
		s.all = map[string]sight{}
	}
	if _, ok := s.all[name]; !ok && len(s.all) >= maxSights {
		for any := range s.all { // one by chance
			delete(s.all, any)
			break
		}
	}
	s.all[name] = seen
}
