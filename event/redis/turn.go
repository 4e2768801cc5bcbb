package redis

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
)

// turn are the phases of a member of an exclusive group, which has the records in
// its turns only. The order of the stream depends on them:
//
//	          ┌──────────────────────────────┐
//	inherit ──┴─▶ fresh ── a fetch fails ─▶ doubt
//
//	inherit  everything that anybody was handed before, whenever that was
//	fresh    what nobody was handed before
//	doubt    what the failed fetch may have handed out, before anything newer
type turn struct {
	m      *member
	number int64 // of the lease; 0 before the first
	phase  phase
	from   string // where inherit goes on
	last   string // the last position that was returned in this turn
}

type phase int

const (
	inherit phase = iota
	fresh
	doubt
)

func (t *turn) fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	number, pause, err := t.m.lease.take(ctx)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		return nil, backoff.Sleep(ctx, pause)
	}
	if number != t.number { // the turn before may have ended in any phase
		*t = turn{m: t.m, number: number, phase: inherit, from: beforeAll, last: beforeAll}
	}
	var ds []event.Delivered
	switch t.phase {
	case inherit:
		ds, err = t.inherit(ctx, limit)
	case doubt:
		ds, err = t.doubt(ctx, limit)
	default:
		ds, err = t.fresh(ctx, limit)
	}
	if len(ds) > 0 {
		t.last = ds[len(ds)-1].Position
	}
	return ds, err
}

func (t *turn) inherit(ctx context.Context, limit int) ([]event.Delivered, error) {
	ds, done, err := t.m.claim(ctx, limit, 0, &t.from)
	if done {
		t.phase = fresh
	}
	return ds, err
}

func (t *turn) fresh(ctx context.Context, limit int) ([]event.Delivered, error) {
	if err := t.m.reap(ctx); err != nil {
		return nil, err
	}
	ds, err := t.m.fresh(ctx, limit, min(block, max(t.m.g.AckWait/4, time.Millisecond)))
	if err != nil {
		t.phase = doubt
	}
	return ds, err
}

func (t *turn) doubt(ctx context.Context, limit int) ([]event.Delivered, error) {
	ds, err := t.m.again(ctx, limit, t.last)
	if err == nil && len(ds) == 0 {
		t.phase = fresh
	}
	return ds, err
}
