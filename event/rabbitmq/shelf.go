package rabbitmq

import (
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// shelf has what was read beyond what a reader asked for, until it comes back for
// it. A page costs three requests, and the server sends whole chunks: who reads on
// is given larger pages.
type shelf struct {
	mu    sync.Mutex
	books []book // the newest last
}

// book is one reader's.
type book struct {
	after int64 // where it reads on
	rest  []amqp.Delivery
	size  int // of the next page
	at    time.Time
}

const (
	maxBooks = 8
	bookAge  = 2 * time.Second // it doesn't come back
	maxPage  = 4096
)

// take returns what a reader that goes on after a place has left.
func (s *shelf) take(after int64) (book, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean()
	for i, b := range s.books {
		if b.after == after {
			s.books = slices.Delete(s.books, i, i+1)
			return b, true
		}
	}
	return book{}, false
}

func (s *shelf) put(b book) {
	b.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean()
	if len(s.books) == maxBooks {
		s.books = slices.Delete(s.books, 0, 1)
	}
	s.books = append(s.books, b)
}

// clean throws away what nobody has come for. s.mu is held.
func (s *shelf) clean() {
	s.books = slices.DeleteFunc(s.books, func(b book) bool { return time.Since(b.at) > bookAge })
}
