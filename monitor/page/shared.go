package page

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/mutex"
)

// shared is a list that a backend is asked for once for all readers.
type shared[T any] struct {
	stands time.Duration // how long an answer does
	most   time.Duration // that an answer may take: what the page knows itself must not wait longer
	turn   mutex.Mutex   // of who asks

	mu    sync.Mutex
	asked time.Time // zero: not yet, or a change was made here since
	made  int       // changes made here
	list  []T
	err   error
}

func newShared[T any](stands, most time.Duration) *shared[T] {
	return &shared[T]{stands: stands, most: most}
}

// forget makes the next reader ask.
func (s *shared[T]) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Time{}
	s.made++
}

func (s *shared[T]) known() (list []T, made int, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list, s.made, time.Since(s.asked) < s.stands, s.err
}

// get returns what ask has returned lately. Of readers that come together one
// asks, and goes on when its reader has left. ask gets the list before.
func (s *shared[T]) get(ctx context.Context, ask func(ctx context.Context, old []T) ([]T, error)) ([]T, error) {
	err := s.turn.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer s.turn.Unlock()
	list, made, ok, err := s.known()
	if ok {
		return list, err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.most)
	defer cancel()
	list, err = ask(bounded, list)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.err = list, err
	if made == s.made { // else the answer may be without what was made meanwhile
		s.asked = time.Now()
	}
	return list, err
}
