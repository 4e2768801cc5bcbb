package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/jose"
)

// The algorithms that an issuer signs with. OpenID Connect demands RS256.
const (
	RS256 = jose.RS256
	ES256 = jose.ES256
	EdDSA = jose.EdDSA
)

var algorithms = []string{RS256, ES256, EdDSA}

// signingKey is one key as the store has it.
type signingKey struct {
	Algorithm string    `json:"alg"`
	Private   []byte    `json:"private"` // PKCS #8
	From      time.Time `json:"from"`    // signs from here on, until the next one of its algorithm does

	signer *jose.Signer
}

// ring is all keys, of each algorithm the oldest first.
type ring struct {
	Keys []signingKey `json:"keys"`
}

// newKey makes a key that signs from a time on.
func newKey(alg string, from time.Time) (signingKey, error) {
	var private crypto.PrivateKey
	var err error
	switch alg {
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return signingKey{}, err
	}
	b, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return signingKey{}, err
	}
	k := signingKey{Algorithm: alg, Private: b, From: from.UTC()}
	k.signer, err = jose.NewSigner("", alg, private)
	return k, err
}

// parse makes the signers of what was read from the store.
func (r *ring) parse() error {
	for n := range r.Keys {
		k := &r.Keys[n]
		private, err := x509.ParsePKCS8PrivateKey(k.Private)
		if err == nil {
			k.signer, err = jose.NewSigner("", k.Algorithm, private)
		}
		if err != nil {
			return fmt.Errorf("a signing key in the store: %w", err)
		}
	}
	return nil
}

// line returns where the keys of an algorithm are, oldest first.
func (r *ring) line(alg string) (at []int) {
	for n, k := range r.Keys {
		if k.Algorithm == alg {
			at = append(at, n)
		}
	}
	return at
}

// signer returns the key of an algorithm that signs now, or nil.
func (r *ring) signer(alg string, now time.Time) *jose.Signer {
	var s *jose.Signer
	for _, n := range r.line(alg) {
		if s == nil || !now.Before(r.Keys[n].From) {
			s = r.Keys[n].signer
		}
	}
	return s
}

func (r *ring) add(alg string, from time.Time) error {
	k, err := newKey(alg, from)
	if err != nil {
		return err
	}
	at := len(r.Keys)
	for _, n := range r.line(alg) { // before those that are to come
		if r.Keys[n].From.After(from) {
			at = n
			break
		}
	}
	r.Keys = slices.Insert(r.Keys, at, k)
	return nil
}

// turn adds the keys that are due, and the first one of an algorithm that has
// none, and drops those that have not signed for longer than their tokens live.
// It reports whether the ring changed.
func (r *ring) turn(alg string, now time.Time, life, keep time.Duration) (changed bool, err error) {
	lead := min(announce, life/4)
	for _, a := range algorithms {
		line := r.line(a)
		from := now.Add(lead)
		switch {
		case len(line) == 0 && a == alg:
			from = now
		case len(line) == 0, !now.After(r.Keys[line[len(line)-1]].From.Add(life - lead)):
			continue
		}
		if err := r.add(a, from); err != nil {
			return false, err
		}
		changed = true
	}
	for _, a := range algorithms {
		for line := r.line(a); len(line) > 1 && now.After(r.Keys[line[1]].From.Add(keep)); line = r.line(a) {
			r.Keys = slices.Delete(r.Keys, line[0], line[0]+1)
			changed = true
		}
	}
	return changed, nil
}

// rotate has a new key of each algorithm sign from a time on. Those that were
// to come go: they are as old as the ones that may have leaked.
func (r *ring) rotate(now, from time.Time) error {
	r.Keys = slices.DeleteFunc(r.Keys, func(k signingKey) bool { return k.From.After(now) })
	for _, alg := range algorithms {
		if len(r.line(alg)) == 0 {
			continue
		}
		if err := r.add(alg, from); err != nil {
			return err
		}
	}
	return nil
}

// revoke drops a key. If it signs, a new one does so from now on: an older one
// must not sign again.
func (r *ring) revoke(id string, now time.Time) (found bool, err error) {
	n := slices.IndexFunc(r.Keys, func(k signingKey) bool { return k.signer.Key().ID == id })
	if n < 0 {
		return false, nil
	}
	alg := r.Keys[n].Algorithm
	signs := r.signer(alg, now).Key().ID == id
	r.Keys = slices.Delete(r.Keys, n, n+1)
	if signs {
		err = r.add(alg, now)
	}
	return true, err
}
