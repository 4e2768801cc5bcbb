// Package mutex has a mutex that can be waited for with a context: for what is held
// while a server is asked.
package mutex

import (
	"context"
	"sync"
)

// Mutex is held by one at a time. The zero Mutex is held by nobody.
type Mutex struct {
	once sync.Once
	held chan struct{} // has a value while it is held
}

// Lock waits until nobody holds m. It returns ctx's error if ctx ends before, or has
// ended.
func (m *Mutex) Lock(ctx context.Context) error {
	m.once.Do(func() { m.held = make(chan struct{}, 1) })
	select {
	case m.held <- struct{}{}:
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
func (m *Mutex) Unlock() { <-m.held }
