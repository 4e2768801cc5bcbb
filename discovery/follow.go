package discovery

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// follow returns the follower of a service, which it starts if there is none.
// unfollow must be called.
func (f *front) follow(service string) (*follower, error) {
	if err := validName("service", service); err != nil {
		return nil, mark(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return nil, fault.Closed
	}
	fo := (*f.followers.Load())[service]
	if fo == nil {
		fo = &follower{
			f: f, service: service, changed: make(chan struct{}),
			keep: keeper{share: f.preserveShare, ttl: f.ttl, limit: f.preserveFor},
		}
		fo.snapshot.Store(&Snapshot{Service: service})
		var ctx context.Context
		ctx, fo.stop = context.WithCancel(f.life.Context())
		// Close sets closing before it ends f.life, so these start.
		f.life.Go(func(context.Context) { fo.run(ctx) })
		if !f.sweeping {
			f.sweeping = true
			f.life.Go(f.sweep)
			f.life.Go(f.keepContact)
		}
		next := maps.Clone(*f.followers.Load())
		next[service] = fo
		f.followers.Store(&next)
	}
	fo.users++
	return fo, nil
}

func (f *front) unfollow(fo *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fo.users--
	fo.lastUsed = time.Now()
	if fo.unwanted() {
		f.drop(fo)
	}
}

// unwanted reports whether nobody uses a follower and it knows no instance.
func (fo *follower) unwanted() bool {
	return fo.users == 0 && !fo.used.Load() && len(fo.snapshot.Load().Instances) == 0
}

// maxUnwanted is how many services without an instance are followed although
// nobody asks for them. Names that strangers make up, one after another, would
// else all be followed for WithIdle.
const maxUnwanted = 64

// dropped is a follower that became unwanted at a time.
type dropped struct {
	*follower
	at time.Time
}

// drop takes note of an unwanted follower, and stops the oldest one that there
// is no room for, unless it was asked for since. Called with f.mu held.
func (f *front) drop(fo *follower) {
	f.unwanted = append(f.unwanted, dropped{fo, fo.lastUsed})
	if len(f.unwanted) <= maxUnwanted {
		return
	}
	oldest := f.unwanted[0]
	f.unwanted = slices.Delete(f.unwanted, 0, 1)
	if oldest.unwanted() && oldest.lastUsed.Equal(oldest.at) {
		f.stopFollowing(oldest.service)
	}
}

// stopFollowing is called with f.mu held.
func (f *front) stopFollowing(services ...string) {
	next := maps.Clone(*f.followers.Load())
	for _, name := range services {
		if fo := next[name]; fo != nil {
			fo.stop()
			delete(next, name)
		}
	}
	f.followers.Store(&next)
}

// sweep stops followers that nobody has asked for some time.
func (f *front) sweep(ctx context.Context) {
	every := max(f.idle/4, time.Millisecond)
	for backoff.Sleep(ctx, every) == nil {
		f.mu.Lock()
		now := time.Now()
		var idle []string
		for name, fo := range *f.followers.Load() {
			// What is known can't be read again while the registry is unavailable.
			if fo.used.Swap(false) || fo.users > 0 || fo.snapshot.Load().State == Stale {
				fo.lastUsed = now
			} else if now.Sub(fo.lastUsed) >= f.idle {
				idle = append(idle, name)
			}
		}
		if len(idle) > 0 {
			f.stopFollowing(idle...)
		}
		f.mu.Unlock()
	}
}
