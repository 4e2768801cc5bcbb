package redis

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
)

// shared are the phases of a member that shares the records with others:
//
//	own    what this consumer had before a restart
//	fresh  what nobody was handed before; every now and then before it,
//	       what others were handed who show no life any more
type shared struct {
	m    *member
	own  bool   // own is over
	from string // up to here it was read

	claimFrom string    // where the look for what dead members had goes on
	claimed   time.Time // when the last such look was complete
}

func newShared(m *member) *shared { return &shared{m: m, from: beforeAll, claimFrom: beforeAll} }

func (s *shared) fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	if !s.own {
		return s.leftovers(ctx, limit)
	}
	if s.claimFrom != beforeAll || time.Since(s.claimed) >= s.every() {
		ds, done, err := s.m.claim(ctx, limit, s.m.g.AckWait, &s.claimFrom)
		if done {
			s.claimed = time.Now()
		}
		if err != nil || len(ds) > 0 {
			return ds, err
		}
	}
	if err := s.m.reap(ctx); err != nil {
		return nil, err
	}
	return s.m.fresh(ctx, limit, min(block, s.every()))
}

func (s *shared) leftovers(ctx context.Context, limit int) ([]event.Delivered, error) {
	ds, err := s.m.again(ctx, limit, s.from)
	if err != nil {
		return nil, err
	}
	s.own = len(ds) == 0
	if !s.own {
		s.from = ds[len(ds)-1].Position
	}
	return ds, nil
}

// every is how often a member looks for what dead ones left.
func (s *shared) every() time.Duration {
	return min(max(s.m.g.AckWait/4, 5*time.Millisecond), time.Second)
}
