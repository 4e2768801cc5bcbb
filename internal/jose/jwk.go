package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxKeys bounds how many keys a set may have.
const maxKeys = 100

// ParseSet reads a JWK Set (RFC 7517 section 5). Keys that can't verify
// signatures here, because of their type, curve, algorithm, use or weakness,
// are left out, as the RFC says, and reported in skipped. A shared secret in a
// set is always left out: a set is public. An error means that it is no set.
func ParseSet(b []byte) (keys []*Key, skipped []error, err error) {
	set, err := ParseObject(b)
	if err != nil {
		return nil, nil, err
	}
	list, ok := set["keys"].([]any)
	if !ok {
		return nil, nil, fmt.Errorf("%w: a key set without keys", ErrFormat)
	}
	if len(list) > maxKeys {
		return nil, nil, fmt.Errorf("%w: a set of %d keys, want %d or less", ErrFormat, len(list), maxKeys)
	}
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, nil, fmt.Errorf("%w: key %d is no object", ErrFormat, i)
		}
		k, err := parseKey(m, false)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, skipped, nil
}

// errUse is that a key is not for signatures.
var errUse = fmt.Errorf("%w: not for signatures", ErrKey)

// ParseWhole is ParseSet of a set that an operator supplied, of which every key for
// signatures has to be usable, and one has to be there. Keys for encryption, which
// authorities such as Keycloak publish beside them, are left out.
func ParseWhole(b []byte) (Keys, error) {
	keys, skipped, err := ParseSet(b)
	skipped = slices.DeleteFunc(skipped, func(err error) bool { return errors.Is(err, errUse) })
	switch {
	case err != nil:
		return nil, err
	case len(skipped) > 0:
		return nil, skipped[0]
	case len(keys) == 0:
		return nil, errors.New("an empty key set: no key for signatures")
	}
	return keys, nil
}

// ParseKey reads one JWK that an operator supplied. Shared secrets ("oct") are
// taken; of a private key only the public part is.
func ParseKey(b []byte) (*Key, error) {
	m, err := ParseObject(b)
	if err != nil {
		return nil, err
	}
	return parseKey(m, true)
}

// PublicKey reads one JWK that came with a message: a shared secret is an error.
func PublicKey(jwk map[string]any) (*Key, error) { return parseKey(jwk, false) }

func parseKey(m map[string]any, secrets bool) (*Key, error) {
	bytes := func(name string) ([]byte, error) {
		var s string
		err := texts(m, map[string]*string{name: &s})
		if err == nil && s == "" {
			err = fmt.Errorf("%w: no %q", ErrFormat, name)
		}
		if err != nil {
			return nil, err
		}
		return decode(s)
	}
	var kty, id, alg, use, curve string
	err := texts(m, map[string]*string{"kty": &kty, "kid": &id, "alg": &alg, "use": &use, "crv": &curve})
	if err != nil {
		return nil, err
	}
	if use != "" && use != "sig" {
		return nil, fmt.Errorf("%w: its use is %q", errUse, use)
	}
	if ops, there := m["key_ops"]; there {
		list, ok := ops.([]any)
		if !ok || !slices.Contains(list, any("verify")) {
			return nil, fmt.Errorf("%w: key_ops without verify", ErrKey)
		}
	}
	if _, there := m["alg"]; there && !Known(alg) {
		return nil, fmt.Errorf("%w: algorithm %q", ErrKey, alg)
	}
	var public any
	switch kty {
	case "OKP":
		x, err := bytes("x")
		if err != nil {
			return nil, err
		}
		if curve != "Ed25519" {
			return nil, fmt.Errorf("%w: curve %q", ErrKey, curve)
		}
		public = ed25519.PublicKey(x)
	case "EC":
		x, err := bytes("x")
		if err != nil {
			return nil, err
		}
		y, err := bytes("y")
		if err != nil {
			return nil, err
		}
		c := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[curve]
		if c == nil {
			return nil, fmt.Errorf("%w: curve %q", ErrKey, curve)
		}
		if size := (c.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
			return nil, fmt.Errorf("%w: coordinates of %d and %d bytes on %s", ErrKey, len(x), len(y), curve)
		}
		p, err := ecdsa.ParseUncompressedPublicKey(c, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		public = p
	case "RSA":
		n, err := bytes("n")
		if err != nil {
			return nil, err
		}
		e, err := bytes("e")
		if err != nil {
			return nil, err
		}
		exponent := new(big.Int).SetBytes(e)
		if exponent.BitLen() > 31 {
			return nil, fmt.Errorf("%w: RSA exponent of %d bits", ErrKey, exponent.BitLen())
		}
		public = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	case "oct":
		if !secrets {
			return nil, fmt.Errorf("%w: a shared secret in a public set", ErrKey)
		}
		k, err := bytes("k")
		if err != nil {
			return nil, err
		}
		public = k
	default:
		return nil, fmt.Errorf("%w: type %q", ErrKey, kty)
	}
	return NewKey(id, alg, public)
}

// jwk is a public key as it is written.
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// jwkOf returns the members that make a public key, or false of anything else.
func jwkOf(public any) (j jwk, ok bool) {
	enc := encoding.EncodeToString
	switch p := public.(type) {
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", enc(p)
	case *ecdsa.PublicKey:
		x, y := coordinates(p)
		j.Kty, j.Crv, j.X, j.Y = "EC", p.Curve.Params().Name, enc(x), enc(y)
	case *rsa.PublicKey:
		j.Kty, j.N, j.E = "RSA", enc(p.N.Bytes()), enc(big.NewInt(int64(p.E)).Bytes())
	default:
		return j, false
	}
	return j, true
}

// MarshalKey writes the public key alone, without its id or algorithm. A shared
// secret is an ErrKey.
func MarshalKey(k *Key) ([]byte, error) {
	j, ok := jwkOf(k.public)
	if !ok {
		return nil, fmt.Errorf("%w: a shared secret", ErrKey)
	}
	return json.Marshal(j)
}

// MarshalSet writes the public keys as a JWK Set. Shared secrets are left out.
func MarshalSet(keys ...*Key) []byte {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range keys {
		j, ok := jwkOf(k.public)
		if !ok {
			continue
		}
		j.Kid, j.Use, j.Alg = k.ID, "sig", k.Algorithm
		set.Keys = append(set.Keys, j)
	}
	b, _ := json.Marshal(set) // strings only: it can't fail
	return b
}
