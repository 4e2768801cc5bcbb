package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

const (
	ringKey = "keys"

	// ringLife is how long a process believes what it read of the keys. So
	// several issuers on one store are one after this time: they sign with the
	// same key and publish the same set.
	ringLife = 250 * time.Millisecond
	// ringBusy is how long it goes on with them while somebody reads them again.
	ringBusy = time.Second
	// ringStale is how long it goes on with them if the store is unavailable.
	ringStale = time.Minute
	// ringAgain is the least time between two reads for the sake of a key id
	// that isn't known: strangers can make up as many as they like.
	ringAgain = 20 * time.Millisecond
	// settle is how long after RotateKeys the new key signs: every issuer on the
	// store publishes it by then.
	settle = 2 * ringLife

	// announce is how long a key is published before it signs, so that whoever
	// keeps the key set for a while has it by then.
	announce = 10 * time.Minute
)

// ringCache is the keys as this process last saw them.
type ringCache struct {
	view    atomic.Pointer[ringView]
	loading chan struct{} // one reads at a time; the others go on with what there is
}

// ringView is not changed once it is published.
type ringView struct {
	loaded  time.Time
	version uint64 // of the record; 0: not known
	ring    ring
	public  jose.Keys
}

// age is how old the view is; it is at least 0 unless the clock was put back.
func (v *ringView) age(now time.Time) time.Duration { return now.Sub(v.loaded) }

// fresh reports whether the view may be used without a look at the store: it
// has a key of the algorithm (empty: any) and is young enough.
func (v *ringView) fresh(alg string, now time.Time, life time.Duration) bool {
	return v != nil && v.age(now) >= 0 && v.age(now) <= life && (alg == "" || len(v.ring.line(alg)) > 0)
}

// signer returns what signs with an algorithm now.
func (i *Issuer) signer(ctx context.Context, alg string) (*jose.Signer, error) {
	v, err := i.keys(ctx, alg, ringLife)
	if err != nil {
		return nil, err
	}
	return v.ring.signer(alg, i.now()), nil
}

// keys returns the keys as they were in the store at most life ago.
func (i *Issuer) keys(ctx context.Context, alg string, life time.Duration) (*ringView, error) {
	c := &i.ring
	v := c.view.Load()
	if v.fresh(alg, i.now(), life) {
		return v, nil
	}
	select {
	case c.loading <- struct{}{}:
	default:
		if life >= ringLife && v.fresh(alg, i.now(), ringBusy) {
			return v, nil
		}
		select {
		case c.loading <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { <-c.loading }()
	v = c.view.Load()
	if v.fresh(alg, i.now(), life) {
		return v, nil
	}
	next, err := i.loadRing(ctx, alg, nil)
	switch {
	case err == nil:
		return next, nil
	case v.fresh(alg, i.now(), ringStale):
		i.warn("auth/issuer: the signing keys can't be read; the last known ones are used", "error", err)
		return v, nil
	}
	return nil, fault.Mark(auth.ErrUnavailable, err)
}

// RotateKeys makes new keys, which sign half a second later, when every issuer
// on the store publishes them. Keys rotate by themselves: it is for a change
// that is wanted now. The old ones stay published for as long as their tokens
// live, so nobody notices; for a key that has leaked see RevokeKey.
func (i *Issuer) RotateKeys(ctx context.Context) error {
	return i.alterRing(ctx, "rotate keys", "", func(r *ring) error {
		now := i.now()
		return r.rotate(now, now.Add(settle))
	})
}

// RevokeKey drops a signing key, named by its id (the kid of KeySet and of the
// header of its tokens), for good. Its tokens are no longer accepted by any
// issuer on the store within a second, nor by others once they have fetched the
// key set again. If it was the one that signs, a new one does so at once. An
// unknown id is ErrNotFound. If the store itself has leaked, revoke all keys.
func (i *Issuer) RevokeKey(ctx context.Context, id string) error {
	return i.alterRing(ctx, "revoke key", id, func(r *ring) error {
		found, err := r.revoke(id, i.now())
		if err == nil && !found {
			err = ErrNotFound
		}
		return err
	})
}

func (i *Issuer) alterRing(ctx context.Context, op, subject string, change func(*ring) error) error {
	var err error
	select {
	case i.ring.loading <- struct{}{}:
		defer func() { <-i.ring.loading }()
		_, err = i.loadRing(ctx, i.algorithm, change)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return fault.Wrap("auth/issuer", op, subject, err)
}

// loadRing reads the keys, turns them, applies change (which may be nil), writes
// them back if that altered anything, and publishes the outcome to the process.
func (i *Issuer) loadRing(ctx context.Context, alg string, change func(*ring) error) (*ringView, error) {
	for {
		v, err := i.readRing(ctx)
		if err != nil {
			return nil, err
		}
		keep := max(i.accessLife, idLife) + auth.MaxLeeway
		changed, err := v.ring.turn(alg, v.loaded, i.keyLife, keep)
		if err == nil && change != nil {
			changed, err = true, change(&v.ring)
		}
		if err != nil {
			return nil, err
		}
		if changed {
			err = i.writeRing(ctx, v)
			if errors.Is(err, fault.Conflict) && ctx.Err() == nil {
				continue // somebody else wrote
			}
			if err != nil {
				return nil, err
			}
			v.version = 0
		}
		v.public = nil
		for _, k := range v.ring.Keys {
			v.public = append(v.public, k.signer.Key())
		}
		i.ring.view.Store(v)
		return v, nil
	}
}

// readRing reads the record, and parses it if it is another than last time.
func (i *Issuer) readRing(ctx context.Context) (*ringView, error) {
	v := &ringView{loaded: i.now()}
	raw, version, err := i.store.Get(ctx, ringKey)
	if errors.Is(err, fault.NotFound) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.version = version
	if last := i.ring.view.Load(); last != nil && last.version == version {
		v.ring.Keys = slices.Clone(last.ring.Keys)
		return v, nil
	}
	b, err := i.open(raw)
	if err == nil {
		err = json.Unmarshal(b, &v.ring)
	}
	if err == nil {
		err = v.ring.parse()
	}
	return v, err
}

func (i *Issuer) writeRing(ctx context.Context, v *ringView) error {
	return i.store.Put(ctx, ringKey, i.shut(encode(v.ring)), v.version, 0)
}

// KeySet returns the public keys as a JWK set (RFC 7517).
func (i *Issuer) KeySet(ctx context.Context) ([]byte, error) {
	v, err := i.keys(ctx, i.algorithm, ringLife)
	if err != nil {
		return nil, fault.Wrap("auth/issuer", "key set", "", err)
	}
	return jose.MarshalSet(v.public...), nil
}

// keySource finds the keys to verify this issuer's own tokens by.
type keySource struct{ i *Issuer }

func (k keySource) Keys(ctx context.Context, id string) ([]*jose.Key, error) {
	v, err := k.i.keys(ctx, "", ringLife)
	if err != nil {
		return nil, err
	}
	found, err := v.public.Keys(ctx, id)
	if err == nil {
		return found, nil
	}
	// Another issuer on the same store may have rotated a moment ago.
	v, err = k.i.keys(ctx, "", ringAgain)
	if err != nil {
		return nil, err
	}
	return v.public.Keys(ctx, id)
}

// WithAlgorithm sets what access tokens are signed with: EdDSA, ES256, or RS256
// for resource servers that know nothing else. Default EdDSA. ID tokens are
// signed as each client's account says.
func WithAlgorithm(alg string) Option {
	return func(i *Issuer) error {
		if !slices.Contains(algorithms, alg) {
			return fmt.Errorf("%w: algorithm %q, want one of %q", auth.ErrInvalid, alg, algorithms)
		}
		i.algorithm = alg
		return nil
	}
}
