package metrics

import (
	"math/bits"
	"math/rand/v2"
	"sync"
)

// reservoir keeps a bounded number of the values that were observed since the
// last take, each standing for the same power of two of observations. Every
// block of that many has one representative, chosen evenly. When there is no
// room left, two blocks become one.
//
// Weights are powers of two because their inverses have exact decimals:
// receivers that compute 1/rate, some of them rounded down, count exactly.
type reservoir struct {
	mu     sync.Mutex
	kept   []float64 // of full blocks, capacity is the bound
	weight uint64    // size of a block
	filled uint64    // of the block that is being filled
	chosen uint64    // which of that block represents it
	pick   float64   // the representative, once seen
	last   float64
}

func newReservoir(size int) *reservoir {
	return &reservoir{kept: make([]float64, 0, max(2, size&^1)), weight: 1}
}

func (r *reservoir) add(v float64) {
	r.mu.Lock()
	if r.filled == r.chosen {
		r.pick = v
	}
	r.last = v
	r.filled++
	if r.filled == r.weight {
		r.close()
	}
	r.mu.Unlock()
}

// close ends a block.
func (r *reservoir) close() {
	if len(r.kept) == cap(r.kept) {
		half := r.kept[:0]
		for i := 0; i < len(r.kept); i += 2 {
			half = append(half, r.kept[i+rand.IntN(2)])
		}
		r.kept = half
		// The block that just ended is the first half of a larger one.
		r.weight *= 2
		r.chosen = rand.Uint64N(r.weight)
		if r.chosen < r.filled {
			r.chosen = r.filled - 1 // it has its representative: pick
		}
		return
	}
	r.kept = append(r.kept, r.pick)
	r.filled = 0
	r.chosen = 0
	if r.weight > 1 {
		r.chosen = rand.Uint64N(r.weight)
	}
}

// take returns the samples and begins again. Their weights add up to exactly the
// number of observations.
func (r *reservoir) take() []Sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == 0 { // nor is a block begun: the first ones are of one each
		return nil
	}
	samples := make([]Sample, 0, len(r.kept)+bits.OnesCount64(r.filled))
	for _, v := range r.kept {
		samples = append(samples, Sample{Value: v, Weight: r.weight})
	}
	v := r.last
	if r.filled > r.chosen {
		v = r.pick
	}
	for left := r.filled; left > 0; left &= left - 1 { // the block that isn't full, by powers of two
		samples = append(samples, Sample{Value: v, Weight: left & -left})
	}
	r.kept, r.weight, r.filled, r.chosen = r.kept[:0], 1, 0, 0
	return samples
}
