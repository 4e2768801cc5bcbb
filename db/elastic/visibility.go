package elastic

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// visibility knows which writes searches of a table see.
type visibility struct {
	written atomic.Uint64 // writes that have ended, with whatever outcome; 1: those of before
	seen    atomic.Uint64 // of those, how many a refresh followed
	turn    chan struct{} // holds one value while somebody refreshes
}

// refresh makes writes visible to the search that follows, as far as it was
// promised.
func (d *driver) refresh(ctx context.Context, t *table) error {
	switch d.config.refresh {
	case RefreshWrites, RefreshNever:
		return nil
	case RefreshSearches:
		return d.refreshNow(ctx, t)
	}
	want := t.written.Load()
	if t.seen.Load() >= want {
		return nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if t.seen.Load() >= want { // another's refresh that began after our write
		return nil
	}
	now := t.written.Load()
	if err := d.refreshNow(ctx, t); err != nil {
		return err
	}
	t.seen.Store(now)
	return nil
}

// shards counts parts of an index that did not do what was asked.
type shards struct{ Failed int }

func (s shards) check() error {
	if s.Failed > 0 {
		return fault.Markf(fault.Unavailable, "%d shards of the index failed", s.Failed)
	}
	return nil
}

func (d *driver) refreshNow(ctx context.Context, t *table) error {
	var answer struct {
		Shards shards `json:"_shards"`
	}
	err := d.client.ask(ctx, request{method: http.MethodPost, path: "/" + t.name + "/_refresh", query: "filter_path=_shards,error,status"}, nil, &answer)
	if err != nil {
		return gone(t, err)
	}
	return answer.Shards.check()
}
