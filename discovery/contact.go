package discovery

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// contact is when the registry has answered this process, whatever was asked.
// A registry that is paused, and not down, breaks no connection: what expires in
// it meanwhile could not renew itself, and who follows quietly would take that
// for deaths. So a process that follows instances with a TTL hears from the
// registry at least twice in it: by its own heartbeats, by changes, or by Ping.
type contact struct {
	mu          sync.Mutex
	last        time.Time     // when it answered last
	ttl         time.Duration // the shortest of what is followed; 0: none is known
	from, until time.Time     // the last time of silence

	woken chan struct{} // holds one token: ttl is shorter than before
}

// danger is how long a registry must be unable to answer before one of its
// entries can expire although its owner lives: what is left of the TTL when the
// second heartbeat is due.
func danger(ttl time.Duration) time.Duration { return ttl - beatsEvery(ttl) }

// patience is how long nothing is heard before Ping asks: a little more than the
// time between heartbeats, so that who has an instance of its own need not ask,
// and so long before danger that a busy machine is not taken for a silent registry.
func patience(ttl time.Duration) time.Duration {
	return max(min(beatsEvery(ttl)+ttl/20, danger(ttl)-500*time.Millisecond), ttl/5)
}

// confirm notes an answer.
func (c *contact) confirm(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent(now) {
		c.from, c.until = c.last, now
	}
	if now.After(c.last) {
		c.last = now
	}
}

// silent reports whether there was no answer for so long that something may have
// expired. Called with c.mu held.
func (c *contact) silent(now time.Time) bool { return c.ttl > 0 && now.Sub(c.last) >= danger(c.ttl) }

// silence returns the last time of silence, and whether it lasts.
func (c *contact) silence(now time.Time) (from, until time.Time, lasts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.from, c.until, c.silent(now)
}

// follow notes the TTL of something that is followed.
func (c *contact) follow(now time.Time, ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.ttl
	c.ttl = shorter(before, ttl)
	switch {
	case c.ttl == before:
		return
	case before == 0:
		c.last = now // nobody has asked before
	}
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// only sets the shortest TTL of all that is followed now.
func (c *contact) only(ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ttl = ttl
}

// due returns in how long Ping is to ask, which it did last at a time; false for
// never.
func (c *contact) due(now, asked time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if asked.Before(c.last) {
		asked = c.last
	}
	return asked.Add(patience(c.ttl)).Sub(now), c.ttl > 0
}

// keepContact asks the registry for a sign of life when it has given none for a
// time, while something with a TTL is followed.
func (f *front) keepContact(ctx context.Context) {
	var asked time.Time
	for ctx.Err() == nil {
		wait, ever := f.contact.due(time.Now(), asked)
		if !ever {
			wait = time.Hour
		}
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-f.contact.woken:
			case <-ctx.Done():
			}
			continue
		}
		shortest := time.Duration(0)
		for _, fo := range *f.followers.Load() {
			shortest = shorter(shortest, time.Duration(fo.shortest.Load()))
		}
		f.contact.only(shortest)
		if shortest == 0 {
			continue
		}
		asked = time.Now()
		bounded, cancel := context.WithTimeout(ctx, f.timeout)
		if fault.Guard(func() error { return f.driver.Ping(bounded) }) == nil {
			f.contact.confirm(time.Now())
		}
		cancel()
	}
}
