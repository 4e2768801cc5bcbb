package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// ErrNonce: the service wants a nonce of its own in proofs of possession
// (WithNonces), and the proof has none or an old one. It is an ErrProof, too.
var ErrNonce = fault.Finer(ErrProof, "a nonce is required")

// WithNonces refuses proofs of possession (RFC 9449 section 9) without a nonce
// that this service has given in the last minutes, so that nobody can make
// proofs in advance. Instances of one service need the same key, of at least 32
// bytes; with nil, for a service of one instance, New makes one. Bearer tokens
// need no proof and no nonce. Default: no nonces.
func WithNonces(key []byte) Option {
	return func(o *options) error {
		switch {
		case key == nil:
			key = make([]byte, 32)
			rand.Read(key)
		case len(key) < 32:
			return fmt.Errorf("%w: a key of %d bytes for nonces, want 32 or more", ErrInvalid, len(key))
		}
		o.nonces = &nonces{key: slices.Clone(key)}
		return nil
	}
}

// nonceTurn is how often the nonce changes. The one before is accepted, too, so
// a nonce is good for one turn at least and two at most.
const nonceTurn = 2 * time.Minute

// nonces makes nonces of the time, so that nothing has to be remembered, and
// instances with the same key accept each other's.
type nonces struct {
	key  []byte
	last atomic.Pointer[turnNonce]
}

type turnNonce struct {
	turn  int64
	value string
}

func (n *nonces) of(turn int64) string {
	mac := hmac.New(sha256.New, n.key)
	mac.Write(binary.BigEndian.AppendUint64([]byte("dpop nonce "), uint64(turn)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func turnOf(t time.Time) int64 { return t.Unix() / int64(nonceTurn/time.Second) }

// current is the nonce of this turn.
func (n *nonces) current(now time.Time) string {
	turn := turnOf(now)
	if last := n.last.Load(); last != nil && last.turn == turn {
		return last.value
	}
	made := &turnNonce{turn, n.of(turn)}
	n.last.Store(made)
	return made.value
}

// good reports whether a nonce is of this turn, of the one before, or of the
// next, which an instance whose clock is ahead may have given.
func (n *nonces) good(value string, now time.Time) bool {
	if hmac.Equal([]byte(n.current(now)), []byte(value)) {
		return true
	}
	turn := turnOf(now)
	return hmac.Equal([]byte(n.of(turn-1)), []byte(value)) || hmac.Equal([]byte(n.of(turn+1)), []byte(value))
}

// ProofNonce implements NonceRequirer of package auth/driver.
func (f *front) ProofNonce() string {
	if f.nonces == nil {
		return ""
	}
	return f.nonces.current(f.now())
}

// nonceFor is the nonce that a caller gets with its answer: only one of the
// scheme DPoP gets any.
func nonceFor(a Auth, scheme string) string {
	if r, ok := a.(nonceRequirer); ok && scheme == "DPoP" {
		return r.ProofNonce()
	}
	return ""
}
