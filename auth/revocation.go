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
	Expires time.Time `json:"expires"`        // when the token ends by itself; zero: never
}

// RevocationFeed carries revocations between the instances of a service.
type RevocationFeed interface {
	// Publish hands r to every subscriber, in other processes too.
	Publish(ctx context.Context, r Revocation) error
	// Subscribe calls f with each revocation until ctx ends, and returns why it
	// stopped. It is called again after a pause.
	Subscribe(ctx context.Context, f func(Revocation)) error
}

// maxDenied bounds how many revocations are remembered of tokens that end, and
// how many of tokens without an end: neither kind pushes out the other.
const maxDenied = 100_000

// denialKey is the issuer and id of a token, or a hash.
type denialKey struct {
	issuer, id string
	hash       hash
}

// longID is the length from which an id is remembered by its hash: what a feed
// says is kept, so its length is bounded.
const longID = 256

func idKey(issuer, id string) denialKey {
	if len(issuer)+len(id) < longID {
		return denialKey{issuer: issuer, id: id}
	}
	return denialKey{hash: hashOf(Secret(issuer + "\x00" + id))}
}

// denials are the revoked tokens that have not expired yet.
type denials struct {
	n       atomic.Int64 // len(m), so that the usual case is one load
	mu      sync.RWMutex
	m       map[denialKey]time.Time // until when; endless for tokens without an end
	by      expiries                // of those that end
	endless []denialKey             // the others, oldest first

	size int // how many of each are remembered; 0: maxDenied
}

// endless is later than any end.
var endless = time.Unix(1<<48, 0)

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
// differ. When there are too many, those that end first are forgotten, and of
// those without an end the oldest; add returns how many.
func (d *denials) add(r Revocation, now time.Time) (forgotten int) {
	end := endless
	if !r.Expires.IsZero() {
		end = r.Expires.Add(MaxLeeway)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.ID != "" {
		d.keep(idKey(r.Issuer, r.ID), end)
	}
	if len(r.Hash) == len(hash{}) {
		d.keep(denialKey{hash: hash(r.Hash)}, end)
	}
	most := cmp.Or(d.size, maxDenied)
	for len(d.by) > 0 && (len(d.by) > most || !now.Before(d.by[0].end)) {
		first := heap.Pop(&d.by).(denial)
		if !d.m[first.key].Equal(first.end) { // remembered for longer by now
			continue
		}
		delete(d.m, first.key)
		if now.Before(first.end) {
			forgotten++
		}
	}
	for len(d.endless) > most {
		delete(d.m, d.endless[0])
		d.endless = d.endless[1:]
		forgotten++
	}
	d.n.Store(int64(len(d.m)))
	return forgotten
}

// keep remembers k until end, or for longer if it is so already. mu is held.
func (d *denials) keep(k denialKey, end time.Time) {
	before, there := d.m[k]
	switch {
	case there && !end.After(before):
		return
	case end.Equal(endless):
		d.endless = append(d.endless, k)
	default:
		heap.Push(&d.by, denial{k, end})
	}
	if d.m == nil {
		d.m = make(map[denialKey]time.Time)
	}
	d.m[k] = end
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
	_, there := d.m[idKey(t.Issuer, t.ID)]
	return there
}
