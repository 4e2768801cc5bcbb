package cassandra

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// turns have the writers of this process write a row one after another. Lightweight
// transactions on one row hinder each other, and fail in the end without anybody knowing
// what became of them.
type turns struct {
	mu  sync.Mutex
	ids map[turnOf]*turn // those that somebody writes or is about to
}

type turnOf struct{ rows, id string }

// turn is a row that has writers.
type turn struct {
	of     turnOf
	taken  chan struct{} // holds one value while somebody writes
	writes atomic.Int64  // that may have been applied
	users  int           // guarded by the mutex of turns
}

func (ts *turns) join(t *table, id string) *turn {
	of := turnOf{t.rows, id}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	tn := ts.ids[of]
	if tn == nil {
		tn = &turn{of: of, taken: make(chan struct{}, 1)}
		if ts.ids == nil {
			ts.ids = map[turnOf]*turn{}
		}
		ts.ids[of] = tn
	}
	tn.users++
	return tn
}

func (ts *turns) leave(tn *turn) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	tn.users--
	if tn.users == 0 {
		delete(ts.ids, tn.of)
	}
}

// replace looks at a row and then, when it is the caller's turn, writes over it. Many
// look at the same time, and most of them in vain if they want one version: when another
// has written since, they look again, which tells, and leave the turn to others. It reports
// false if something else is there by now.
func (tn *turn) replace(ctx context.Context, version uint64, look func() (*row, error), write func(old *row) (bool, error)) (applied bool, err error) {
	seen := tn.writes.Load()
	old, err := look()
	if err != nil {
		return false, err
	}
	select {
	case tn.taken <- struct{}{}:
	case <-ctx.Done():
		return false, busy(ctx.Err())
	}
	defer func() { <-tn.taken }()
	if old != nil && tn.writes.Load() != seen {
		if version != 0 {
			return false, nil
		}
		old, err = look()
		if err != nil {
			return false, err
		}
	}
	applied, err = write(old)
	if applied || err != nil {
		tn.writes.Add(1)
	}
	return applied, err
}

// busy is what a writer gets whose time ended before it was its turn.
func busy(err error) error {
	return fault.Markf(fault.Unavailable, "others write the record all the time: %w", err)
}
