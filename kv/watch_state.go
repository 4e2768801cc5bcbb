package kv

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// watchState stands between the sessions of one watch and its reader. It
// remembers which keys the reader knows, to tell what vanished in a gap, and
// keeps at most one waiting event a key, so that a slow reader costs no more
// memory than the watched items themselves.
type watchState struct {
	f      *front
	prefix string
	signal chan struct{} // holds a token while something waits
	expiry *expiry

	mu      sync.Mutex
	waiting map[string]Event // by key; "" is the mark
	order   []string         // keys of waiting, oldest first
	outage  error            // to be told once
	failing bool             // told or about to be
	known   map[string]told  // by key, without namespace
	state   map[string]bool  // keys told in the state of this session; nil after its mark
	marked  bool             // this session has called Synced
}

// told is what the reader knows of a key.
type told struct {
	rev     Revision
	expires time.Time
}

func newWatchState(f *front, prefix string) *watchState {
	w := &watchState{
		f: f, prefix: prefix,
		signal:  make(chan struct{}, 1),
		waiting: map[string]Event{},
		known:   map[string]told{},
	}
	w.expiry = &expiry{w: w, wake: make(chan struct{}, 1)}
	return w
}

// begin starts a session, from the whole state or from a cursor.
func (w *watchState) begin(whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked, w.state = false, nil
	if whole {
		w.state = map[string]bool{}
	}
}

func (w *watchState) put(item Item) {
	key := item.Key[len(w.f.namespace):]
	item.Key = key
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.known[key]
	now := told{rev: item.Revision, expires: item.Expires}
	w.known[key] = now
	if !now.expires.IsZero() && !w.f.features.Local {
		w.expiry.add(key, now.expires)
	}
	if w.state != nil {
		w.state[key] = true
	}
	if known && before.rev == now.rev && sameEnd(before.expires, now.expires) {
		return // the reader has it, from an earlier session or an earlier report
	}
	w.push(key, Event{Kind: EventPut, Item: item})
}

// sameEnd reports whether two lives end together, as far as a backend that
// tells the remaining time can say.
func sameEnd(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() && b.IsZero()
	}
	return a.Sub(b).Abs() < 100*time.Millisecond
}

func (w *watchState) delete(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone(key[len(w.f.namespace):])
}

// gone tells that key is no longer there; w.mu is held.
func (w *watchState) gone(key string) {
	if before, ok := w.known[key]; ok {
		delete(w.known, key)
		if !before.expires.IsZero() {
			w.expiry.forget(key)
		}
		w.push(key, Event{Kind: EventDelete, Item: Item{Key: key}})
	}
}

// synced ends the state of a session. A session that resumes gives a mark only
// to say that an outage is over.
func (w *watchState) synced() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.marked {
		return
	}
	if w.state != nil {
		for key := range w.known {
			if !w.state[key] {
				w.gone(key)
			}
		}
	}
	if w.state != nil || w.failing {
		w.push("", Event{Kind: EventSynced})
	}
	w.marked, w.state, w.failing, w.outage = true, nil, false, nil
}

// interrupted notes an outage, to be told once until the next mark.
func (w *watchState) interrupted(err error) {
	if !isKind(err, fault.Unavailable, fault.Denied) {
		err = fault.Mark(ErrUnavailable, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.failing {
		w.failing, w.outage = true, err
		w.wake()
	}
}

// push adds an event, in the place of one that waits for the same key. A mark
// goes to the end: it speaks of all that was told before. w.mu is held.
func (w *watchState) push(key string, e Event) {
	_, waits := w.waiting[key]
	if waits && key == "" {
		at := slices.Index(w.order, key)
		w.order = slices.Delete(w.order, at, at+1)
	}
	if !waits || key == "" {
		w.order = append(w.order, key)
	}
	w.waiting[key] = e
	w.wake()
}

func (w *watchState) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// next waits for something to tell. It reports false when ctx has ended.
func (w *watchState) next(ctx context.Context) (Event, error, bool) {
	for {
		if ctx.Err() != nil {
			return Event{}, nil, false
		}
		w.mu.Lock()
		if err := w.outage; err != nil {
			w.outage = nil
			w.mu.Unlock()
			return Event{}, err, true
		}
		if len(w.order) > 0 {
			key := w.order[0]
			w.order[0] = ""
			w.order = w.order[1:]
			e := w.waiting[key]
			delete(w.waiting, key)
			w.mu.Unlock()
			return e, nil, true
		}
		w.order = nil
		w.mu.Unlock()
		select {
		case <-w.signal:
		case <-ctx.Done():
		}
	}
}
