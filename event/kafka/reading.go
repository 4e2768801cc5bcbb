package kafka

import (
	"cmp"
	"context"

	"github.com/micro/go-platform/event"
)

// What an ordered member hands out.

// next returns what comes next in the partitions that the member has, and whether
// the first record of a turn is among it.
func (m *ordered) next(ctx context.Context, limit int) (ds []event.Delivered, first bool, err error) {
	t, err := m.d.stream(ctx)
	if err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	from := map[int32]int64{}
	for p, turn := range m.turns {
		if turn.begun && !turn.leaving && len(turn.records) == 0 {
			from[p] = turn.next
		}
	}
	m.mu.Unlock()
	var got map[int32]part
	if len(from) > 0 {
		got, err = m.d.fetch(ctx, t.name, from, partBytes)
		if err != nil {
			return nil, false, err
		}
	}
	for p, g := range got {
		if !g.outside {
			continue
		}
		starts, err := m.d.starts(ctx, t) // trimmed, or the topic was made again
		if err != nil {
			return nil, false, err
		}
		m.mu.Lock()
		if turn := m.turns[p]; turn != nil && turn.next == from[p] {
			turn.jump(starts.at(int(p)))
		}
		m.mu.Unlock()
		delete(got, p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, g := range got {
		if turn := m.turns[p]; turn != nil && turn.begun && turn.next == from[p] && len(turn.records) == 0 {
			turn.read(g)
		}
	}
	for len(ds) < limit {
		turn := earliestTurn(m.turns)
		if turn == nil {
			break
		}
		r := turn.records[0]
		first = first || turn.floor == turn.first && len(turn.handed) == 0
		attempt, wanted := turn.hand()
		if wanted {
			ds = append(ds, delivered(r, positionOf(len(t.leaders), r.Partition, r.Offset), attempt, handed{turn, r.Offset}))
		}
	}
	return ds, first, nil
}

// handed is the Tag of a delivery.
type handed struct {
	turn   *turn
	offset int64
}

func earliestTurn(turns map[int32]*turn) (best *turn) {
	for _, t := range turns {
		if t.leaving || len(t.records) == 0 {
			continue
		}
		if best == nil || cmp.Or(t.records[0].Timestamp.Compare(best.records[0].Timestamp), cmp.Compare(t.p, best.p)) < 0 {
			best = t
		}
	}
	return best
}
