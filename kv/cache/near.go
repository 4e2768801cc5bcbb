package cache

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/cache"
	"github.com/micro/go-platform/kv"
)

// near is what the cache knows of a key: its item, or that there is none.
type near struct {
	item   kv.Item
	absent bool
	read   time.Time
	era    uint64 // in which it was read; 0: nobody told what changes
}

func (c *cached) part(key string) *atomic.Uint64 {
	return &c.changes[maphash.String(c.seed, key)%uint64(len(c.changes))]
}

// era returns that in which changes of key are told, 0 if they are not.
func (c *cached) era(key string) uint64 {
	for _, f := range c.following {
		if strings.HasPrefix(key, f.prefix) {
			if e := f.era.Load(); e != 0 {
				return e
			}
		}
	}
	return 0
}

// drop forgets key, and what is being read of it.
func (c *cached) drop(key string) {
	c.part(key).Add(1)
	c.near.Update(key, func(near, time.Duration, bool) cache.Change[near] { return cache.Change[near]{Op: cache.Remove} })
}

// look returns what the cache knows of key, if that is young enough.
func (c *cached) look(key string) (near, bool) {
	n, _, ok := c.near.Get(key)
	if !ok {
		return n, false
	}
	if era := c.era(key); era != 0 {
		return n, n.era == era // what was read before may have changed unseen
	}
	return n, time.Since(n.read) < c.maxAge
}

// keep stores what was read, if nothing has changed since before.
func (c *cached) keep(key string, item kv.Item, absent bool, read time.Time, before, era uint64) {
	life := time.Duration(0)
	if era == 0 {
		life = c.maxAge
	}
	if !item.Expires.IsZero() {
		left := time.Until(item.Expires)
		if left <= 0 {
			return
		}
		if life == 0 || left < life {
			life = left
		}
	}
	item.Value = slices.Clip(item.Value) // shared: an append must make a copy
	part := c.part(key)
	c.near.Update(key, func(near, time.Duration, bool) (ch cache.Change[near]) {
		if part.Load() == before {
			ch = cache.Change[near]{Op: cache.Set, Value: near{item, absent, read, era}, Size: len(item.Value) + 96, Life: life}
		}
		return ch
	})
}
