package jose

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// Key is one public key, or one shared secret, that verifies signatures.
type Key struct {
	ID        string // kid; may be empty
	Algorithm string // the only algorithm that it is for; empty: any that its type allows
	public    any    // ed25519.PublicKey, *ecdsa.PublicKey, *rsa.PublicKey, []byte
}

// NewKey checks a public key or a shared secret and gives it an identifier.
// With algorithm empty, an RSA key serves every RSA algorithm that its issuer
// is allowed; every other key has only one.
func NewKey(id, algorithm string, public any) (*Key, error) {
	k := &Key{ID: id, Algorithm: algorithm, public: public}
	switch p := public.(type) {
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: Ed25519 key of %d bytes", ErrKey, len(p))
		}
	case *ecdsa.PublicKey:
		if _, err := p.Bytes(); err != nil { // checks that the point is on the curve
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
	case *rsa.PublicKey:
		if err := checkRSA(p); err != nil {
			return nil, err
		}
	case []byte:
		if len(p) < 32 {
			return nil, fmt.Errorf("%w: shared secret of %d bytes, want 32 or more", ErrKey, len(p))
		}
	default:
		return nil, fmt.Errorf("%w: type %T", ErrKey, public)
	}
	if algorithm != "" && !k.Accepts(algorithm) {
		return nil, fmt.Errorf("%w: type %T with algorithm %q", ErrKey, public, algorithm)
	}
	return k, nil
}

// Accepts reports whether the key may verify a signature of the algorithm. The
// key decides: a header that asks for another algorithm finds no key.
func (k *Key) Accepts(alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	a := algorithms[alg] // of an unknown one no family
	switch p := k.public.(type) {
	case ed25519.PublicKey:
		return a.family == eddsa
	case *ecdsa.PublicKey:
		return a.family == ecDSA && a.curve == p.Curve
	case *rsa.PublicKey:
		return a.family == pkcs1 || a.family == pss
	case []byte: // RFC 7518 section 3.2: at least as long as the hash
		return a.family == mac && len(p) >= a.hash.Size()
	}
	return false
}

// Natural is the algorithm that the key is for, or the usual one of its type.
func (k *Key) Natural() string {
	if k.Algorithm != "" {
		return k.Algorithm
	}
	for _, name := range [...]string{EdDSA, ES256, ES384, ES512, RS256, HS256} {
		if k.Accepts(name) {
			return name
		}
	}
	return ""
}

// Public returns the key itself.
func (k *Key) Public() crypto.PublicKey { return k.public }

func checkRSA(p *rsa.PublicKey) error {
	switch bits := p.N.BitLen(); {
	case bits < 2048:
		return fmt.Errorf("%w: RSA of %d bits, want 2048 or more", ErrKey, bits)
	case bits > 8192: // verifying would be an attack on the processor
		return fmt.Errorf("%w: RSA of %d bits, want 8192 or less", ErrKey, bits)
	case p.E < 3 || p.E&1 == 0:
		return fmt.Errorf("%w: RSA exponent %d", ErrKey, p.E)
	case p.N.Bit(0) == 0:
		return fmt.Errorf("%w: even RSA modulus", ErrKey)
	case roca(p.N):
		return fmt.Errorf("%w: RSA modulus of a weak generator (CVE-2017-15361)", ErrKey)
	}
	return nil
}

// roca reports whether n has the fingerprint of the generator of
// CVE-2017-15361, whose primes are powers of 65537 modulo many small primes
// (Nemec et al., "The Return of Coppersmith's Attack", 2017, section 2.2).
func roca(n *big.Int) bool {
	for _, p := range [...]int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157} {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		for x := int64(1); x != rest; {
			x = x * 65537 % p
			if x == 1 { // these were all powers
				return false
			}
		}
	}
	return true
}

// Signer signs with one private key.
type Signer struct {
	alg    algorithm
	name   string
	key    any
	public *Key
}

// NewSigner returns a signer for an Ed25519, ECDSA or RSA private key, or a
// shared secret. With algorithm empty it is EdDSA, the ES algorithm of the
// curve, RS256, or HS256. With id empty it is the key's thumbprint (RFC 7638);
// a shared secret gets none, since a hash of it would invite guessing.
func NewSigner(id, algorithm string, private any) (*Signer, error) {
	var public any
	natural := ""
	switch p := private.(type) {
	case ed25519.PrivateKey:
		if len(p) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("%w: Ed25519 key of %d bytes", ErrKey, len(p))
		}
		public, natural = p.Public(), EdDSA
	case *ecdsa.PrivateKey:
		public = &p.PublicKey
		for _, name := range [...]string{ES256, ES384, ES512} {
			if algorithms[name].curve == p.Curve {
				natural = name
			}
		}
	case *rsa.PrivateKey:
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		public, natural = &p.PublicKey, RS256
	case []byte:
		public, natural = p, HS256
	default:
		return nil, fmt.Errorf("%w: type %T cannot sign", ErrKey, private)
	}
	algorithm = cmp.Or(algorithm, natural)
	k, err := NewKey(id, algorithm, public)
	if err != nil {
		return nil, err
	}
	if k.ID == "" {
		k.ID = Thumbprint(public) // of a secret ""
	}
	return &Signer{alg: algorithms[algorithm], name: algorithm, key: private, public: k}, nil
}

// Key returns the key that verifies what the signer signs.
func (s *Signer) Key() *Key { return s.public }

// Thumbprint is the SHA-256 thumbprint of a public key (RFC 7638), or "" of
// anything else.
func Thumbprint(public any) string {
	switch j, _ := jwkOf(public); j.Kty {
	case "OKP":
		return Digest(`{"crv":"` + j.Crv + `","kty":"OKP","x":"` + j.X + `"}`)
	case "EC":
		return Digest(`{"crv":"` + j.Crv + `","kty":"EC","x":"` + j.X + `","y":"` + j.Y + `"}`)
	case "RSA":
		return Digest(`{"e":"` + j.E + `","kty":"RSA","n":"` + j.N + `"}`)
	}
	return ""
}

// Digest is a SHA-256 hash in base64url: by it keys (RFC 7638), certificates (RFC
// 8705), tokens (RFC 9449) and code verifiers (RFC 7636) are known.
func Digest[T ~string | ~[]byte](of T) string {
	sum := sha256.Sum256([]byte(of))
	return encoding.EncodeToString(sum[:])
}

func coordinates(p *ecdsa.PublicKey) (x, y []byte) {
	b, err := p.Bytes() // 4 || x || y
	if err != nil {
		return nil, nil
	}
	size := (len(b) - 1) / 2
	return b[1 : 1+size], b[1+size:]
}
