package auth

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/micro/go-platform/auth/internal/dpop"
)

// maxProofs bounds how many proofs are remembered in each of two generations:
// about 30 MB in all.
const maxProofs = 200_000

// proofs remembers the proofs that were used, each for at least as long as it
// is good: 2·Window. Two generations take turns. When one is full before its
// time, ErrUnavailable is the answer: forgetting would let a proof be used
// twice.
type proofs struct {
	mu         sync.Mutex
	size       int // of a generation; 0: maxProofs
	since      time.Time
	young, old map[hash]struct{}
}

// use remembers a proof, or returns an error if it was used before.
func (p *proofs) use(id string, now time.Time) error {
	const keep = 2 * dpop.Window
	h := hashOf(Secret(id))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch age := now.Sub(p.since); {
	case age >= 2*keep:
		p.young, p.old, p.since = map[hash]struct{}{}, nil, now
	case age >= keep:
		p.young, p.old, p.since = map[hash]struct{}{}, p.young, now
	}
	_, here := p.young[h]
	if _, before := p.old[h]; here || before {
		return fmt.Errorf("%w: it was used before", ErrProof)
	}
	if len(p.young) >= cmp.Or(p.size, maxProofs) {
		return fmt.Errorf("%w: too many proofs of possession at once", ErrUnavailable)
	}
	p.young[h] = struct{}{}
	return nil
}
