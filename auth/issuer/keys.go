package issuer

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// signingKey is one key as the store has it.
type signingKey struct {
	Seed []byte    `json:"seed"` // of Ed25519
	From time.Time `json:"from"` // signs from here on, until the next one does
}

// ring is all keys, oldest first.
type ring struct {
	Keys []signingKey `json:"keys"`
}

// ringCache is the ring as this process last saw it.
type ringCache struct {
	mu     sync.Mutex
	loaded time.Time

	from    []time.Time
	public  jose.Keys
	signers []*jose.Signer
}

const (
	ringKey  = "keys"
	ringLife = time.Minute // how long a process believes what it saw

	// announce is how long a key is published before it signs, so that whoever
	// keeps the key set for a while has it by then.
	announce = 10 * time.Minute
	// grace is how long a key is published after its last token has expired.
	grace = 10 * time.Minute
)

// keys returns the signer of now and all public keys.
func (i *Issuer) keys(ctx context.Context) (*jose.Signer, jose.Keys, error) {
	c := &i.ring
	c.mu.Lock()
	defer c.mu.Unlock()
	now := i.now()
	if len(c.signers) == 0 || now.Sub(c.loaded) > ringLife || now.Before(c.loaded) {
		if err := i.loadRing(ctx, now, false); err != nil {
			return nil, nil, fault.Mark(auth.ErrUnavailable, err)
		}
	}
	signer := c.signers[0]
	for n, from := range c.from {
		if !now.Before(from) {
			signer = c.signers[n]
		}
	}
	return signer, c.public, nil
}

// RotateKeys makes a new key that signs from now on. It is for a key that may
// have leaked; keys rotate by themselves. The old ones stay published for as
// long as their tokens live.
func (i *Issuer) RotateKeys(ctx context.Context) error {
	i.ring.mu.Lock()
	defer i.ring.mu.Unlock()
	return fault.Wrap("auth/issuer", "rotate keys", "", i.loadRing(ctx, i.now(), true))
}

// loadRing reads the ring, adds the keys that are due, drops the ones that
// nobody needs, and takes the outcome into the cache.
func (i *Issuer) loadRing(ctx context.Context, now time.Time, force bool) error {
	var r ring
	err := update(ctx, i.store, ringKey, 0, func(old []byte) ([]byte, error) {
		r = ring{}
		if old != nil {
			b, err := i.open(old)
			if err != nil {
				return nil, err
			}
			if err := json.Unmarshal(b, &r); err != nil {
				return nil, err
			}
		}
		if !i.turn(&r, now, force) {
			return nil, nil
		}
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		return i.shut(b)
	})
	if err != nil {
		return err
	}
	c := &i.ring
	c.signers, c.from, c.public = nil, nil, nil
	for _, k := range r.Keys {
		if len(k.Seed) != ed25519.SeedSize {
			return fmt.Errorf("a signing key of %d bytes in the store", len(k.Seed))
		}
		s, err := jose.NewSigner("", jose.EdDSA, ed25519.NewKeyFromSeed(k.Seed))
		if err != nil {
			return err
		}
		c.signers, c.from, c.public = append(c.signers, s), append(c.from, k.From), append(c.public, s.Key())
	}
	c.loaded = now
	return nil
}

// turn brings the ring up to date and reports whether it changed.
func (i *Issuer) turn(r *ring, now time.Time, force bool) (changed bool) {
	add := func(from time.Time) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		r.Keys = append(r.Keys, signingKey{Seed: seed, From: from.UTC()})
		changed = true
	}
	lead := min(announce, i.keyLife/4)
	switch n := len(r.Keys); {
	case n == 0:
		add(now)
	case force:
		for n > 0 && r.Keys[n-1].From.After(now) { // one that was to come is as old as the one that may have leaked
			n--
		}
		r.Keys = r.Keys[:n]
		add(now)
	case now.After(r.Keys[n-1].From.Add(i.keyLife - lead)):
		add(now.Add(lead))
	}
	for len(r.Keys) > 1 && now.After(r.Keys[1].From.Add(max(i.accessLife, idLife)+grace)) {
		r.Keys = r.Keys[1:]
		changed = true
	}
	return changed
}

func (i *Issuer) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(i.seal)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (i *Issuer) shut(b []byte) ([]byte, error) {
	if i.seal == nil {
		return b, nil
	}
	a, err := i.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, a.NonceSize())
	rand.Read(nonce)
	return a.Seal(nonce, nonce, b, []byte(ringKey)), nil
}

func (i *Issuer) open(b []byte) ([]byte, error) {
	if i.seal == nil {
		return b, nil
	}
	a, err := i.aead()
	if err != nil {
		return nil, err
	}
	if len(b) < a.NonceSize() {
		return nil, fmt.Errorf("sealed keys of %d bytes in the store", len(b))
	}
	out, err := a.Open(nil, b[:a.NonceSize()], b[a.NonceSize():], []byte(ringKey))
	if err != nil {
		return nil, fmt.Errorf("the seal key does not open the keys in the store: %w", err)
	}
	return out, nil
}

// keysOf finds the keys to verify this issuer's own tokens by.
func (i *Issuer) keysOf(ctx context.Context, id string) ([]*jose.Key, error) {
	_, public, err := i.keys(ctx)
	if err != nil {
		return nil, err
	}
	found, err := public.Keys(ctx, id)
	if err == nil {
		return found, nil
	}
	// Another issuer on the same store may have rotated a moment ago.
	i.ring.mu.Lock()
	if i.now().Sub(i.ring.loaded) > time.Second {
		if err := i.loadRing(ctx, i.now(), false); err != nil {
			i.ring.mu.Unlock()
			return nil, fault.Mark(auth.ErrUnavailable, err)
		}
	}
	public = i.ring.public
	i.ring.mu.Unlock()
	return public.Keys(ctx, id)
}

type keySource struct{ i *Issuer }

func (k keySource) Keys(ctx context.Context, id string) ([]*jose.Key, error) {
	return k.i.keysOf(ctx, id)
}
