package event

import (
	"context"
	"sync/atomic"
)

// memLive reads the log for one subscription without a group.
type memLive struct {
	m      *memory
	types  Patterns
	next   uint64 // everything up to here was read; guarded by the memory's mutex
	missed atomic.Int64
	ds     []Delivered // of the last Fetch
}

// follow begins a subscription without a group.
func (m *memory) follow(from Position, types Patterns) (Member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.locate(from)
	if err != nil {
		return nil, err
	}
	return &memLive{m: m, types: types, next: n}, nil
}

func (l *memLive) Fetch(ctx context.Context, limit int) ([]Delivered, error) {
	m := l.m
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(l.ds)
	l.ds = l.ds[:0]
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if l.next < m.log.base {
			l.missed.Add(int64(m.log.base - l.next))
			l.next = m.log.base
		}
		for l.next < m.log.end && len(l.ds) < limit {
			l.next++
			s, i := m.log.find(l.next)
			if l.types.matchText(s.typ(i)) {
				l.ds = append(l.ds, Delivered{Attempt: 1, segment: s, index: i})
			}
		}
		if len(l.ds) > 0 {
			return l.ds, nil
		}
		if err := m.await(ctx); err != nil {
			return nil, err
		}
	}
}

func (l *memLive) Lag(context.Context) (Lag, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return Lag{Behind: l.m.behind(l.next)}, nil
}

func (l *memLive) gaps() int64 { return l.missed.Load() }

func (l *memLive) Ack(context.Context, []Delivered) error     { return nil }
func (l *memLive) Extend(context.Context, []Delivered) error  { return nil }
func (l *memLive) Release(context.Context, []Delivered) error { return nil }
func (l *memLive) Close(context.Context) error                { return nil }
