package kv

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// updateTries is how often Update starts over before it returns ErrConflict.
const updateTries = 100

// Update changes what is at key: it reads the item, calls change with it (ok is
// false if nothing is there), and writes what change returns if nobody has
// written meanwhile. Else it starts over, with jittered waits, up to a hundred
// times, then it returns ErrConflict. So change may be called several times and
// must have no effects of its own. An error of change is returned as it is, and
// nothing is written.
//
// Without the option TTL an item keeps the life it has. Update returns the item
// that it wrote.
func Update(ctx context.Context, store KV, key string, change func(item Item, ok bool) ([]byte, error), opts ...PutOption) (Item, error) {
	wait := backoff.Policy{Min: time.Millisecond, Max: 100 * time.Millisecond}
	for try := 0; ; try++ {
		item, err := store.Get(ctx, key, Expiry())
		ok := err == nil
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Item{}, err
		}
		rev, expires := item.Revision, item.Expires
		value, err := change(item, ok)
		if err != nil {
			return Item{}, err
		}
		all := []PutOption{IfRevision(rev)}
		if !expires.IsZero() {
			all = append(all, TTL(max(time.Until(expires), time.Millisecond)))
		}
		all = append(all, opts...) // the last TTL counts
		rev, err = store.Put(ctx, key, value, all...)
		if err == nil {
			written := Item{Key: key, Value: value, Revision: rev, Expires: expires}
			var w Write
			for _, opt := range opts { // which Put has accepted
				w, _ = opt.put(w)
			}
			if w.TTL > 0 {
				written.Expires = time.Now().Add(w.TTL)
			}
			return written, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Item{}, err
		}
		if try == updateTries {
			return Item{}, fault.Wrap("kv", "update", fronts.Cut(key), fault.Markf(ErrConflict, "after %d tries", try+1))
		}
		if err := backoff.Sleep(ctx, wait.Wait(try)); err != nil {
			return Item{}, fault.Wrap("kv", "update", fronts.Cut(key), err)
		}
	}
}
