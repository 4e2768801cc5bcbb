package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// Change is what a follower is told.
type Change[P any] struct {
	// All is the whole collection, if Reset: at the beginning, and after the API
	// server could not continue a watch. It was asked for at Since.
	Reset bool
	All   []P
	Since time.Time

	// Object is one that was made or changed, or with Deleted is there no longer.
	// It is nil if the API server confirms that there is nothing new.
	Object  P
	Deleted bool

	// Version is the resource version that the follower then is at.
	Version string
	// More says that another Change follows at once.
	More bool
}

// feedKey tells apart what is followed: a resource, narrowed, as a type.
type feedKey[T any] struct {
	r Resource
	s Selector
}

// feed is one list and watch that all share who follow the same.
//
// Its goroutine alone changes the fields below mu; it holds mu while it tells
// the followers, so that who joins gets all changes after what it was given, and
// who has left gets none.
type feed[T any, P Object[T]] struct {
	c      *Conn
	r      Resource
	s      Selector
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // why; valid once ended is closed

	mu        sync.Mutex
	followers map[*follower[P]]bool
	synced    bool
	since     time.Time
	objects   map[string]P // by namespace/name
	version   string
}

type follower[P any] struct{ apply func(Change[P]) }

// Follow calls apply with a collection as it is, and then with its changes,
// until ctx ends or changes may be missed, and returns why. A connection that
// breaks once is made again without a word. All who follow the same resource
// and selector in the same type share one watch, which ends with the last.
//
// The objects are shared: don't change them. apply must not block for long and
// must not call the Conn.
func Follow[T any, P Object[T]](ctx context.Context, c *Conn, r Resource, s Selector, apply func(Change[P])) error {
	fo := &follower[P]{apply}
	f, err := join[T](c, feedKey[T]{r, s}, fo)
	if err != nil {
		return err
	}
	defer leave(c, feedKey[T]{r, s}, f, fo)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ended:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f.err
	}
}

func join[T any, P Object[T]](c *Conn, key feedKey[T], fo *follower[P]) (*feed[T, P], error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errClosed
	}
	f, _ := c.feeds[key].(*feed[T, P])
	if f == nil {
		ctx, cancel := context.WithCancel(c.ending)
		f = &feed[T, P]{c: c, r: key.r, s: key.s, cancel: cancel, ended: make(chan struct{}), followers: map[*follower[P]]bool{}}
		c.feeds[key] = f
		c.opens.Add(1)
		defer func() { go f.run(ctx, key) }() // its first follower has joined
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.mu.Unlock()
	f.followers[fo] = true
	if f.synced {
		fo.apply(Change[P]{Reset: true, All: slices.Collect(maps.Values(f.objects)), Since: f.since, Version: f.version})
	}
	return f, nil
}

func leave[T any, P Object[T]](c *Conn, key feedKey[T], f *feed[T, P], fo *follower[P]) {
	c.mu.Lock()
	f.mu.Lock()
	delete(f.followers, fo)
	last := len(f.followers) == 0
	if last && c.feeds[key] == any(f) {
		delete(c.feeds, key)
	}
	f.mu.Unlock()
	c.mu.Unlock()
	if last {
		f.cancel()
		<-f.ended
	}
}

// run follows until that fails.
func (f *feed[T, P]) run(ctx context.Context, key feedKey[T]) {
	defer f.c.opens.Done()
	defer f.cancel()
	err := f.follow(ctx)
	if f.c.isClosed() {
		err = errClosed
	}
	f.c.mu.Lock()
	if f.c.feeds[key] == any(f) {
		delete(f.c.feeds, key)
	}
	f.c.mu.Unlock()
	f.err = err
	close(f.ended)
}

// follow lists and watches, again from a list when the API server no longer has
// what a watch would continue from.
func (f *feed[T, P]) follow(ctx context.Context) error {
	for gaps := 0; ; gaps++ {
		if gaps > 0 {
			err := backoff.Sleep(ctx, settle.Wait(gaps-1))
			if err != nil {
				return err
			}
		}
		since := time.Now()
		all, version, err := List[T, P](ctx, f.c, f.r, f.s)
		if err != nil {
			return err
		}
		f.reset(all, version, since)
		progress, err := f.watch(ctx)
		if !errors.Is(err, ErrGone) {
			return err
		}
		if progress {
			gaps = -1
		}
	}
}

// watch makes one watch after another. A broken one is made again at once; two
// in a row that bring nothing are an outage.
func (f *feed[T, P]) watch(ctx context.Context) (progress bool, err error) {
	broken, short := 0, 0
	for {
		began, moved := time.Now(), false
		err := f.c.stream(ctx, f.r, f.s, f.version, func(e event, more bool) error {
			err := f.take(e, more)
			if err == nil {
				moved, progress = true, true
			}
			return err
		})
		switch {
		case ctx.Err() != nil:
			return progress, ctx.Err()
		case errors.Is(err, ErrGone):
			return progress, err
		case moved || err == nil && time.Since(began) > time.Second:
			broken, short = 0, 0
		}
		switch {
		case err != nil:
			broken++
			if broken > 1 || !errors.Is(err, fault.Unavailable) {
				return progress, err
			}
		case short > 0 || time.Since(began) < time.Second:
			// A server that ends watches at once.
			short++
			err = backoff.Sleep(ctx, settle.Wait(short))
			if err != nil {
				return progress, err
			}
		}
	}
}

func id(m *Meta) string { return m.Namespace + "/" + m.Name }

func (f *feed[T, P]) reset(all []P, version string, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects = make(map[string]P, len(all))
	for _, o := range all {
		f.objects[id(o.ObjectMeta())] = o
	}
	f.synced, f.since, f.version = true, since, version
	f.tell(Change[P]{Reset: true, All: all, Since: since, Version: version})
}

// take takes over an event of the watch.
func (f *feed[T, P]) take(e event, more bool) error {
	if e.Type == "ERROR" {
		var s StatusError
		err := json.Unmarshal(e.Object, &s)
		if err != nil || s.Code == 0 {
			return fault.Markf(fault.Unavailable, "the API server ended the watch: %.200s", e.Object)
		}
		return s.marked(false)
	}
	o := P(new(T))
	err := json.Unmarshal(e.Object, o)
	m := o.ObjectMeta()
	if err != nil || m.ResourceVersion == "" {
		return fault.Markf(fault.Unavailable, "an event of %s that can't be read: %w", f.r.Plural, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = m.ResourceVersion
	ch := Change[P]{Object: o, Version: f.version, More: more}
	switch e.Type {
	case "BOOKMARK":
		ch.Object = nil
	case "DELETED":
		ch.Deleted = true
		delete(f.objects, id(m))
	default:
		f.objects[id(m)] = o
	}
	f.tell(ch)
	return nil
}

// tell is called with f.mu held.
func (f *feed[T, P]) tell(ch Change[P]) {
	for fo := range f.followers {
		fo.apply(ch)
	}
}
