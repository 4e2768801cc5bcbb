package issuer

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
)

// secrets checks secrets slowly, as OWASP advises for PBKDF2, remembers the
// ones that were right, and slows down who guesses.
type secrets struct {
	rounds int
	now    func() time.Time
	pepper [32]byte // of this process: what is remembered is no use elsewhere
	places *queue   // hashing is work: more at once than processors helps nobody
	decoy  string   // checked for users who don't exist, so that they take as long

	mu    sync.Mutex
	right map[[32]byte]time.Time
	wrong map[guesser]guesses
}

// guesser is who guesses what. Guesses of one source never make another wait
// for the same account: a stranger can't lock its owner out.
type guesser struct{ source, id string }

type guesses struct {
	n    int
	next time.Time // not listened to before
}

const (
	rememberFor  = 24 * time.Hour
	rememberMost = 4096
	freeGuesses  = 5
	longestPause = time.Minute
)

func (s *secrets) init(rounds int, now func() time.Time) {
	s.rounds, s.now = rounds, now
	rand.Read(s.pepper[:])
	s.places = newQueue(runtime.GOMAXPROCS(0))
	s.decoy = newDecoy(rounds)
	s.right, s.wrong = map[[32]byte]time.Time{}, map[guesser]guesses{}
}

// hash returns what the store keeps of a secret.
func (s *secrets) hash(ctx context.Context, secret string) (string, error) {
	if generated(secret) {
		return fastHash + digest(secret), nil
	}
	if err := s.places.enter(ctx, ""); err != nil {
		return "", err
	}
	defer s.places.leave()
	return newSlowHash(secret, s.rounds), nil
}

// check compares a secret with an account's hash; an empty hash is of an
// account that doesn't exist or has no secret. source is who asks; empty is
// this process. wait is how long this source is not listened to for this
// account, after too many wrong guesses. An error is ctx's, or errBusy.
func (s *secrets) check(ctx context.Context, source, id, hash, secret string) (ok bool, wait time.Duration, err error) {
	if strings.HasPrefix(hash, fastHash) {
		return equalFast(hash, secret), 0, nil
	}
	known := s.mark(id, hash, secret)
	if hash != "" && s.knows(known) {
		return true, 0, nil
	}
	who := guesser{source, id}
	if wait := s.pause(who); wait > 0 {
		return false, wait, nil
	}
	if err := s.places.enter(ctx, source); err != nil {
		return false, 0, err
	}
	defer s.places.leave()
	if wait := s.pause(who); wait > 0 { // others of the source were wrong meanwhile
		return false, wait, nil
	}
	ok = equalSlow(cmp.Or(hash, s.decoy), secret)
	s.learn(known, who, ok)
	return ok, 0, nil
}

// mark is how a right secret is remembered: a changed one has another hash.
func (s *secrets) mark(id, hash, secret string) [32]byte {
	mac := hmac.New(sha256.New, s.pepper[:])
	fmt.Fprintf(mac, "%d|%s|%d|%s|%s", len(id), id, len(hash), hash, secret)
	return [32]byte(mac.Sum(nil))
}

func (s *secrets) knows(known [32]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, there := s.right[known]
	return there && s.now().Before(until)
}

// pause is how long a guesser must wait. This process itself never does.
func (s *secrets) pause(who guesser) time.Duration {
	if who.source == "" {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong[who].next.Sub(s.now())
}

func (s *secrets) learn(known [32]byte, who guesser, ok bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	if ok {
		s.right[known] = now.Add(rememberFor)
		delete(s.wrong, who)
		return
	}
	g := s.wrong[who]
	g.n++
	if g.n >= freeGuesses {
		g.next = now.Add(min(time.Second<<min(g.n-freeGuesses, 10), longestPause))
	}
	s.wrong[who] = g
}

// forget keeps both maps bounded: what is over goes first, then anything.
func (s *secrets) forget(now time.Time) {
	if len(s.right) >= rememberMost {
		for k, until := range s.right {
			if !now.Before(until) || len(s.right) >= rememberMost {
				delete(s.right, k)
			}
		}
	}
	if len(s.wrong) >= rememberMost {
		for k, g := range s.wrong {
			if now.After(g.next.Add(longestPause)) || len(s.wrong) >= rememberMost {
				delete(s.wrong, k)
			}
		}
	}
}
