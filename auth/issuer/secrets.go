package issuer

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// secrets checks secrets slowly, as OWASP advises for PBKDF2, remembers for a
// while the ones that were right, and slows down who guesses.
type secrets struct {
	rounds int
	now    func() time.Time
	pepper [32]byte      // of this process: what is remembered is no use elsewhere
	places chan struct{} // hashing is work: more at once than processors helps nobody
	decoy  string        // checked for accounts that don't exist, so that they take as long

	mu    sync.Mutex
	right map[[32]byte]time.Time
	wrong map[string]guesses
}

type guesses struct {
	n    int
	next time.Time // not listened to before
}

const (
	rememberFor  = 5 * time.Minute
	rememberMost = 4096
	freeGuesses  = 5
	longestPause = time.Minute
)

func (s *secrets) init(rounds int, now func() time.Time) {
	s.rounds, s.now = rounds, now
	rand.Read(s.pepper[:])
	s.places = make(chan struct{}, runtime.GOMAXPROCS(0))
	salt, key := make([]byte, 16), make([]byte, 32)
	rand.Read(salt)
	rand.Read(key)
	s.decoy = encodeHash(rounds, salt, key)
	s.right, s.wrong = map[[32]byte]time.Time{}, map[string]guesses{}
}

// hash returns "pbkdf2-sha256$rounds$salt$key". The whole secret counts,
// however long.
func (s *secrets) hash(secret string) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	return encodeHash(s.rounds, salt, derive(secret, salt, s.rounds))
}

func encodeHash(rounds int, salt, key []byte) string {
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", rounds, enc(salt), enc(key))
}

func derive(secret string, salt []byte, rounds int) []byte {
	key, err := pbkdf2.Key(sha256.New, secret, salt, rounds, 32)
	if err != nil { // only for parameters that New refuses
		return nil
	}
	return key
}

func equalHash(hash, secret string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2-sha256" {
		return false
	}
	rounds, err := strconv.Atoi(parts[1])
	salt, err2 := base64.RawStdEncoding.DecodeString(parts[2])
	want, err3 := base64.RawStdEncoding.DecodeString(parts[3])
	if err != nil || err2 != nil || err3 != nil || rounds < 1 || len(want) == 0 {
		return false
	}
	return subtle.ConstantTimeCompare(derive(secret, salt, rounds), want) == 1
}

// check compares a secret with an account's hash; an empty hash is of an
// account that doesn't exist or has no secret. wait is how long the account is
// not listened to after too many wrong guesses.
func (s *secrets) check(id, hash, secret string) (ok bool, wait time.Duration) {
	now := s.now()
	mac := hmac.New(sha256.New, s.pepper[:])
	fmt.Fprintf(mac, "%d|%s|%d|%s|%s", len(id), id, len(hash), hash, secret)
	known := [32]byte(mac.Sum(nil))

	s.mu.Lock()
	until, remembered := s.right[known]
	g := s.wrong[id]
	s.mu.Unlock()
	if remembered && now.Before(until) && hash != "" {
		return true, 0
	}
	if wait := g.next.Sub(now); wait > 0 {
		return false, wait
	}
	s.places <- struct{}{}
	if hash == "" {
		equalHash(s.decoy, secret)
	} else {
		ok = equalHash(hash, secret)
	}
	<-s.places

	s.mu.Lock()
	defer s.mu.Unlock()
	if ok {
		s.forget(now)
		s.right[known] = now.Add(rememberFor)
		delete(s.wrong, id)
		return true, 0
	}
	s.forget(now)
	g = s.wrong[id]
	if g.n++; g.n >= freeGuesses {
		g.next = now.Add(min(time.Second<<min(g.n-freeGuesses, 10), longestPause))
	}
	s.wrong[id] = g
	return false, 0
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
