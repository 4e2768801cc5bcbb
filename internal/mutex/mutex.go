// Package mutex has a mutex that can be waited for with a context: for what is held
// while a server is asked.
package mutex

import "context"

// Mutex is held by one at a time. New makes one.
type Mutex chan struct{}

// New returns a Mutex that nobody holds.
func New() Mutex { return make(Mutex, 1) }

// Lock waits until nobody holds m. It returns ctx's error if ctx ends before, or has
// ended.
func (m Mutex) Lock(ctx context.Context) error {
	select {
	case m <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := ctx.Err()
	if err != nil {
		m.Unlock()
	}
	return err
}

// Unlock ends what Lock began.
func (m Mutex) Unlock() { <-m }
