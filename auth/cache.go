package auth

import (
	"crypto/sha256"
	"sync"
	"unsafe"
)

// hash is how a raw token is known inside: caches, denials and feeds never
// hold the token itself.
type hash [sha256.Size]byte

// hashOf reads the string in place: a copy for every request would be garbage
// that holds a token.
func hashOf(raw Secret) hash {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(string(raw)), len(raw)))
}

// key is how a credential with client certificates is known: the same token over
// another caller's connection is another credential. h is the hash of the value.
func (c Credential) key(h hash) hash {
	return sha256.Sum256(append(h[:], c.TLS.PeerCertificates[0].Raw...))
}

// lru is a map that keeps its most recently used entries.
type lru[K comparable, V any] struct {
	mu   sync.Mutex
	size int
	m    map[K]*node[K, V]
	ring node[K, V] // ring.next is the newest, ring.prev the oldest
}

type node[K comparable, V any] struct {
	key        K
	value      V
	prev, next *node[K, V]
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	c := &lru[K, V]{size: size, m: make(map[K]*node[K, V])}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

func (c *lru[K, V]) unlink(n *node[K, V]) { n.prev.next, n.next.prev = n.next, n.prev }

func (c *lru[K, V]) front(n *node[K, V]) {
	n.prev, n.next = &c.ring, c.ring.next
	n.prev.next, n.next.prev = n, n
}

// find returns an entry, which is the newest from then on, or nil. mu is held.
func (c *lru[K, V]) find(k K) *node[K, V] {
	n := c.m[k]
	if n != nil && n != c.ring.next {
		c.unlink(n)
		c.front(n)
	}
	return n
}

func (c *lru[K, V]) get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.find(k)
	if n == nil {
		return v, false
	}
	return n.value, true
}

func (c *lru[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.find(k); n != nil {
		n.value = v
		return
	}
	c.add(k, v)
}

// add adds an entry that is not there. mu is held.
func (c *lru[K, V]) add(k K, v V) {
	if len(c.m) >= c.size {
		old := c.ring.prev
		c.unlink(old)
		delete(c.m, old.key)
	}
	n := &node[K, V]{key: k, value: v}
	c.m[k] = n
	c.front(n)
}

// getOrPut returns what is there, else puts what make returns.
func (c *lru[K, V]) getOrPut(k K, make func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.find(k); n != nil {
		return n.value
	}
	v := make()
	c.add(k, v)
	return v
}

func (c *lru[K, V]) delete(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.m[k]; ok {
		c.unlink(n)
		delete(c.m, k)
	}
}

// verdicts are spread over several locks.
type verdicts [16]*lru[hash, verdict]

// maxVerdicts bounds how many verdicts are kept: some 10 MB.
const maxVerdicts = 10_000

func newVerdicts(size int) *verdicts {
	var s verdicts
	for i := range s {
		s[i] = newLRU[hash, verdict](max(1, size/len(s)))
	}
	return &s
}

func (s *verdicts) of(h hash) *lru[hash, verdict] { return s[h[0]&15] }
