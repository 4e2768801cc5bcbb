package cache

import "time"

// Shards returns how many parts RangeShard goes by. It never changes.
func (c *Cache[V]) Shards() int { return len(c.shards) }

// RangeShard is Range over one part, from 0 to Shards less one. A key is always
// in the same part, so who goes over all parts one after the other, however
// slowly, meets every entry that was there all the time exactly once.
func (c *Cache[V]) RangeShard(i int, f func(key string, v V, life time.Duration) bool) {
	c.rangeShard(&c.shards[i], c.now(), f)
}
