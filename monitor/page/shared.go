package page

import (
	"context"
	"sync"
	"time"
)

// shared is what the store's documents have come to, asked once for all readers of
// the timeline.
type shared struct {
	turn  chan struct{} // held by who asks the store
	mu    sync.Mutex
	asked time.Time // zero: not yet, or a version was made here since
	made  int       // versions made here
	list  []Moment
	err   error
}

// sharedFor is how long an answer of the store stands for all readers.
const sharedFor = 2 * time.Second

// forget makes the next reader ask.
func (s *shared) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Time{}
	s.made++
}

func (s *shared) known() (list []Moment, made int, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list, s.made, time.Since(s.asked) < sharedFor, s.err
}

// get returns what ask returned less than sharedFor ago. Of readers that come
// together one asks, and goes on when its reader has left.
func (s *shared) get(ctx context.Context, ask func(context.Context) ([]Moment, error)) ([]Moment, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	list, made, ok, err := s.known()
	if ok {
		return list, err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyTime) // what the page knows itself must not wait longer
	defer cancel()
	list, err = ask(bounded)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.err = list, err
	if made == s.made { // else the answer may be without what was made meanwhile
		s.asked = time.Now()
	}
	return list, err
}
