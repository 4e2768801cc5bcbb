package page

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	freeGuesses  = 5                // wrong passwords of a source before it has to wait
	longestPause = time.Minute      // of a source
	forgetAfter  = 15 * time.Minute // without a guess a source begins again
	mostSources  = 1000             // remembered; the rest share one
	mostKnown    = 100              // passwords that were right
)

// guesses slows down those who try passwords. A source may be wrong five times,
// then it waits twice as long after each, up to a minute. A password that was
// right is never held up: guesses from behind the same proxy lock nobody out
// who has signed in before.
type guesses struct {
	key [32]byte // of the digests in known

	mu      sync.Mutex
	sources map[string]*guesser
	known   map[[32]byte]bool
}

type guesser struct {
	wrong int
	until time.Time // no guess before
	last  time.Time
}

func newGuesses() *guesses {
	g := &guesses{sources: map[string]*guesser{}, known: map[[32]byte]bool{}}
	_, _ = rand.Read(g.key[:]) // never fails
	return g
}

// try counts a guess as wrong until right is called, so that guesses at the
// same time count too. wait is how long the source has to wait; it may try if
// that is 0.
func (g *guesses) try(source, user, password string) (right func(), wait time.Duration) {
	digest := g.digest(user, password)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known[digest] {
		return func() {}, 0
	}
	s := g.guesser(source, now)
	if wait := s.until.Sub(now); wait > 0 {
		return nil, wait
	}
	s.last = now
	s.wrong++
	if s.wrong >= freeGuesses {
		s.until = now.Add(min(longestPause, time.Second<<min(s.wrong-freeGuesses, 10)))
	}
	return func() { g.right(source, digest) }, 0
}

// guesser returns what is known of a source; g.mu is held.
func (g *guesses) guesser(source string, now time.Time) *guesser {
	if s := g.sources[source]; s != nil && now.Sub(s.last) < forgetAfter {
		return s
	}
	if len(g.sources) >= mostSources {
		for name, s := range g.sources {
			if now.Sub(s.last) >= forgetAfter {
				delete(g.sources, name)
			}
		}
	}
	if len(g.sources) >= mostSources && g.sources[source] == nil {
		source = "" // nobody is forgotten in favour of strangers
		if s := g.sources[source]; s != nil {
			return s
		}
	}
	s := &guesser{last: now}
	g.sources[source] = s
	return s
}

func (g *guesses) right(source string, digest [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sources, source)
	if len(g.known) >= mostKnown {
		clear(g.known)
	}
	g.known[digest] = true
}

func (g *guesses) digest(user, password string) (sum [32]byte) {
	h := hmac.New(sha256.New, g.key[:])
	h.Write([]byte(user))
	h.Write([]byte{0})
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}
