package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // linked for crypto.Hash
	_ "crypto/sha512"
	"fmt"
	"math/big"
)

// The algorithms of RFC 7518 section 3.1 and RFC 8037, without "none".
const (
	EdDSA = "EdDSA"

	// Ed25519 is what RFC 9864 calls EdDSA with that curve.
	Ed25519 = "Ed25519"

	ES256 = "ES256"
	ES384 = "ES384"
	ES512 = "ES512"
	RS256 = "RS256"
	RS384 = "RS384"
	RS512 = "RS512"
	PS256 = "PS256"
	PS384 = "PS384"
	PS512 = "PS512"
	HS256 = "HS256"
	HS384 = "HS384"
	HS512 = "HS512"
)

// Asymmetric are all those whose signatures show who has the private key.
var Asymmetric = []string{EdDSA, Ed25519, ES256, ES384, ES512, PS256, PS384, PS512, RS256, RS384, RS512}

type family int

const (
	eddsa family = iota + 1
	ecDSA
	pkcs1
	pss
	mac
)

type algorithm struct {
	family family
	hash   crypto.Hash
	curve  elliptic.Curve // of ecDSA
}

var algorithms = map[string]algorithm{
	EdDSA: {eddsa, 0, nil}, Ed25519: {eddsa, 0, nil},
	ES256: {ecDSA, crypto.SHA256, elliptic.P256()},
	ES384: {ecDSA, crypto.SHA384, elliptic.P384()},
	ES512: {ecDSA, crypto.SHA512, elliptic.P521()},
	RS256: {pkcs1, crypto.SHA256, nil},
	RS384: {pkcs1, crypto.SHA384, nil},
	RS512: {pkcs1, crypto.SHA512, nil},
	PS256: {pss, crypto.SHA256, nil},
	PS384: {pss, crypto.SHA384, nil},
	PS512: {pss, crypto.SHA512, nil},
	HS256: {mac, crypto.SHA256, nil},
	HS384: {mac, crypto.SHA384, nil},
	HS512: {mac, crypto.SHA512, nil},
}

// Known reports whether the algorithm is one of this package's.
func Known(alg string) bool { _, ok := algorithms[alg]; return ok }

// Symmetric reports whether whoever can verify with alg can also sign.
func Symmetric(alg string) bool { return algorithms[alg].family == mac }

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// verify checks sig over signed with a key that fits (Key.Accepts).
func (a algorithm) verify(key any, signed, sig []byte) bool {
	switch a.family {
	case eddsa:
		k, ok := key.(ed25519.PublicKey)
		return ok && ed25519.Verify(k, signed, sig)
	case ecDSA:
		k, ok := key.(*ecdsa.PublicKey)
		size := (a.curve.Params().BitSize + 7) / 8
		if !ok || len(sig) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
		return ecdsa.Verify(k, digest(a.hash, signed), r, s)
	case pkcs1:
		k, ok := key.(*rsa.PublicKey)
		return ok && rsa.VerifyPKCS1v15(k, a.hash, digest(a.hash, signed), sig) == nil
	case pss: // RFC 7518 section 3.5: the salt is as long as the hash
		k, ok := key.(*rsa.PublicKey)
		return ok && rsa.VerifyPSS(k, a.hash, digest(a.hash, signed), sig, &rsa.PSSOptions{SaltLength: a.hash.Size()}) == nil
	case mac:
		k, ok := key.([]byte)
		if !ok {
			return false
		}
		m := hmac.New(a.hash.New, k)
		m.Write(signed)
		return hmac.Equal(m.Sum(nil), sig)
	}
	return false
}

// sign signs with a private key that fits (NewSigner checked).
func (a algorithm) sign(key any, signed []byte) ([]byte, error) {
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(k, signed), nil
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, digest(a.hash, signed))
		if err != nil {
			return nil, err
		}
		size := (a.curve.Params().BitSize + 7) / 8
		sig := make([]byte, 2*size)
		r.FillBytes(sig[:size])
		s.FillBytes(sig[size:])
		return sig, nil
	case *rsa.PrivateKey:
		if a.family == pss {
			return rsa.SignPSS(rand.Reader, k, a.hash, digest(a.hash, signed), &rsa.PSSOptions{SaltLength: a.hash.Size()})
		}
		return rsa.SignPKCS1v15(rand.Reader, k, a.hash, digest(a.hash, signed))
	case []byte:
		m := hmac.New(a.hash.New, k)
		m.Write(signed)
		return m.Sum(nil), nil
	}
	return nil, fmt.Errorf("%w: %T cannot sign", ErrKey, key)
}
