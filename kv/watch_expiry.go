package kv

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/due"
	"github.com/micro/go-platform/internal/fault"
)

// expiry asks the backend for watched items whose life should be over, since
// not every backend tells of that.
type expiry struct {
	w    *watchState
	wake chan struct{}

	mu  sync.Mutex
	due due.Queue[struct{}]
}

// add has key looked at when its life ends. Called with w.mu held.
func (x *expiry) add(key string, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if before, ok := x.due.Get(key); ok && !at.Before(before.At) {
		return // that look will find the later end
	}
	x.due.Set(key, at, struct{}{})
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// forget has key not looked at any more. Called with w.mu held.
func (x *expiry) forget(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.due.Remove(key)
}

// pop returns the next key whose time has come, else how long to wait for it.
func (x *expiry) pop() (string, time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	first, ok := x.due.First()
	if !ok {
		return "", time.Hour
	}
	if wait := time.Until(first.At); wait > 0 {
		return "", wait
	}
	x.due.Remove(first.Name)
	return first.Name, 0
}

func (x *expiry) run(ctx context.Context) {
	var again backoff.Policy
	failures := 0
	for ctx.Err() == nil {
		key, wait := x.pop()
		if key == "" {
			t := time.NewTimer(wait + time.Millisecond)
			select {
			case <-t.C:
			case <-x.wake:
			case <-ctx.Done():
			}
			t.Stop()
			continue
		}
		if x.confirm(ctx, key) {
			failures = 0
			continue
		}
		x.add(key, time.Now().Add(again.Wait(failures)))
		failures++
	}
}

// confirm tells that key is gone if the backend says so and nobody has told
// anything newer. It reports false to be asked again.
func (x *expiry) confirm(ctx context.Context, key string) bool {
	w := x.w
	w.mu.Lock()
	at, ok := w.known[key]
	w.mu.Unlock()
	switch {
	case !ok || at.expires.IsZero():
		return true
	case time.Until(at.expires) > 0:
		x.add(key, at.expires)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	item, err := getExpiring(ctx, w.f.driver, w.f.namespace+key)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.known[key] != at:
		if now := w.known[key]; !now.expires.IsZero() {
			x.add(key, now.expires)
		}
		return true
	case errors.Is(err, fault.NotFound):
		w.gone(key)
		return true
	case err != nil:
		return false
	case item.Revision == at.rev: // its life was made longer
		at.expires = item.Expires
		w.known[key] = at
		if !at.expires.IsZero() {
			x.add(key, at.expires)
		}
	}
	return true // else the session will tell
}
