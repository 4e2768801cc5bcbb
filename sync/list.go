package sync

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// lister is Lister of sync/driver.
type lister interface {
	List(ctx context.Context, prefix string, yield func(key string, h Hold) bool) error
}

func (f *front) List(ctx context.Context) iter.Seq2[Hold, error] {
	return func(yield func(Hold, error) bool) {
		all, err := f.list(ctx)
		if err != nil {
			yield(Hold{}, fault.Wrap(f.scope, "list", "", err))
			return
		}
		for _, h := range all {
			if !yield(h, nil) {
				return
			}
		}
	}
}

func (f *front) list(ctx context.Context) ([]Hold, error) {
	d, ok := f.driver.(lister)
	if !ok {
		return nil, ErrUnsupported
	}
	if !f.life.Enter() {
		return nil, ErrClosed
	}
	defer f.life.Leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var all []Hold
	err := d.List(bounded, f.prefix, func(key string, h Hold) bool {
		if f.name(key, &h) {
			all = append(all, h)
		}
		return true
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && isContext(err):
		return nil, fault.Mark(ErrUnavailable, err)
	case err != nil:
		return nil, err
	}
	slices.SortStableFunc(all, compareHolds) // as a driver lists them: the first in a queue first
	return all, nil
}

// name fills in what the key of a claim says. It reports false for a key that is
// none of this namespace, as somebody else may have made.
func (f *front) name(key string, h *Hold) bool {
	rest, ok := strings.CutPrefix(key, f.prefix)
	kind, id, two := strings.Cut(rest, "/")
	if !ok || !two {
		return false
	}
	var err error
	h.Kind = Kind(kind)
	h.ID, err = url.PathUnescape(id)
	return err == nil && slices.Contains([]Kind{KindLock, KindSemaphore, KindLeader}, h.Kind)
}
