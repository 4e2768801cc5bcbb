package auth

import (
	"cmp"
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Revocation tells that a token is no longer good. It names the token by what
// identifies it and never holds the token itself.
type Revocation struct {
	Issuer  string    `json:"issuer,omitempty"`
	ID      string    `json:"id,omitempty"`   // the token's jti; may be empty
	Hash    []byte    `json:"hash,omitempty"` // SHA-256 of the raw token; may be empty
	Expires time.Time `json:"expires"`        // when the token would have ended by itself
}

// RevocationFeed carries revocations between the instances of a service.
type RevocationFeed interface {
	// Publish hands r to every subscriber, in other processes too.
	Publish(ctx context.Context, r Revocation) error
	// Subscribe calls f with each revocation until ctx ends, and returns why it
	// stopped. It is called again after a pause.
	Subscribe(ctx context.Context, f func(Revocation)) error
}

// maxDenied bounds how many revocations are remembered, and unknownLife how
// long one of a token without an expiry is.
const (
	maxDenied   = 100_000
	unknownLife = 24 * time.Hour
)

type denialKey struct {
	issuer, id string
	hash       hash
}

// denials are the revoked tokens that have not expired yet.
type denials struct {
	n  atomic.Int64 // len(m), so that the usual case is one load
	mu sync.RWMutex
	m  map[denialKey]time.Time
	by expiries

	size int // how many are remembered; 0: maxDenied
}

type denial struct {
	key denialKey
	end time.Time
}

type expiries []denial

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].end.Before(e[j].end) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(denial)) }
func (e *expiries) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// add remembers r until its token has expired, with some time for clocks that
// differ. When there are too many, those that end first are forgotten.
func (d *denials) add(r Revocation, now time.Time) {
	end := r.Expires
	if end.IsZero() || end.After(now.Add(365*24*time.Hour)) {
		end = now.Add(unknownLife)
	}
	end = end.Add(MaxLeeway)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = make(map[denialKey]time.Time)
	}
	keep := func(k denialKey) {
		if _, there := d.m[k]; there {
			return
		}
		d.m[k] = end
		heap.Push(&d.by, denial{k, end})
	}
	if r.ID != "" {
		keep(denialKey{issuer: r.Issuer, id: r.ID})
	}
	if len(r.Hash) == len(hash{}) {
		keep(denialKey{hash: hash(r.Hash)})
	}
	most := cmp.Or(d.size, maxDenied)
	for len(d.by) > 0 && (len(d.by) > most || !now.Before(d.by[0].end)) {
		delete(d.m, heap.Pop(&d.by).(denial).key)
	}
	d.n.Store(int64(len(d.m)))
}

// has reports whether the token, or the raw token of that hash, was revoked.
func (d *denials) has(t *Token, h hash) bool {
	if d.n.Load() == 0 {
		return false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, there := d.m[denialKey{hash: h}]; there {
		return true
	}
	if t.ID == "" {
		return false
	}
	_, there := d.m[denialKey{issuer: t.Issuer, id: t.ID}]
	return there
}
