package jose

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

const (
	edX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	ecX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	ecY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
)

// Each refusal gives its own reason: one that rests on a later check would be
// gone with it.
func TestRefusalsSayWhy(t *testing.T) {
	head := b64(`{"alg":"HS256"}`)
	x, _ := base64.RawURLEncoding.DecodeString(ecX)
	y, _ := base64.RawURLEncoding.DecodeString(ecY)
	enc := base64.RawURLEncoding.EncodeToString
	n := enc(everyKey[RS256].(*rsa.PrivateKey).N.Bytes())
	object := func(s string) error { _, err := ParseObject([]byte(s)); return err }
	set := func(s string) error { _, _, err := ParseSet([]byte(s)); return err }
	key := func(s string) error { _, err := ParseKey([]byte(s)); return err }
	message := func(s string) error { _, err := Parse(s); return err }
	for _, c := range []struct {
		name string
		err  error
		kind error
		why  string
	}{
		{"a member twice", object(`{"a":1,"a":2}`), ErrFormat, "twice"},
		{"a list without commas", object(`{"a":[1 2]}`), ErrFormat, "want ',' or ']'"},
		{"half a number", object(`{"a":-}`), ErrFormat, "number"},
		{"a number too large", object(`{"a":1e999}`), ErrFormat, "out of range"},

		{"a set that is a list", set(`[]`), ErrFormat, "not a JSON object"},
		{"a set of one", set(`{"keys":{}}`), ErrFormat, "without keys"},
		{"a set of numbers", set(`{"keys":[1]}`), ErrFormat, "key 0 is no object"},
		{"a key that is a list", key(`[]`), ErrFormat, "not a JSON object"},
		{"a type that is a number", key(`{"kty":1}`), ErrFormat, `"kty" is no string`},
		{"no algorithm", key(`{"kty":"OKP","crv":"Ed25519","alg":"","x":"` + edX + `"}`), ErrKey, `algorithm ""`},
		{"no x", key(`{"kty":"OKP","crv":"Ed25519"}`), ErrFormat, `no "x"`},
		{"an empty x", key(`{"kty":"OKP","crv":"Ed25519","x":""}`), ErrFormat, `no "x"`},
		{"a number for x", key(`{"kty":"OKP","crv":"Ed25519","x":1}`), ErrFormat, `"x" is no string`},
		{"no base64 for x", key(`{"kty":"OKP","crv":"Ed25519","x":"*"}`), ErrFormat, "base64"},
		{"no base64 for EC's x", key(`{"kty":"EC","crv":"P-256","x":"*","y":"` + ecY + `"}`), ErrFormat, "base64"},
		{"no base64 for y", key(`{"kty":"EC","crv":"P-256","x":"` + ecX + `","y":"*"}`), ErrFormat, "base64"},
		{"a byte of y in x", key(`{"kty":"EC","crv":"P-256","x":"` + enc(append(x[:32:32], y[0])) + `","y":"` + enc(y[1:]) + `"}`), ErrKey, "coordinates of 33 and 31 bytes"},
		{"a short x", key(`{"kty":"EC","crv":"P-256","x":"` + enc(x[1:]) + `","y":"` + ecY + `"}`), ErrKey, "coordinates of 31 and 32 bytes"},
		{"a short y", key(`{"kty":"EC","crv":"P-256","x":"` + ecX + `","y":"` + enc(y[1:]) + `"}`), ErrKey, "coordinates of 32 and 31 bytes"},
		{"no base64 for n", key(`{"kty":"RSA","e":"AQAB","n":"*"}`), ErrFormat, "base64"},
		{"no base64 for e", key(`{"kty":"RSA","e":"*","n":"` + n + `"}`), ErrFormat, "base64"},
		{"an exponent of 32 bits", key(`{"kty":"RSA","e":"_____w","n":"` + n + `"}`), ErrKey, "exponent of 32 bits"},
		{"an exponent of 31 bits", key(`{"kty":"RSA","e":"f____w","n":"` + n + `"}`), nil, ""},
		{"no base64 for k", key(`{"kty":"oct","k":"*"}`), ErrFormat, "base64"},

		{"a token of one part", message(head), ErrFormat, "not three parts"},
		{"a token of two parts", message(head + ".e30"), ErrFormat, "not three parts"},
		{"a token of four parts", message(head + ".e30.AA.AA"), ErrFormat, "not three parts"},
		{"the largest token", message(head + ".e30." + strings.Repeat("A", MaxToken-len(head)-5)), nil, ""},
		{"a larger token", message(head + ".e30." + strings.Repeat("A", MaxToken-len(head)-4)), ErrFormat, "bytes, want"},
		{"a header that is no base64", message("*.e30.AA"), ErrFormat, "base64"},
		{"a payload that is no base64", message(head + ".*.AA"), ErrFormat, "base64"},
		{"a signature that is no base64", message(head + ".e30.*"), ErrFormat, "base64"},
		{"a header that is no object", message(b64(`1`) + ".e30.AA"), ErrFormat, "not a JSON object"},
		{"crit", message(b64(`{"alg":"HS256","crit":["b64"],"b64":true}`) + ".e30.AA"), ErrFormat, "critical"},
		{"b64 without crit", message(b64(`{"alg":"HS256","b64":true}`) + ".e30.AA"), ErrFormat, "unencoded"},
	} {
		if c.kind == nil && c.err == nil {
			continue
		}
		if c.kind == nil || !errors.Is(c.err, c.kind) || !strings.Contains(c.err.Error(), c.why) {
			t.Errorf("%s: %v, want %v: … %s …", c.name, c.err, c.kind, c.why)
		}
	}
}

func TestSizesOfRSAKeys(t *testing.T) {
	modulus := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(1))
	}
	for _, c := range []struct {
		bits uint
		e    int
		ok   bool
	}{
		{2047, 65537, false}, {2048, 65537, true}, {8192, 65537, true}, {8193, 65537, false},
		{2048, 1, false}, {2048, 2, false}, {2048, 3, true}, {2048, 4, false},
	} {
		if _, err := NewKey("", "", &rsa.PublicKey{N: modulus(c.bits), E: c.e}); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrKey) {
			t.Errorf("%d bits, exponent %d: %v, want success %t", c.bits, c.e, err, c.ok)
		}
	}
	broken := *everyKey[RS256].(*rsa.PrivateKey)
	broken.D = big.NewInt(3)
	if _, err := NewSigner("", "", &broken); !errors.Is(err, ErrKey) {
		t.Errorf("a private key that is not the public one's: %v", err)
	}
}

func TestPointsOffTheCurve(t *testing.T) {
	//lint:ignore SA1019 nothing else makes a point that is not on the curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	if k, err := NewKey("", "", off); !errors.Is(err, ErrKey) {
		t.Errorf("NewKey = %v, %v, want ErrKey", k, err)
	}
	Thumbprint(off) // no panic
}

// A signature of ECDSA has one length (RFC 7518 section 3.4). Without its leading
// zero it would be another spelling of the same.
func TestSignaturesOfAnotherLength(t *testing.T) {
	s := signer(t, ES256)
	for {
		raw := mustSign(t, s, `{}`)
		m, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if m.signature[32] != 0 { // of one in 256
			continue
		}
		sig := m.signature
		for name, changed := range map[string][]byte{
			"without the zero": append(sig[:32:32], sig[33:]...),
			"with one more":    append(append(sig[:32:32], 0), sig[32:]...),
			"half":             sig[:32],
			"a byte":           sig[:1],
		} {
			m.signature = changed
			if err := m.Verify(s.Key()); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: %v, want ErrSignature", name, err)
			}
		}
		m.signature = sig
		if err := m.Verify(s.Key()); err != nil {
			t.Error(err)
		}
		return
	}
}

func TestSignersAreKnownByTheirThumbprints(t *testing.T) {
	for alg, private := range everyKey {
		s, err := NewSigner("", alg, private)
		if err != nil {
			t.Fatal(err)
		}
		want := Thumbprint(s.Key().Public())
		if s.Key().ID != want || (want == "") != Symmetric(alg) {
			t.Errorf("%s: id %q, want %q, and only a secret has none", alg, s.Key().ID, want)
		}
	}
}

func TestSecretsAreInNoSet(t *testing.T) {
	set := string(MarshalSet(signer(t, HS256).Key(), signer(t, EdDSA).Key(), signer(t, HS512).Key()))
	if keys, _, err := ParseSet([]byte(set)); err != nil || len(keys) != 1 || strings.Count(set, "kty") != 1 {
		t.Errorf("%s, %v, want the public key alone", set, err)
	}
}

// failing is a source whose keys can't be had.
type failing struct{ err error }

func (f failing) Keys(context.Context, string) ([]*Key, error) { return nil, f.err }

func TestWhatKeysAreFound(t *testing.T) {
	a, b := signer(t, EdDSA).Key(), &Key{ID: "other"}
	keys := Keys{a, b}
	for _, c := range []struct {
		keys Keys
		id   string
		want int
	}{{keys, "", 2}, {keys, "k1", 1}, {keys, "other", 1}, {keys, "none", 0}, {nil, "", 0}, {nil, "k1", 0}} {
		got, err := c.keys.Keys(t.Context(), c.id)
		if len(got) != c.want || (err == nil) != (c.want > 0) || err != nil && !errors.Is(err, ErrNoKey) {
			t.Errorf("id %q of %d keys: %v, %v, want %d", c.id, len(c.keys), got, err, c.want)
		}
	}
	gone := errors.New("gone")
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: failing{gone}}
	if _, err := v.Verify(t.Context(), mustSign(t, signer(t, EdDSA), `{}`)); !errors.Is(err, gone) {
		t.Errorf("a source that fails: %v, want its error", err)
	}
}

func TestTimesInClaims(t *testing.T) {
	const last = 253402300799
	for _, c := range []struct {
		value string
		want  time.Time
		ok    bool
	}{
		{"0", time.Unix(0, 0), true}, {"-1", time.Time{}, false}, {"0.0", time.Unix(0, 0), true}, {"-0.5", time.Time{}, false},
		{"1.5", time.Unix(1, 5e8), true},
		{fmt.Sprint(last), time.Unix(last, 0), true}, {fmt.Sprint(last + 1), time.Time{}, false},
		{fmt.Sprint(last) + ".0", time.Unix(last, 0), true}, {fmt.Sprint(last+1) + ".0", time.Time{}, false},
		{`"1"`, time.Time{}, false}, {"null", time.Time{}, false}, {"[1]", time.Time{}, false}, {"true", time.Time{}, false},
	} {
		claims, err := ParseObject([]byte(`{"nbf":` + c.value + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got, there, err := Time(claims, "nbf")
		if !got.Equal(c.want) || there != c.ok || (err == nil) != c.ok || err != nil && !errors.Is(err, ErrClaims) {
			t.Errorf("%s: %v, %t, %v, want %v", c.value, got, there, err, c.want)
		}
	}
	if got, there, err := Time(nil, "exp"); there || err != nil {
		t.Errorf("none: %v, %t, %v", got, there, err)
	}
	s := signer(t, EdDSA)
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: Keys{s.Key()}}
	for claim, why := range map[string]string{`"exp":"1"`: "exp is no date", `"exp":9999999999,"nbf":"1"`: "nbf is no date", `"exp":9999999999,"iat":[]`: "iat is no date"} {
		if _, err := v.Verify(t.Context(), mustSign(t, s, `{"iss":"i",`+claim+`}`)); !errors.Is(err, ErrClaims) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %s", claim, err, why)
		}
	}
}

// A message signed with the empty secret must not pass for one that was signed
// with a secret when the key is of another kind: Key.Accepts stands before this,
// and this must hold without it.
func TestNoKeyOfAnotherKindVerifies(t *testing.T) {
	signed := []byte("signed")
	for name, a := range algorithms {
		sig := make([]byte, 64)
		if a.family == mac {
			m := hmac.New(a.hash.New, nil)
			m.Write(signed)
			sig = m.Sum(nil)
		} else if a.family == ecDSA {
			sig = make([]byte, 2*((a.curve.Params().BitSize+7)/8))
		}
		public := map[family]any{eddsa: ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)), ecDSA: &everyKey[ES256].(*ecdsa.PrivateKey).PublicKey,
			pkcs1: &everyKey[RS256].(*rsa.PrivateKey).PublicKey, mac: make([]byte, 32)}
		for f, key := range public {
			if f == a.family || f == pkcs1 && a.family == pss {
				continue // of its own kind
			}
			if a.verify(key, signed, sig) {
				t.Errorf("%s verifies with a %T", name, key)
			}
		}
		if a.verify(nil, signed, sig) {
			t.Errorf("%s verifies without a key", name)
		}
	}
}
