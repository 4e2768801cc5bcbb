package sync

import (
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// Fence guards one resource of this process against holders that are late: it
// lets pass whoever shows a token at least as large as the largest one seen.
// The zero Fence is ready, and safe for concurrent use.
//
// A check is worth as much as it is close to the write: do both under the lock
// that the resource has anyway, or let the store that is written to compare the
// tokens (see WriteFenced).
//
// M. Kleppmann, "How to do distributed locking" (2016), explains why no lock
// with a time limit is safe without one.
type Fence struct{ largest atomic.Uint64 }

// Check returns ErrConflict if a larger token was seen before.
func (f *Fence) Check(token uint64) error {
	for {
		seen := f.largest.Load()
		switch {
		case token < seen:
			return fault.New(ErrConflict, "sync", "fence", "", "token %d is older than %d", token, seen)
		case token == seen || f.largest.CompareAndSwap(seen, token):
			return nil
		}
	}
}

// Largest returns the largest token seen, 0 before the first.
func (f *Fence) Largest() uint64 { return f.largest.Load() }
